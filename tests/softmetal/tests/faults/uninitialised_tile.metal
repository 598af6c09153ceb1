// report: read of uninitialised threadgroup memory, of offset 20 in threadgroup memory 'tile'
// mode: checked
#include <metal_stdlib>
using namespace metal;

kernel void k(device const float* in [[buffer(0)]], device float* out [[buffer(1)]], uint i [[thread_position_in_grid]],
              uint t [[thread_position_in_threadgroup]]) {
    threadgroup float tile[64];
    if (t != 5) tile[t] = in[i];
    threadgroup_barrier(mem_flags::mem_threadgroup);
    float sum = 0;
    for (uint j = 0; j < 64; j++) sum += tile[j];
    out[i] = sum;
}
