// error: function pointers are not supported in Metal
#include <metal_stdlib>
using namespace metal;

float g(float x) { return x; }

kernel void k(device float* out [[buffer(0)]], uint i [[thread_position_in_grid]]) {
    float (*p)(float) = g;
    out[i] = p(1.0);
}
