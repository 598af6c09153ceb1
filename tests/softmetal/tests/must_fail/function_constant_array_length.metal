// error: variable length array|array size is not a constant expression|not an integral constant expression|variably modified
#include <metal_stdlib>
using namespace metal;

constant uint N [[function_constant(0)]];

kernel void k(device float* out [[buffer(0)]], uint i [[thread_position_in_grid]]) {
    float a[N];
    a[0] = 1;
    out[i] = a[0];
}
