// error: use of undeclared identifier 'expm1'
#include <metal_stdlib>
using namespace metal;

kernel void k(device float* out [[buffer(0)]], uint i [[thread_position_in_grid]]) {
    out[i] = expm1(out[i]);
}
