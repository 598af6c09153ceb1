// report: out-of-bounds read, 0 bytes past the end of buffer 'count' \(index 2\)
// mode: checked
#include <metal_stdlib>
using namespace metal;

kernel void k(device const float* in [[buffer(0)]], device float* out [[buffer(1)]], constant uint* count [[buffer(2)]],
              uint i [[thread_position_in_grid]]) {
    out[i] = in[i] * float(count[1]);
}
