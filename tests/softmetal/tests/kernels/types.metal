#include <metal_stdlib>
using namespace metal;

constant float WEIGHTS[4] = {1.0, 0.5, 0.25, 0.125};
struct Params {
    float4 mix;
    packed_float3 offset;
    uint count;
};

kernel void types(device float* out [[buffer(0)]], constant Params& p [[buffer(1)]]) {
    half4 h = half4(1.0h, 2.0h, half2(3.0h, 4.0h));
    float4 f = float4(h);
    float3 c = f.rgb * p.mix.xyz;
    uint3 u = uint3(c);
    out[0] = f.w;
    out[1] = c.z;
    out[2] = float(u.x + u.y + u.z);
    out[3] = dot(f, float4(1));
    out[4] = as_type<float>(0x40490fdbu);
    out[5] = WEIGHTS[3];
    out[6] = clamp(f.w, 0.0, 2.5);
    out[7] = p.offset.z + float(p.count);
    out[8] = float(sizeof(float3) + sizeof(Params));
    out[9] = rsqrt(4.0f);
    out[10] = fma(2.0f, 3.0f, 4.0f);
    out[11] = max(h, half4(2.5h)).x;
    out[12] = length(float2(3, 4));
    out[13] = float(popcount(0xF0F0u) + clz(1u) + ctz(8u));
    out[14] = pow(2.0f, 10) + exp2(3.0f) + log2(8.0f);
    out[15] = select(1.0f, 2.0f, any(f > 3.5f));
    out[16] = fmin(NAN, 3.0f);
    out[17] = float(half(2049.0f));
    out[18] = mix(1.0f, 3.0f, 0.25f) + fract(1.75f) + saturate(7.0f) + sign(-2.0f);
}

// Whether the math mode lets the compiler assume that there are no NaNs.
kernel void count_nans(device const float* in [[buffer(0)]], device uint* out [[buffer(1)]], uint i [[thread_position_in_grid]]) {
    out[i] = in[i] != in[i];
}

kernel void positions(device uint* out [[buffer(0)]], uint3 gid [[thread_position_in_grid]], uint3 size [[threads_per_grid]],
                      uint3 lid [[thread_position_in_threadgroup]], uint3 group [[threadgroup_position_in_grid]],
                      ushort3 per_group [[threads_per_threadgroup]], uint3 dispatched [[dispatch_threads_per_threadgroup]],
                      uint3 groups [[threadgroups_per_grid]], uint index [[thread_index_in_threadgroup]]) {
    uint at = (gid.z * size.y + gid.y) * size.x + gid.x;
    bool right = all(gid == group * dispatched + lid) && index == (lid.z * per_group.y + lid.y) * per_group.x + lid.x &&
                 all(lid < uint3(per_group)) && all(group < groups);
    out[at] = right ? uint(per_group.x * per_group.y * per_group.z) : 0u;
}

// A buffer that a function constant switches off need not be bound.
constant bool HAS_BIAS [[function_constant(0)]];
constant float SCALE [[function_constant(1)]];
constant half SHIFT [[function_constant(2)]];
constant int POWER [[function_constant(3)]];
kernel void optional_buffer(device float* out [[buffer(0)]], constant float* bias [[buffer(1)]] [[function_constant(HAS_BIAS)]], uint i [[thread_position_in_grid]]) {
    float x = float(i) * SCALE + float(SHIFT);
    for (int k = 1; k < POWER; k++) x *= 2;
    if (HAS_BIAS) x += bias[i];
    out[i] = x;
}

kernel void add_one(device float* data [[buffer(0)]], uint i [[thread_position_in_grid]]) { data[i] += 1; }
