// error: 'cmath' file not found
#include <metal_stdlib>
using namespace metal;

#include <cmath>

kernel void k(device float* out [[buffer(0)]], uint i [[thread_position_in_grid]]) {
    out[i] = 1;
}
