// error: static local variables must be in the constant address space
#include <metal_stdlib>
using namespace metal;

kernel void k(device float* out [[buffer(0)]], uint i [[thread_position_in_grid]]) {
    static float n = 0;
    n += 1;
    out[i] = n;
}
