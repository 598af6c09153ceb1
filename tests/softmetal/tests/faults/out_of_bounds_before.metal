// report: out-of-bounds read, 4 bytes before the start of buffer 'in' \(index 0\)
// mode: checked
#include <metal_stdlib>
using namespace metal;

kernel void k(device const float* in [[buffer(0)]], device float* out [[buffer(1)]], uint i [[thread_position_in_grid]],
              uint t [[thread_position_in_threadgroup]]) {
    out[i] = in[int(i) - 1];
}
