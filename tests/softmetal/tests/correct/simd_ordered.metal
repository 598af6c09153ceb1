#include <metal_stdlib>
using namespace metal;

kernel void k(device const float* in [[buffer(0)]], device float* out [[buffer(1)]], uint i [[thread_position_in_grid]],
              uint t [[thread_position_in_threadgroup]]) {
    threadgroup float tile[64];
    // Within one SIMD-group a simdgroup_barrier is enough.
    tile[t] = in[i];
    simdgroup_barrier(mem_flags::mem_threadgroup);
    float x = tile[t ^ 1];
    simdgroup_barrier(mem_flags::mem_threadgroup);
    tile[t] = x;
    out[i] = tile[t];
}
