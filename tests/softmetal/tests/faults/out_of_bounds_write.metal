// report: out-of-bounds write, 0 bytes past the end of buffer 'out' \(index 1\) at program_source:\d+, thread 63 of threadgroup \(1, 0, 0\), kernel 'k'
// mode: checked
#include <metal_stdlib>
using namespace metal;

kernel void k(device const float* in [[buffer(0)]], device float* out [[buffer(1)]], uint i [[thread_position_in_grid]],
              uint t [[thread_position_in_threadgroup]]) {
    out[i + 1] = in[i];
}
