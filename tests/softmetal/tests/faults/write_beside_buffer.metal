// report: out-of-bounds write beside buffer 'out' \(index 1\) of kernel 'k'
// mode: unchecked
#include <metal_stdlib>
using namespace metal;

kernel void k(device const float* in [[buffer(0)]], device float* out [[buffer(1)]], uint i [[thread_position_in_grid]],
              uint t [[thread_position_in_threadgroup]]) {
    out[i + 1] = in[i];
}
