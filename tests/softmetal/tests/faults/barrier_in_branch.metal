// report: threadgroup barrier not reached by every thread in kernel 'k', threadgroup \(0, 0, 0\): 32 threads wait at a threadgroup barrier \(program_source:\d+, first thread 0\); 32 threads have returned
// mode: any
#include <metal_stdlib>
using namespace metal;

kernel void k(device const float* in [[buffer(0)]], device float* out [[buffer(1)]], uint i [[thread_position_in_grid]],
              uint t [[thread_position_in_threadgroup]]) {
    if (t < 32) threadgroup_barrier(mem_flags::mem_threadgroup);
    out[i] = in[i];
}
