// Planes of HEIGHT rows for small odd square windows: a thread takes whole columns, V of them, in registers, and sums
// along the rows by shuffles. Planes stand side by side in a simdgroup, zeros between them, as in spatial_simd.h, but
// nothing is walked: all rows are read at once, and no window is begun twice.
#pragma once
#include "spatial_planes.h"
#include "spatial_simd.h"

// sums = window sums of HEIGHT rows of V columns.
template <int K, int V, int HEIGHT> METAL_FUNC void whole_window_sums(thread const float *v, thread float *sums) {
    float columns[HEIGHT * V];
#pragma unroll
    for (int c = 0; c < V; ++c) line_windows<K, HEIGHT, V>(v + c, columns + c);
#pragma unroll
    for (int r = 0; r < HEIGHT; ++r) simd_row_sums<K, V>(columns + r * V, sums + r * V);
}

template <int V, int HEIGHT, typename T>
METAL_FUNC void read_columns(device const T *image, constant SpatialParams &p, int which, Place place,
                             thread typename Neighbours<T, V>::type *v) {
    Column<const T> from = column_of(image, p, which, place, 0);
    read_rows<V, HEIGHT>(from, p, place, 0, true, v);
}
template <int V, int HEIGHT, typename T>
METAL_FUNC void write_columns(device T *image, constant SpatialParams &p, int which, Place place,
                              thread const float *v) {
    Column<T> to = column_of(image, p, which, place, 0);
    write_rows<V, HEIGHT>(to, p, place, 0, v);
}

// y = x * T^-beta
template <typename T, int K, int V, int HEIGHT>
kernel void
spatial_forward_columns(device const T *x [[buffer(0)]], device T *y [[buffer(1)]],
                        constant SpatialParams &p [[buffer(2)]], uint group [[threadgroup_position_in_grid]],
                        uint simdgroup [[simdgroup_index_in_threadgroup]], uint lane [[thread_index_in_simdgroup]]) {
    constexpr int n = HEIGHT * V;
    const int task = int(group * SPATIAL_SIMDGROUPS + simdgroup);
    if (task >= p.tasks) return;
    const Place place = simd_place<V>(p, task, int(lane));
    typename Neighbours<T, V>::type rows[HEIGHT];
    read_columns<V, HEIGHT>(x, p, 0, place, rows);
    float xs[n], t[n];
#pragma unroll
    for (int i = 0; i < n; ++i) {
        const float value = Neighbours<T, V>::get(rows[i / V], i % V);
        xs[i] = value * value;
    }
    whole_window_sums<K, V, HEIGHT>(xs, t);
#pragma unroll
    for (int i = 0; i < n; ++i) t[i] = base(p, t[i]);
    powers<n>(p, t, t);
#pragma unroll
    for (int i = 0; i < n; ++i) t[i] *= Neighbours<T, V>::get(rows[i / V], i % V);
    write_columns<V, HEIGHT>(y, p, 1, place, t);
}

// dx = dy * T^-beta - factor * x * (window sum of dy * x * T^-(beta + 1))
template <typename T, int K, int V, int HEIGHT>
kernel void
spatial_gradient_columns(device const T *dy [[buffer(0)]], device const T *x [[buffer(1)]], device T *dx [[buffer(2)]],
                         constant SpatialParams &p [[buffer(3)]], uint group [[threadgroup_position_in_grid]],
                         uint simdgroup [[simdgroup_index_in_threadgroup]], uint lane [[thread_index_in_simdgroup]]) {
    constexpr int n = HEIGHT * V;
    const int task = int(group * SPATIAL_SIMDGROUPS + simdgroup);
    if (task >= p.tasks) return;
    const Place place = simd_place<V>(p, task, int(lane));
    typename Neighbours<T, V>::type rows[HEIGHT], slopes[HEIGHT];
    read_columns<V, HEIGHT>(x, p, 1, place, rows);
    read_columns<V, HEIGHT>(dy, p, 0, place, slopes);
    float us[n], t[n], direct[n];
#pragma unroll
    for (int i = 0; i < n; ++i) {
        const float value = Neighbours<T, V>::get(rows[i / V], i % V);
        us[i] = value * value;
    }
    whole_window_sums<K, V, HEIGHT>(us, t);
#pragma unroll
    for (int r = 0; r < HEIGHT; ++r) {
        float power[V], power_1[V];
#pragma unroll
        for (int c = 0; c < V; ++c) t[r * V + c] = base(p, t[r * V + c]);
        powers<V>(p, t + r * V, power, power_1);
#pragma unroll
        for (int c = 0; c < V; ++c) {
            const float slope = Neighbours<T, V>::get(slopes[r], c);
            const float term = slope * Neighbours<T, V>::get(rows[r], c) * power_1[c];
            direct[r * V + c] = slope * power[c];
            // Beside the image T may be zero, and the term nan.
            us[r * V + c] = place.inside && c < p.width - place.column ? term : 0.0f;
        }
    }
    whole_window_sums<K, V, HEIGHT>(us, t);
#pragma unroll
    for (int i = 0; i < n; ++i) direct[i] = fma(-p.factor * Neighbours<T, V>::get(rows[i / V], i % V), t[i], direct[i]);
    write_columns<V, HEIGHT>(dx, p, 2, place, direct);
}
