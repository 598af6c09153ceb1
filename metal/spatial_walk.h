// One thread's walk down V neighbouring columns of an image, R rows at a time,
// for odd square windows of K x K.
//
// The thread keeps the window's rows of its columns in registers and sums them
// down the columns (column_sums); these sums are summed along the rows with
// those of other threads, through `Rows`: by shuffles (spatial_simd.h) or in
// threadgroup memory. Rows are read one step before they are needed. Columns at
// a strip's ends, whose windows leave it, are computed by two strips and
// written by one.
#pragma once
#include "spatial_window.h"

// Where a thread works.
struct Place {
    int plane, column; // the thread's first column
    int first, last;   // rows that its strip writes
    bool inside,
        owned; // the thread's columns are in the image; its strip writes them
};

// Its strip and segment from the task, its plane among those side by side and
// its turn in the strip.
METAL_FUNC Place place_of(constant SpatialParams &p, int task, int planes_each, int which, int turn, int columns) {
    const int strip = task % p.strips, segment = task / p.strips % p.segments, planes = task / p.strips / p.segments;
    const int plane = planes * planes_each + which;
    Place place;
    place.column = (strip * p.strip_outputs - p.strip_margin + turn) * columns;
    place.first = segment * p.segment;
    place.last = min(place.first + p.segment, p.height);
    place.inside = which < planes_each && plane < p.planes && place.column >= 0 && place.column < p.width;
    place.owned = place.inside && turn >= p.strip_margin && turn < p.strip_margin + p.strip_outputs;
    place.plane = p.first_plane + (place.inside ? plane : 0);
    return place;
}

// V neighbouring elements, read and written together where memory allows.
template <typename T, int V> struct Neighbours {
    typedef vec<T, V> type;
    METAL_FUNC static float get(thread const type &v, int c) { return float(v[c]); }
    METAL_FUNC static void set(thread type &v, int c, T value) { v[c] = value; }
};
template <typename T> struct Neighbours<T, 1> {
    typedef T type;
    METAL_FUNC static float get(thread const type &v, int) { return float(v); }
    METAL_FUNC static void set(thread type &v, int, T value) { v = value; }
};

// One image as a thread walks down it.
template <typename T> struct Column {
    device T *at;     // the thread's first column in the next row to be read or written
    long row, column; // strides
};

template <typename T>
METAL_FUNC Column<T> column_of(device T *image, constant SpatialParams &p, int which, Place place, int row) {
    Column<T> c;
    c.row = p.image[which].row;
    c.column = p.image[which].column;
    c.at = image + plane_offset(p, which, place.plane) + c.column * max(place.column, 0) + c.row * row;
    return c;
}

// Those of one row that are in the image, in pairs or one by one; the others are zero.
template <int V, typename T>
METAL_FUNC typename Neighbours<T, V>::type read_some(device const T *at, long step, bool pairs, int columns) {
    typename Neighbours<T, V>::type v;
    if (V % 2 == 0 && pairs) {
#pragma unroll
        for (int c = 0; c + 1 < V; c += 2) {
            const vec<T, 2> pair = c < columns ? *(device const vec<T, 2> *)(at + c) : vec<T, 2>(T(0.0f));
            Neighbours<T, V>::set(v, c, pair[0]);
            Neighbours<T, V>::set(v, c + 1, pair[1]);
        }
    } else {
#pragma unroll
        for (int c = 0; c < V; ++c) Neighbours<T, V>::set(v, c, c < columns ? at[step * c] : T(0.0f));
    }
    return v;
}

// R rows from `row` on, zero outside the image or if not `wanted`; steps down
// to the rows after them. What is read ahead of its use stays a T: a conversion
// to float would wait for it. The branches are the same for the whole
// simdgroup.
template <int V, int R, typename T>
METAL_FUNC void read_rows(thread Column<const T> &from, constant SpatialParams &p, Place place, int row, bool wanted,
                          thread typename Neighbours<T, V>::type *v) {
    typedef typename Neighbours<T, V>::type Vector;
    device const T *at = from.at;
    from.at += from.row * R;
    wanted = wanted && place.inside;
    const bool together = p.aligned == V;
    if (together && row >= 0 && row + R <= p.height) {
#pragma unroll
        for (int r = 0; r < R; ++r, at += from.row) v[r] = wanted ? *(device const Vector *)at : Vector(T(0.0f));
    } else if (together) {
#pragma unroll
        for (int r = 0; r < R; ++r, at += from.row) {
            const bool inside = wanted && uint(row + r) < uint(p.height);
            v[r] = inside ? *(device const Vector *)at : Vector(T(0.0f));
        }
    } else {
#pragma unroll
        for (int r = 0; r < R; ++r, at += from.row) {
            const bool inside = wanted && uint(row + r) < uint(p.height);
            v[r] = read_some<V>(at, from.column, p.aligned == 2, inside ? p.width - place.column : 0);
        }
    }
}

// R rows from `row` on, but none from place.last on; steps down to the rows after them.
template <int V, int R, typename T>
METAL_FUNC void write_rows(thread Column<T> &to, constant SpatialParams &p, Place place, int row,
                           thread const float *v) {
    typedef typename Neighbours<T, V>::type Vector;
    device T *at = to.at;
    to.at += to.row * R;
    if (p.aligned == V) {
#pragma unroll
        for (int r = 0; r < R; ++r, at += to.row) {
            Vector out;
#pragma unroll
            for (int c = 0; c < V; ++c) Neighbours<T, V>::set(out, c, T(v[r * V + c]));
            if (place.owned && row + r < place.last) *(device Vector *)at = out;
        }
        return;
    }
    const int columns = p.width - place.column;
#pragma unroll
    for (int r = 0; r < R; ++r, at += to.row) {
        if (!place.owned || row + r >= place.last) continue;
        if (V % 2 == 0 && p.aligned == 2) {
#pragma unroll
            for (int c = 0; c + 1 < V; c += 2) {
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

// Takes the rows that were read as the newest block.
template <int K, int V, int R, typename T>
METAL_FUNC void keep_rows(thread const typename Neighbours<T, V>::type *next, thread float *rows) {
#pragma unroll
    for (int i = 0; i < R * V; ++i) rows[Blocks<K, R>::newest * V + i] = Neighbours<T, V>::get(next[i / V], i % V);
}

// The blocks before the newest of the first step.
template <int K, int V, int R, typename T>
METAL_FUNC void first_blocks(thread Column<const T> &from, constant SpatialParams &p, Place place, int row,
                             thread float *rows, thread float *totals) {
#pragma unroll
    for (int b = 0; b < Blocks<K, R>::count - 1; ++b) {
        typename Neighbours<T, V>::type next[R];
        read_rows<V, R>(from, p, place, row + b * R, true, next);
#pragma unroll
        for (int c = 0; c < V; ++c) {
            float total = 0.0f;
#pragma unroll
            for (int r = 0; r < R; ++r) {
                const float value = Neighbours<T, V>::get(next[r], c);
                rows[(b * R + r) * V + c] = value;
                total = r == 0 ? Squares::first(value) : Squares::add(total, value);
            }
            totals[b * V + c] = total;
        }
    }
}

// y = x * T^-beta
template <int K, int V, int R, typename T, typename Rows>
METAL_FUNC void forward_walk(device const T *x, device T *y, constant SpatialParams &p, Place place,
                             thread Rows &rows) {
    constexpr int half_k = K / 2, newest = Blocks<K, R>::newest;
    float xs[Blocks<K, R>::rows * V], totals[Blocks<K, R>::count * V]; // the newest rows are row + half_k on
    typename Neighbours<T, V>::type next[R];
    int row = place.first, turn = 0;
    Column<const T> from = column_of(x, p, 0, place, row + half_k - newest);
    Column<T> to = column_of(y, p, 1, place, row);
    first_blocks<K, V, R>(from, p, place, row + half_k - newest, xs, totals);
    read_rows<V, R>(from, p, place, row + half_k, true, next);
    for (; row < place.last; row += R, turn ^= 1) {
        keep_rows<K, V, R, T>(next, xs);
        read_rows<V, R>(from, p, place, row + R + half_k, row + R < place.last, next);
        float sums[R * V], out[R * V];
        column_sums<Squares, K, V, R>(xs, xs + newest * V, totals, sums);
        rows.sum(turn, sums, out);
#pragma unroll
        for (int i = 0; i < R * V; ++i) out[i] = base(p, out[i]);
        powers<R * V>(p, out, out);
#pragma unroll
        for (int i = 0; i < R * V; ++i) out[i] *= xs[(newest - half_k) * V + i];
        write_rows<V, R>(to, p, place, row, out);
        age_rows<K, V, R>(xs);
        age_totals<K, V, R>(totals);
    }
}
