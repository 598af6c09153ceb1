// error: 'buffer' attribute parameter is out of bounds: must be between 0 and 30
#include <metal_stdlib>
using namespace metal;

kernel void k(device float* out [[buffer(31)]], uint i [[thread_position_in_grid]]) {
    out[i] = 1;
}
