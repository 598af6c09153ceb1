// error: program scope variable 'weight' must reside in constant address space
#include <metal_stdlib>
using namespace metal;

const float weight = 2;

kernel void k(device float* out [[buffer(0)]], uint i [[thread_position_in_grid]]) {
    out[i] = weight;
}
