#include <metal_stdlib>
#include <metal_simdgroup>
using namespace metal;

// One output row of `threads` values for each function; the test knows what they must be.
kernel void simd_functions(device uint* out [[buffer(0)]], uint i [[thread_position_in_grid]], uint n [[threads_per_grid]], uint lane [[thread_index_in_simdgroup]]) {
    uint v = i + 1, row = 0;
    out[n * row++ + i] = simd_sum(v);
    out[n * row++ + i] = simd_min(v);
    out[n * row++ + i] = simd_max(v);
    out[n * row++ + i] = simd_prefix_inclusive_sum(v);
    out[n * row++ + i] = simd_prefix_exclusive_sum(v);
    out[n * row++ + i] = simd_shuffle(v, ushort(31 - lane));
    out[n * row++ + i] = simd_shuffle_xor(v, 1);
    out[n * row++ + i] = simd_broadcast(v, 7);
    out[n * row++ + i] = simd_broadcast_first(v);
    out[n * row++ + i] = simd_shuffle_rotate_down(v, 3);
    out[n * row++ + i] = simd_shuffle_up(v, 0);
    out[n * row++ + i] = simd_and(v | 8);
    out[n * row++ + i] = simd_or(v);
    out[n * row++ + i] = simd_xor(v);
    out[n * row++ + i] = quad_sum(v);
    out[n * row++ + i] = simd_any(lane == 5) && !simd_all(lane == 5);
    out[n * row++ + i] = uint(ulong(simd_ballot(lane < 4)));
}
