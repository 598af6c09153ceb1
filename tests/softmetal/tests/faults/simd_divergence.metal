// report: SIMD-group divergence in kernel 'k'.*16|SIMD-group divergence in kernel 'k'.*32 threads wait in a SIMD-group function
// mode: any
#include <metal_stdlib>
using namespace metal;

kernel void k(device const float* in [[buffer(0)]], device float* out [[buffer(1)]], uint i [[thread_position_in_grid]],
              uint t [[thread_position_in_threadgroup]]) {
    float v = in[i];
    if (t % 2 == 0) v = simd_sum(v);
    out[i] = v;
}
