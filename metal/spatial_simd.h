// Strips of one simdgroup, for small odd square windows.
//
// A simdgroup owns a strip of columns, V = SPATIAL_SIMD_COLUMNS neighbouring ones to a lane, and walks down the image,
// R rows at a time. Each lane keeps the window's rows of its columns in registers and sums them down the columns
// (column_sums); these sums are summed along the row across lanes, by shuffles. Rows are read one step before they
// are needed. There is no threadgroup memory and no barrier. Columns at a strip's ends, whose windows leave it, are computed by two
// strips and written by one. Several narrow planes stand side by side in one simdgroup, zeros between them.
#pragma once
#include "spatial_window.h"

// Where a lane works.
struct SimdPlace {
    int plane, column;    // the lane's first column
    int first, last;      // rows that this strip writes
    bool inside, owned;   // the lane's columns are in the image; this strip writes them
};

template <int V>
METAL_FUNC SimdPlace simd_place(constant SpatialParams& p, int task, int lane)
{
    const int strip = task % p.strips, segment = task / p.strips % p.segments, planes = task / p.strips / p.segments;
    const int which = lane / p.strip_lanes, sub = lane % p.strip_lanes;
    const int plane = planes * p.strip_planes + which;
    SimdPlace place;
    place.column = (strip * p.strip_outputs - p.strip_margin + sub) * V;
    place.first = segment * p.segment;
    place.last = min(place.first + p.segment, p.height);
    place.inside = which < p.strip_planes && plane < p.planes && place.column >= 0 && place.column < p.width;
    place.owned = place.inside && sub >= p.strip_margin && sub < p.strip_margin + p.strip_outputs;
    place.plane = p.first_plane + (place.inside ? plane : 0);
    return place;
}

// One image as a lane walks down it.
template <typename T>
struct Column {
    device T* start;    // of the lane's first column, in row 0
    long row, column;   // strides
};

template <typename T>
METAL_FUNC Column<T> column_of(device T* image, constant SpatialParams& p, int which, SimdPlace place)
{
    Column<T> c;
    c.row = p.image[which].row;
    c.column = p.image[which].column;
    c.start = image + plane_offset(p, which, place.plane) + c.column * max(place.column, 0);
    return c;
}

// N rows from `row` on, V columns each; zero outside the image. What is read ahead of its use stays a T: a
// conversion to float would wait for it.
template <int V, int N, typename T>
METAL_FUNC void read_rows(Column<const T> from, constant SpatialParams& p, SimdPlace place, int row, thread vec<T, V>* v)
{
    device const T* at = from.start + from.row * row;
    if (p.aligned != 0 && row >= 0 && row + N <= p.height) {    // the same for the whole simdgroup, as what follows
        #pragma unroll
        for (int r = 0; r < N; ++r, at += from.row) v[r] = place.inside ? *(device const vec<T, V>*)at : vec<T, V>(T(0.0f));
    } else if (p.aligned != 0) {
        #pragma unroll
        for (int r = 0; r < N; ++r, at += from.row) {
            const bool inside = place.inside && uint(row + r) < uint(p.height);
            v[r] = inside ? *(device const vec<T, V>*)at : vec<T, V>(T(0.0f));
        }
    } else {
        #pragma unroll
        for (int r = 0; r < N; ++r, at += from.row) {
            const bool inside = place.inside && uint(row + r) < uint(p.height);
            #pragma unroll
            for (int c = 0; c < V; ++c) v[r][c] = inside && place.column + c < p.width ? at[from.column * c] : T(0.0f);
        }
    }
}

// R rows from `row` on, but none from place.last on.
template <int V, int R, typename T>
METAL_FUNC void write_rows(Column<T> to, constant SpatialParams& p, SimdPlace place, int row, thread const float* v)
{
    device T* at = to.start + to.row * row;
    if (p.aligned != 0) {
        #pragma unroll
        for (int r = 0; r < R; ++r, at += to.row) {
            vec<T, V> out;
            #pragma unroll
            for (int c = 0; c < V; ++c) out[c] = T(v[r * V + c]);
            if (place.owned && row + r < place.last) *(device vec<T, V>*)at = out;
        }
    } else {
        #pragma unroll
        for (int r = 0; r < R; ++r, at += to.row) {
            #pragma unroll
            for (int c = 0; c < V; ++c)
                if (place.owned && row + r < place.last && place.column + c < p.width) at[to.column * c] = T(v[r * V + c]);
        }
    }
}

// Sums of the squares in column c of the window's rows: sums[r * V + c] for the R windows of a step.
template <int K, int V, int R, typename T>
METAL_FUNC void square_sums(thread ColumnWindow<K, R>& window, thread const vec<T, V>* xs, int c, thread float* sums)
{
    float leaving[R], coming[R], columns[R];
    #pragma unroll
    for (int r = 0; r < R; ++r) {
        leaving[r] = float(xs[r][c]) * float(xs[r][c]);
        coming[r] = float(xs[K - 1 + r][c]) * float(xs[K - 1 + r][c]);
    }
    column_sums<K, R>(window, leaving, coming, columns);
    #pragma unroll
    for (int r = 0; r < R; ++r) sums[r * V + c] = columns[r];
}

template <typename T, int K, int V, int R>
METAL_FUNC void forward_simd(device const T* x, device T* y, constant SpatialParams& p, int task, int lane)
{
    constexpr int half_k = K / 2;
    const SimdPlace place = simd_place<V>(p, task, lane);
    const Column<const T> from = column_of(x, p, 0, place);
    const Column<T> to = column_of(y, p, 1, place);

    ColumnWindow<K, R> window[V];
    vec<T, V> xs[K - 1 + R], next[R];    // rows row - half_k on; the rows below those
    #pragma unroll
    for (int c = 0; c < V; ++c) clear(window[c]);
    #pragma unroll
    for (int i = 0; i < K - 1; ++i) xs[i] = vec<T, V>(T(0.0f));

    int row = place.first - round_up(K - 1, R);
    read_rows<V, R>(from, p, place, row + half_k, next);
    for (; row < place.last; row += R) {
        #pragma unroll
        for (int r = 0; r < R; ++r) xs[K - 1 + r] = next[r];
        read_rows<V, R>(from, p, place, row + R + half_k, next);
        float sums[R * V];
        #pragma unroll
        for (int c = 0; c < V; ++c) square_sums<K, V, R>(window[c], xs, c, sums);
        if (row >= place.first) {    // the same for the whole simdgroup
            float out[R * V];
            #pragma unroll
            for (int r = 0; r < R; ++r) simd_row_sums<K, V>(sums + r * V, out + r * V);
            #pragma unroll
            for (int i = 0; i < R * V; ++i) out[i] = base(p, out[i]);
            powers<R * V>(p, out, out);
            #pragma unroll
            for (int i = 0; i < R * V; ++i) out[i] *= float(xs[half_k + i / V][i % V]);
            write_rows<V, R>(to, p, place, row, out);
        }
        #pragma unroll
        for (int i = 0; i < K - 1; ++i) xs[i] = xs[i + R];
    }
}

// Two window sums in a row: T from x, then the adjoint sum of u, half a window behind it. x and dy are read once
// (and again in the margins), dx is written once.
template <typename T, int K, int V, int R>
METAL_FUNC void gradient_simd(device const T* dy, device const T* x, device T* dx, constant SpatialParams& p, int task,
                              int lane)
{
    constexpr int half_k = K / 2;
    const SimdPlace place = simd_place<V>(p, task, lane);
    const Column<const T> from_dy = column_of(dy, p, 0, place), from_x = column_of(x, p, 1, place);
    const Column<T> to = column_of(dx, p, 2, place);

    ColumnWindow<K, R> window[V], u_window[V];
    vec<T, V> xs[K - 1 + R], next_x[R], next_dy[R];    // rows row on; row + R + K - 1 on; row + R + half_k on
    float us[(K - 1 + R) * V];                         // rows row - half_k on
    float direct[(half_k + R) * V];                    // dy * T^-beta, rows row on
    #pragma unroll
    for (int c = 0; c < V; ++c) {
        clear(window[c]);
        clear(u_window[c]);
    }
    #pragma unroll
    for (int i = 0; i < K - 1; ++i) xs[i] = vec<T, V>(T(0.0f));
    #pragma unroll
    for (int i = 0; i < (K - 1) * V; ++i) us[i] = 0.0f;
    #pragma unroll
    for (int i = 0; i < half_k * V; ++i) direct[i] = 0.0f;

    const int first_u = place.first - round_up(K - 1, R);
    int row = first_u - round_up(K - 1, R);
    if (row + K - 1 + R <= 0) row += R;    // a step above the image finds zeros only
    read_rows<V, R>(from_x, p, place, row + K - 1, next_x);
    read_rows<V, R>(from_dy, p, place, row + half_k, next_dy);
    for (; row < place.last; row += R) {
        float sums[R * V], slopes[R * V];
        #pragma unroll
        for (int r = 0; r < R; ++r) xs[K - 1 + r] = next_x[r];
        #pragma unroll
        for (int i = 0; i < R * V; ++i) slopes[i] = float(next_dy[i / V][i % V]);
        read_rows<V, R>(from_x, p, place, row + R + K - 1, next_x);
        read_rows<V, R>(from_dy, p, place, row + R + half_k, next_dy);
        #pragma unroll
        for (int c = 0; c < V; ++c) square_sums<K, V, R>(window[c], xs, c, sums);
        if (row >= first_u) {
            float t[R * V], power[R * V], power_1[R * V];
            #pragma unroll
            for (int r = 0; r < R; ++r) simd_row_sums<K, V>(sums + r * V, t + r * V);
            #pragma unroll
            for (int i = 0; i < R * V; ++i) t[i] = base(p, t[i]);
            powers<R * V>(p, t, power, power_1);
            #pragma unroll
            for (int i = 0; i < R * V; ++i) {
                const int r = half_k + i / V, c = i % V;
                const bool inside = place.inside && uint(row + r) < uint(p.height) &&
                                    (p.aligned != 0 || place.column + c < p.width);
                const float u = slopes[i] * float(xs[r][c]) * power_1[i];
                direct[half_k * V + i] = slopes[i] * power[i];
                us[(K - 1) * V + i] = inside ? u : 0.0f;
            }
            #pragma unroll
            for (int c = 0; c < V; ++c) {
                float leaving[R], coming[R], columns[R];
                #pragma unroll
                for (int r = 0; r < R; ++r) {
                    leaving[r] = us[r * V + c];
                    coming[r] = us[(K - 1 + r) * V + c];
                }
                column_sums<K, R>(u_window[c], leaving, coming, columns);
                #pragma unroll
                for (int r = 0; r < R; ++r) sums[r * V + c] = columns[r];
            }
        }
        if (row >= place.first) {
            float out[R * V];
            #pragma unroll
            for (int r = 0; r < R; ++r) simd_row_sums<K, V>(sums + r * V, out + r * V);
            #pragma unroll
            for (int i = 0; i < R * V; ++i) out[i] = fma(-p.factor * float(xs[i / V][i % V]), out[i], direct[i]);
            write_rows<V, R>(to, p, place, row, out);
        }
        #pragma unroll
        for (int i = 0; i < K - 1; ++i) xs[i] = xs[i + R];
        #pragma unroll
        for (int i = 0; i < (K - 1) * V; ++i) us[i] = us[i + R * V];
        #pragma unroll
        for (int i = 0; i < half_k * V; ++i) direct[i] = direct[i + R * V];
    }
}

template <typename T, int K, int R>
kernel void spatial_forward_simd(device const T* x [[buffer(0)]],
                                 device T* y [[buffer(1)]],
                                 constant SpatialParams& p [[buffer(2)]],
                                 uint group [[threadgroup_position_in_grid]],
                                 uint simdgroup [[simdgroup_index_in_threadgroup]],
                                 uint lane [[thread_index_in_simdgroup]])
{
    const int task = int(group * SPATIAL_SIMDGROUPS + simdgroup);
    if (task < p.tasks) forward_simd<T, K, SPATIAL_SIMD_COLUMNS, R>(x, y, p, task, int(lane));
}

template <typename T, int K, int R>
kernel void spatial_gradient_simd(device const T* dy [[buffer(0)]],
                                  device const T* x [[buffer(1)]],
                                  device T* dx [[buffer(2)]],
                                  constant SpatialParams& p [[buffer(3)]],
                                  uint group [[threadgroup_position_in_grid]],
                                  uint simdgroup [[simdgroup_index_in_threadgroup]],
                                  uint lane [[thread_index_in_simdgroup]])
{
    const int task = int(group * SPATIAL_SIMDGROUPS + simdgroup);
    if (task < p.tasks) gradient_simd<T, K, SPATIAL_SIMD_COLUMNS, R>(dy, x, dx, p, task, int(lane));
}
