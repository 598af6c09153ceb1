// Strips of one simdgroup, for small odd square windows: sums along the rows by
// shuffles, without threadgroup memory and without barriers. Several narrow
// planes stand side by side in one simdgroup, zeros between them.
#pragma once
#include "spatial_gradient_walk.h"

template <int V> METAL_FUNC Place simd_place(constant SpatialParams &p, int task, int lane) {
    return place_of(p, task, p.strip_planes, lane / p.strip_lanes, lane % p.strip_lanes, V);
}

// Window sums along R rows, V columns to a lane, across the lanes of a
// simdgroup.
template <int K, int V, int R> struct SimdRows {
    enum : bool { in_memory = false };
    METAL_FUNC void sum(int, thread const float *v, thread float *sums) const {
#pragma unroll
        for (int r = 0; r < R; ++r) simd_row_sums<K, V>(v + r * V, sums + r * V);
    }
    METAL_FUNC void skip() const {}
};

template <typename T, int K, int V, int R>
kernel void spatial_forward_simd(device const T *x [[buffer(0)]], device T *y [[buffer(1)]],
                                 constant SpatialParams &p [[buffer(2)]], uint group [[threadgroup_position_in_grid]],
                                 uint simdgroup [[simdgroup_index_in_threadgroup]],
                                 uint lane [[thread_index_in_simdgroup]]) {
    const int task = int(group * SPATIAL_SIMDGROUPS + simdgroup);
    if (task >= p.tasks) return;
    SimdRows<K, V, R> rows;
    forward_walk<K, V, R>(x, y, p, simd_place<V>(p, task, int(lane)), rows);
}

template <typename T, int K, int V, int R>
kernel void
spatial_gradient_simd(device const T *dy [[buffer(0)]], device const T *x [[buffer(1)]], device T *dx [[buffer(2)]],
                      constant SpatialParams &p [[buffer(3)]], uint group [[threadgroup_position_in_grid]],
                      uint simdgroup [[simdgroup_index_in_threadgroup]], uint lane [[thread_index_in_simdgroup]]) {
    const int task = int(group * SPATIAL_SIMDGROUPS + simdgroup);
    if (task >= p.tasks) return;
    SimdRows<K, V, R> rows;
    gradient_walk<K, V, R>(dy, x, dx, p, simd_place<V>(p, task, int(lane)), rows);
}
