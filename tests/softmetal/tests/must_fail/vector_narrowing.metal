// error: cannot initialize a variable of type 'vec<\[...\], 3>'
#include <metal_stdlib>
using namespace metal;

kernel void k(device float4* out [[buffer(0)]], uint i [[thread_position_in_grid]]) {
    float3 a = out[i];
    out[i].xyz = a;
}
