// error: program scope variable 'counter' must reside in constant address space
#include <metal_stdlib>
using namespace metal;

float counter = 0;

kernel void k(device float* out [[buffer(0)]], uint i [[thread_position_in_grid]]) {
    out[i] = counter;
}
