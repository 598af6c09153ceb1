#include <metal_stdlib>
using namespace metal;

kernel void k(device float4* out [[buffer(0)]], uint i [[thread_position_in_grid]]) {
    float4 a = out[i];
    a = max(a, 0.0f);
    a = clamp(a, 0.0f, 1.0f);
    a = mix(a, 1.0f - a, 0.5f);
    out[i] = a * 2;
}
