#include <metal_stdlib>
using namespace metal;

// Each threadgroup sums its part: within SIMD-groups first, then over them.
kernel void reduce(device const float4* src [[buffer(0)]],
                   device float* sums [[buffer(1)]],
                   constant uint& count [[buffer(2)]],
                   uint gid [[thread_position_in_grid]],
                   uint lane [[thread_index_in_simdgroup]],
                   uint simdgroup [[simdgroup_index_in_threadgroup]],
                   uint simdgroups [[simdgroups_per_threadgroup]],
                   ushort width [[threads_per_simdgroup]],
                   uint group [[threadgroup_position_in_grid]])
{
    threadgroup float partial[32];
    float4 v = gid < count ? src[gid] : float4(0.0);
    float2 pair = v.xy + v.wz;
    float s = simd_sum(pair.x + pair.y);
    if (lane == 0) partial[simdgroup] = s;
    threadgroup_barrier(mem_flags::mem_threadgroup);
    if (simdgroup == 0) {
        float t = lane < simdgroups ? partial[lane] : 0.0;
        for (ushort d = width / 2; d > 0; d >>= 1) t += simd_shuffle_down(t, d);
        if (lane == 0) sums[group] = t;
    }
}

// A histogram: atomics in threadgroup memory, then in device memory.
kernel void histogram(device const uchar* src [[buffer(0)]],
                      device atomic_uint* bins [[buffer(1)]],
                      constant uint& count [[buffer(2)]],
                      uint gid [[thread_position_in_grid]],
                      uint t [[thread_position_in_threadgroup]],
                      uint threads [[threads_per_threadgroup]])
{
    threadgroup atomic_uint local[256];
    for (uint i = t; i < 256; i += threads) atomic_store_explicit(&local[i], 0u, memory_order_relaxed);
    threadgroup_barrier(mem_flags::mem_threadgroup);
    if (gid < count) atomic_fetch_add_explicit(&local[src[gid]], 1u, memory_order_relaxed);
    threadgroup_barrier(mem_flags::mem_threadgroup);
    for (uint i = t; i < 256; i += threads)
        atomic_fetch_add_explicit(&bins[i], atomic_load_explicit(&local[i], memory_order_relaxed), memory_order_relaxed);
}

kernel void sum_atomically(device const float* src [[buffer(0)]], device atomic_float* sum [[buffer(1)]], uint gid [[thread_position_in_grid]]) {
    atomic_fetch_add_explicit(sum, src[gid], memory_order_relaxed);
}
