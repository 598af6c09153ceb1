#include <metal_stdlib>
using namespace metal;

// Parameters without attribute are numbered by the compiler.
kernel void k(device float* out, constant uint& n, uint i [[thread_position_in_grid]]) {
    if (i < n) out[i] = 1;
}
