#include <metal_stdlib>
using namespace metal;

// Through a tile, so that both the reads and the writes run along rows.
[[max_total_threads_per_threadgroup(256)]]
kernel void transpose(device const float* src [[buffer(0)]],
                      device float* dst [[buffer(1)]],
                      constant uint2& size [[buffer(2)]],
                      uint2 group [[threadgroup_position_in_grid]],
                      uint2 lid [[thread_position_in_threadgroup]])
{
    threadgroup float tile[16][17];
    uint2 from = group * 16 + lid, to = group.yx * 16 + lid;
    if (from.x < size.x && from.y < size.y) tile[lid.y][lid.x] = src[from.y * size.x + from.x];
    threadgroup_barrier(mem_flags::mem_threadgroup);
    if (to.x < size.y && to.y < size.x) dst[to.y * size.y + to.x] = tile[lid.x][lid.y];
}
