// Strips of one simdgroup, for small odd square windows.
//
// A simdgroup owns a strip of columns, V = SPATIAL_SIMD_COLUMNS neighbouring ones to a lane, and walks down the image,
// R rows at a time. Each lane keeps the window's rows of its columns in registers and sums them down the columns
// (column_sums); these sums are summed along the row across lanes, by shuffles. Rows are read one step before they
// are needed. There is no threadgroup memory and no barrier. Columns at a strip's ends, whose windows leave it, are
// computed by two strips and written by one. Several narrow planes stand side by side in one simdgroup, zeros between
// them.
#pragma once
#include "spatial_window.h"

// Where a lane works.
struct SimdPlace {
    int plane, column;  // the lane's first column
    int first, last;    // rows that this strip writes
    bool inside, owned; // the lane's columns are in the image; this strip writes them
};

template <int V> METAL_FUNC SimdPlace simd_place(constant SpatialParams &p, int task, int lane) {
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
template <typename T> struct Column {
    device T *start;  // of the lane's first column, in row 0
    long row, column; // strides
};

template <typename T>
METAL_FUNC Column<T> column_of(device T *image, constant SpatialParams &p, int which, SimdPlace place) {
    Column<T> c;
    c.row = p.image[which].row;
    c.column = p.image[which].column;
    c.start = image + plane_offset(p, which, place.plane) + c.column * max(place.column, 0);
    return c;
}

// V columns of one row; those outside the image are zero. The whole lane is in the image or out of it where vectors
// are read, a pair likewise.
template <int V, typename T> METAL_FUNC vec<T, V> read_pairs(device const T *at, bool inside, int columns) {
    vec<T, V> v;
#pragma unroll
    for (int c = 0; c < V; c += 2) {
        const vec<T, 2> pair = inside && c < columns ? *(device const vec<T, 2> *)(at + c) : vec<T, 2>(T(0.0f));
        v[c] = pair[0];
        v[c + 1] = pair[1];
    }
    return v;
}
template <int V, typename T>
METAL_FUNC vec<T, V> read_elements(device const T *at, long step, bool inside, int columns) {
    vec<T, V> v;
#pragma unroll
    for (int c = 0; c < V; ++c) v[c] = inside && c < columns ? at[step * c] : T(0.0f);
    return v;
}

// N rows from `row` on; zero outside the image. What is read ahead of its use stays a T: a conversion to float would
// wait for it. The branches are the same for the whole simdgroup.
template <int V, int N, typename T>
METAL_FUNC void read_rows(Column<const T> from, constant SpatialParams &p, SimdPlace place, int row,
                          thread vec<T, V> *v) {
    device const T *at = from.start + from.row * row;
    const int columns = p.width - place.column;
    if (p.aligned == V && row >= 0 && row + N <= p.height) {
#pragma unroll
        for (int r = 0; r < N; ++r, at += from.row)
            v[r] = place.inside ? *(device const vec<T, V> *)at : vec<T, V>(T(0.0f));
    } else if (p.aligned == V) {
#pragma unroll
        for (int r = 0; r < N; ++r, at += from.row) {
            const bool inside = place.inside && uint(row + r) < uint(p.height);
            v[r] = inside ? *(device const vec<T, V> *)at : vec<T, V>(T(0.0f));
        }
    } else if (p.aligned == 2) {
#pragma unroll
        for (int r = 0; r < N; ++r, at += from.row)
            v[r] = read_pairs<V>(at, place.inside && uint(row + r) < uint(p.height), columns);
    } else {
#pragma unroll
        for (int r = 0; r < N; ++r, at += from.row)
            v[r] = read_elements<V>(at, from.column, place.inside && uint(row + r) < uint(p.height), columns);
    }
}

// R rows from `row` on, but none from place.last on.
template <int V, int R, typename T>
METAL_FUNC void write_rows(Column<T> to, constant SpatialParams &p, SimdPlace place, int row, thread const float *v) {
    device T *at = to.start + to.row * row;
    const int columns = p.width - place.column;
#pragma unroll
    for (int r = 0; r < R; ++r, at += to.row) {
        if (!place.owned || row + r >= place.last) continue;
        if (p.aligned == V) {
            vec<T, V> out;
#pragma unroll
            for (int c = 0; c < V; ++c) out[c] = T(v[r * V + c]);
            *(device vec<T, V> *)at = out;
        } else if (p.aligned == 2) {
#pragma unroll
            for (int c = 0; c < V; c += 2) {
                vec<T, 2> out;
                out[0] = T(v[r * V + c]);
                out[1] = T(v[r * V + c + 1]);
                if (c < columns) *(device vec<T, 2> *)(at + c) = out;
            }
        } else {
#pragma unroll
            for (int c = 0; c < V; ++c)
                if (c < columns) at[to.column * c] = T(v[r * V + c]);
        }
    }
}

// Sums of the squares in column c of the window's rows: sums[r * V + c] for the R windows of a step.
template <int K, int V, int R, typename T>
METAL_FUNC void square_sums(thread ColumnWindow<K, R> &window, thread const vec<T, V> *xs, int c, thread float *sums) {
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

// Window sums along R rows, V columns to a lane, across the lanes of a simdgroup.
template <int K, int V, int R> struct SimdRows {
    METAL_FUNC void sum(thread const float *v, thread float *sums) {
#pragma unroll
        for (int r = 0; r < R; ++r) simd_row_sums<K, V>(v + r * V, sums + r * V);
    }
};

// `rows` sums along the rows: SimdRows, or what does the same for a threadgroup.
template <int K, int V, int R, typename T, typename Rows>
METAL_FUNC void forward_walk(device const T *x, device T *y, constant SpatialParams &p, SimdPlace place,
                             thread Rows &rows) {
    constexpr int half_k = K / 2;
    const Column<const T> from = column_of(x, p, 0, place);
    const Column<T> to = column_of(y, p, 1, place);

    ColumnWindow<K, R> window[V];
    vec<T, V> xs[K - 1 + R], next[R]; // rows row - half_k on; the rows below those
#pragma unroll
    for (int c = 0; c < V; ++c) clear(window[c]);
#pragma unroll
    for (int i = 0; i < K - 1; ++i) xs[i] = vec<T, V>(T(0.0f));

    int row = place.first - round_up(K - 1, R);
    read_rows<V, R>(from, p, place, row + half_k, next);
    for (; row < place.last; row += R) {
#pragma unroll
        for (int r = 0; r < R; ++r) xs[K - 1 + r] = next[r];
        if (row + R < place.last) read_rows<V, R>(from, p, place, row + R + half_k, next);
        float sums[R * V];
#pragma unroll
        for (int c = 0; c < V; ++c) square_sums<K, V, R>(window[c], xs, c, sums);
        if (row >= place.first) { // the same for all lanes
            float out[R * V];
            rows.sum(sums, out);
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
template <int K, int V, int R, typename T, typename Rows>
METAL_FUNC void gradient_walk(device const T *dy, device const T *x, device T *dx, constant SpatialParams &p,
                              SimdPlace place, thread Rows &rows) {
    constexpr int half_k = K / 2;
    const Column<const T> from_dy = column_of(dy, p, 0, place), from_x = column_of(x, p, 1, place);
    const Column<T> to = column_of(dx, p, 2, place);

    ColumnWindow<K, R> window[V], u_window[V];
    vec<T, V> xs[K - 1 + R];         // rows row on
    vec<T, V> next_x[R], next_dy[R]; // rows row + K - 1 on, row + half_k on
    float us[(K - 1 + R) * V];       // rows row - half_k on
    float direct[(half_k + R) * V];  // dy * T^-beta, rows row on
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
    if (row + K - 1 + R <= 0) row += R; // a step above the image finds zeros only
    read_rows<V, R>(from_x, p, place, row + K - 1, next_x);
    read_rows<V, R>(from_dy, p, place, row + half_k, next_dy);
    for (; row < place.last; row += R) {
        float sums[R * V], slopes[R * V];
#pragma unroll
        for (int r = 0; r < R; ++r) xs[K - 1 + r] = next_x[r];
#pragma unroll
        for (int i = 0; i < R * V; ++i) slopes[i] = float(next_dy[i / V][i % V]);
        if (row + R < place.last) {
            read_rows<V, R>(from_x, p, place, row + R + K - 1, next_x);
            read_rows<V, R>(from_dy, p, place, row + R + half_k, next_dy);
        }
#pragma unroll
        for (int c = 0; c < V; ++c) square_sums<K, V, R>(window[c], xs, c, sums);
        if (row >= first_u) {
            float t[R * V], power[R * V], power_1[R * V];
            rows.sum(sums, t);
#pragma unroll
            for (int i = 0; i < R * V; ++i) t[i] = base(p, t[i]);
            powers<R * V>(p, t, power, power_1);
#pragma unroll
            for (int i = 0; i < R * V; ++i) {
                const int r = half_k + i / V, c = i % V;
                const bool inside = place.inside && uint(row + r) < uint(p.height) && place.column + c < p.width;
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
            rows.sum(sums, out);
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
kernel void spatial_forward_simd(device const T *x [[buffer(0)]], device T *y [[buffer(1)]],
                                 constant SpatialParams &p [[buffer(2)]], uint group [[threadgroup_position_in_grid]],
                                 uint simdgroup [[simdgroup_index_in_threadgroup]],
                                 uint lane [[thread_index_in_simdgroup]]) {
    const int task = int(group * SPATIAL_SIMDGROUPS + simdgroup);
    if (task >= p.tasks) return;
    SimdRows<K, SPATIAL_SIMD_COLUMNS, R> rows;
    forward_walk<K, SPATIAL_SIMD_COLUMNS, R>(x, y, p, simd_place<SPATIAL_SIMD_COLUMNS>(p, task, int(lane)), rows);
}

template <typename T, int K, int R>
kernel void
spatial_gradient_simd(device const T *dy [[buffer(0)]], device const T *x [[buffer(1)]], device T *dx [[buffer(2)]],
                      constant SpatialParams &p [[buffer(3)]], uint group [[threadgroup_position_in_grid]],
                      uint simdgroup [[simdgroup_index_in_threadgroup]], uint lane [[thread_index_in_simdgroup]]) {
    const int task = int(group * SPATIAL_SIMDGROUPS + simdgroup);
    if (task >= p.tasks) return;
    SimdRows<K, SPATIAL_SIMD_COLUMNS, R> rows;
    gradient_walk<K, SPATIAL_SIMD_COLUMNS, R>(dy, x, dx, p, simd_place<SPATIAL_SIMD_COLUMNS>(p, task, int(lane)), rows);
}
