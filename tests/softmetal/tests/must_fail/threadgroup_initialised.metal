// error: variables in the threadgroup address space cannot have an initializer
#include <metal_stdlib>
using namespace metal;

kernel void k(device float* out [[buffer(0)]], uint i [[thread_position_in_grid]]) {
    threadgroup float t = 0;
    out[i] = t;
}
