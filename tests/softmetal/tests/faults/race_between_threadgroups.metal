// report: data race: (read|write) of offset \d+ in buffer 'out' \(index 1\) and a write by another threadgroup
// mode: checked
#include <metal_stdlib>
using namespace metal;

kernel void k(device const float* in [[buffer(0)]], device float* out [[buffer(1)]], uint i [[thread_position_in_grid]],
              uint t [[thread_position_in_threadgroup]]) {
    out[t] += in[i];
}
