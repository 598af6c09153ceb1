#include <metal_stdlib>
using namespace metal;

kernel void k(device float* out [[buffer(0)]], uint i [[thread_position_in_grid]]) {
    bfloat b = bfloat(out[i]);
    b = b * bfloat(2.0f) + 1.0bf;
    out[i] = float(b);
}
