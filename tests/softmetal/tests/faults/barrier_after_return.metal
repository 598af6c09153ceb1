// report: threadgroup barrier not reached by every thread in kernel 'k', threadgroup \(1, 0, 0\): 36 threads wait
// mode: any
#include <metal_stdlib>
using namespace metal;

kernel void k(device const float* in [[buffer(0)]], device float* out [[buffer(1)]], uint i [[thread_position_in_grid]],
              uint t [[thread_position_in_threadgroup]]) {
    threadgroup float tile[64];
    if (i >= 100) return;
    tile[t] = in[i];
    threadgroup_barrier(mem_flags::mem_threadgroup);
    out[i] = tile[0];
}
