#include <metal_stdlib>
using namespace metal;

// A window sum over planes: a tile with its halo in threadgroup memory, vertical sums, horizontal sums.
constant uint RADIUS [[function_constant(0)]];
constant bool ADD_BIAS [[function_constant(1)]];
constant uint WINDOW = is_function_constant_defined(RADIUS) ? 2u * RADIUS + 1u : 3u;

struct Params {
    uint width, height, planes;
    float bias;
};

constant uint TILE = 16;
constant uint MAX_HALO = 8;

template <typename T> float load_or_zero(device const T* plane, constant Params& p, int2 at) {
    if (at.x < 0 || at.y < 0 || at.x >= int(p.width) || at.y >= int(p.height)) return 0;
    return float(plane[uint(at.y) * p.width + uint(at.x)]);
}

template <typename T>
[[kernel]] void box_sum(device const T* src [[buffer(0)]],
                        device T* dst [[buffer(1)]],
                        constant Params& p [[buffer(2)]],
                        threadgroup float* columns [[threadgroup(0)]],
                        uint3 gid [[thread_position_in_grid]],
                        ushort2 lid [[thread_position_in_threadgroup]],
                        uint3 group [[threadgroup_position_in_grid]],
                        uint index [[thread_index_in_threadgroup]],
                        uint3 size [[threads_per_threadgroup]])
{
    threadgroup float tile[TILE + 2 * MAX_HALO][TILE + 2 * MAX_HALO];
    const uint span = TILE + 2 * RADIUS, threads = size.x * size.y;
    const int2 origin = int2(group.xy) * int(TILE) - int(RADIUS);
    device const T* plane = src + group.z * p.width * p.height;

    for (uint i = index; i < span * span; i += threads)
        tile[i / span][i % span] = load_or_zero(plane, p, origin + int2(i % span, i / span));
    threadgroup_barrier(mem_flags::mem_threadgroup);

    for (uint i = index; i < span * TILE; i += threads) {
        float s = 0;
        for (uint k = 0; k < WINDOW; k++) s += tile[i / span + k][i % span];
        columns[i] = s;
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);

    if (gid.x >= p.width || gid.y >= p.height) return;
    float s = ADD_BIAS ? p.bias : 0.0;
    for (uint k = 0; k < WINDOW; k++) s += columns[lid.y * span + lid.x + k];
    dst[(gid.z * p.height + gid.y) * p.width + gid.x] = T(s);
}

#define INSTANTIATE(name, T) template [[host_name(name)]] [[kernel]] decltype(box_sum<T>) box_sum<T>;
INSTANTIATE("box_sum_float", float)
INSTANTIATE("box_sum_half", half)
#if __METAL_VERSION__ >= 310
INSTANTIATE("box_sum_bfloat", bfloat)
#endif
