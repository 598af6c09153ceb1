// report: out-of-bounds write, 0 bytes past the end of threadgroup memory 'tile'
// mode: checked
#include <metal_stdlib>
using namespace metal;

kernel void k(device const float* in [[buffer(0)]], device float* out [[buffer(1)]], uint i [[thread_position_in_grid]],
              uint t [[thread_position_in_threadgroup]]) {
    threadgroup float tile[63];
    tile[t] = in[i];
    threadgroup_barrier(mem_flags::mem_threadgroup);
    out[i] = tile[t];
}
