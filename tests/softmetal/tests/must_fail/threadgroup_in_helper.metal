// error: variables in the threadgroup address space can only be declared in a kernel function
#include <metal_stdlib>
using namespace metal;

float f(uint i) {
    threadgroup float t[32];
    t[i] = 1;
    return t[i];
}

kernel void k(device float* out [[buffer(0)]], uint i [[thread_position_in_grid]]) {
    out[i] = f(i);
}
