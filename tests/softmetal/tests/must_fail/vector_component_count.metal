// error: wrong number of components in a vector constructor
#include <metal_stdlib>
using namespace metal;

kernel void k(device float4* out [[buffer(0)]], uint i [[thread_position_in_grid]]) {
    out[i] = float4(1.0, 2.0, 3.0);
}
