// error: pointer type must have explicit address space qualifier
#include <metal_stdlib>
using namespace metal;

kernel void k(device float* out [[buffer(0)]], uint i [[thread_position_in_grid]]) {
    float x = 1;
    float* p = &x;
    out[i] = *p;
}
