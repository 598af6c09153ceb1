// error: reference type must have explicit address space qualifier
#include <metal_stdlib>
using namespace metal;

float f(float const& p) { return p; }

kernel void k(device float* out [[buffer(0)]], uint i [[thread_position_in_grid]]) {
    out[i] = f(1.0f);
}
