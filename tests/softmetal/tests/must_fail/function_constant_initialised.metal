// error: a function constant cannot have an initializer
#include <metal_stdlib>
using namespace metal;

constant uint N [[function_constant(0)]] = 3;

kernel void k(device float* out [[buffer(0)]], uint i [[thread_position_in_grid]]) {
    out[i] = float(N);
}
