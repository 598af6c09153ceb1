// The gradient's walk down V neighbouring columns: two window sums in a row, T
// from x, then the adjoint sum of u, half a window behind it. x and dy are read
// once (and again in the margins), dx is written once.
//
// It needs few registers and instructions: rows of x are kept as they are
// stored; a window begins and ends at any row of a step; and steps whose rows
// are all inside the image and the strip stand apart, without conditions.
#pragma once
#include "spatial_walk.h"

// A window of K rows over steps of R rows: the last rows of the step that its
// first row stands in, whole blocks, the `tail` rows before the newest step,
// and the first rows of that.
template <int K, int R> struct Span {
    enum {
        blocks = (K - 1) / R, // from the first row's own on
        tail = (K - 1) % R,
        warm_up = blocks - 1 + (tail > 0) // steps whose rows are in the first window's totals
    };
    static_assert(K > R, "a step is as high as the window");
};

// Adds the newest R rows to the totals: of the whole blocks, oldest first, and
// of the tail. ends[i]: the tail and rows 0 .. i.
template <typename Terms, int K, int V, int R>
METAL_FUNC void add_rows(thread const float *newest, thread float *totals, thread float *ends) {
    constexpr int blocks = Span<K, R>::blocks, tail = Span<K, R>::tail;
#pragma unroll
    for (int c = 0; c < V; ++c) {
        float end = totals[(blocks - 1) * V + c], rest = 0.0f;
#pragma unroll
        for (int r = 0; r < R; ++r) {
            const float value = newest[r * V + c];
            end = r == 0 && tail == 0 ? Terms::first(value) : Terms::add(end, value);
            ends[r * V + c] = end;
            if (r >= R - tail) rest = r == R - tail ? Terms::first(value) : Terms::add(rest, value);
        }
#pragma unroll
        for (int b = 0; b < blocks - 2; ++b) totals[b * V + c] = totals[(b + 1) * V + c];
        if (blocks > 1) totals[(blocks - 2) * V + c] = ends[(R - 1 - tail) * V + c];
        totals[(blocks - 1) * V + c] = rest;
    }
}

// sums[r * V + c] for the R windows that begin with the oldest rows and end with the newest.
template <typename Terms, int K, int V, int R>
METAL_FUNC void span_sums(thread const float *oldest, thread const float *newest, thread float *totals,
                          thread float *sums) {
    constexpr int blocks = Span<K, R>::blocks;
    float whole[V], ends[R * V];
#pragma unroll
    for (int c = 0; c < V; ++c) {
        whole[c] = 0.0f;
#pragma unroll
        for (int b = 0; b < blocks - 1; ++b) whole[c] = b == 0 ? totals[c] : whole[c] + totals[b * V + c];
    }
    add_rows<Terms, K, V, R>(newest, totals, ends);
#pragma unroll
    for (int c = 0; c < V; ++c) {
        float begun = whole[c];
#pragma unroll
        for (int i = R - 1; i >= 0; --i) {
            const float value = oldest[i * V + c];
            begun = i == R - 1 && blocks == 1 ? Terms::first(value) : Terms::add(begun, value);
            sums[i * V + c] = begun + ends[i * V + c];
        }
    }
}

// As column_of, with a valid place for threads beside the image.
template <typename T>
METAL_FUNC Column<T> valid_column(device T *image, constant SpatialParams &p, int which, Place place, int row) {
    place.column = place.inside ? place.column : 0;
    return column_of(image, p, which, place, row);
}

// As read_rows, where rows are not all inside the image or columns are read one by one.
template <int V, int R, typename T>
METAL_FUNC void read_edge(thread Column<const T> &from, constant SpatialParams &p, Place place, int row, bool wanted,
                          thread typename Neighbours<T, V>::type *v) {
    if (V > 1) {
        read_rows<V, R>(from, p, place, row, wanted, v);
        return;
    }
    typedef typename Neighbours<T, V>::type Vector;
#pragma unroll
    for (int r = 0; r < R; ++r, from.at += from.row)
        v[r] = wanted && uint(row + r) < uint(p.height) ? *(device const Vector *)from.at : Vector(T(0.0f));
}

// As read_rows, but a thread beside the image may get the values of some column: to choose zeros instead would wait for
// them.
template <int V, int R, typename T>
METAL_FUNC void read_any(thread Column<const T> &from, constant SpatialParams &p, Place place, int row, bool wanted,
                         thread typename Neighbours<T, V>::type *v) {
    if ((V == 1 || p.aligned == V) && row >= 0 && row + R <= p.height) { // the same for all threads
#pragma unroll
        for (int r = 0; r < R; ++r, from.at += from.row)
            v[r] = *(device const typename Neighbours<T, V>::type *)from.at;
    } else {
        read_edge<V, R>(from, p, place, row, wanted, v);
    }
}

// Strides in bytes of 32 bits take the fewest instructions; the host sees to it that they suffice.
template <typename T> METAL_FUNC int row_bytes(constant SpatialParams &p, int which) {
    return int(p.image[which].row * long(sizeof(T)));
}
template <typename Pointer> METAL_FUNC Pointer rows_below(Pointer at, int bytes, int rows) {
    return (Pointer)((device const char *)at + long(bytes) * rows);
}

// Rows of x from `row` on and of dy from half a window above: one choice for both.
template <bool INNER, int K, int V, int R, typename T>
METAL_FUNC void read_next(thread Column<const T> &x, thread Column<const T> &dy, constant SpatialParams &p, Place place,
                          int row, bool wanted, thread typename Neighbours<T, V>::type *next_x,
                          thread typename Neighbours<T, V>::type *next_dy) {
    typedef typename Neighbours<T, V>::type Vector;
    constexpr int above = K / 2;
    if (INNER) {
        const int x_bytes = row_bytes<T>(p, 1), dy_bytes = row_bytes<T>(p, 0);
#pragma unroll
        for (int r = 0; r < R; ++r) {
            next_x[r] = *(device const Vector *)x.at;
            next_dy[r] = *(device const Vector *)dy.at;
            x.at = rows_below(x.at, x_bytes, 1);
            dy.at = rows_below(dy.at, dy_bytes, 1);
        }
    } else if ((V == 1 || p.aligned == V) && row >= above && row + R <= p.height) { // the same for all threads
#pragma unroll
        for (int r = 0; r < R; ++r, x.at += x.row, dy.at += dy.row) {
            next_x[r] = *(device const Vector *)x.at;
            next_dy[r] = *(device const Vector *)dy.at;
        }
    } else {
        read_edge<V, R>(x, p, place, row, wanted, next_x);
        read_edge<V, R>(dy, p, place, row - above, wanted, next_dy);
    }
}

// Rows of x as floats. Those that have just been read get their zeros beside the image.
template <int V, int R, typename T>
METAL_FUNC void take_rows(Place place, bool read, thread typename Neighbours<T, V>::type *v, thread float *values) {
    typedef typename Neighbours<T, V>::type Vector;
#pragma unroll
    for (int r = 0; r < R && read; ++r) v[r] = place.inside ? v[r] : Vector(T(0.0f));
#pragma unroll
    for (int i = 0; i < R * V; ++i) values[i] = Neighbours<T, V>::get(v[i / V], i % V);
}

// As write_rows, but none before place.first either.
template <int V, int R, typename T>
METAL_FUNC void write_any(thread Column<T> &to, constant SpatialParams &p, Place place, int row,
                          thread const float *v) {
    typedef typename Neighbours<T, V>::type Vector;
    if (V == 1 || p.aligned == V) {
#pragma unroll
        for (int r = 0; r < R; ++r, to.at += to.row) {
            Vector out;
#pragma unroll
            for (int c = 0; c < V; ++c) Neighbours<T, V>::set(out, c, T(v[r * V + c]));
            const bool wanted = row + r >= place.first && row + r < place.last; // the same for all threads
            if (place.owned && wanted) *(device Vector *)to.at = out;
        }
    } else {
#pragma unroll
        for (int r = 0; r < R; ++r) {
            if (row + r >= place.first) write_rows<V, 1>(to, p, place, row + r, v + r * V);
            else to.at += to.row;
        }
    }
}

// The same of rows that are all wanted.
template <int V, int R, typename T>
METAL_FUNC void write_inner(thread Column<T> &to, constant SpatialParams &p, Place place, thread const float *v) {
    typedef typename Neighbours<T, V>::type Vector;
    const int bytes = row_bytes<T>(p, 2);
    if (place.owned) {
#pragma unroll
        for (int r = 0; r < R; ++r) {
            Vector out;
#pragma unroll
            for (int c = 0; c < V; ++c) Neighbours<T, V>::set(out, c, T(v[r * V + c]));
            *(device Vector *)rows_below(to.at, bytes, r) = out;
        }
    }
    to.at = rows_below(to.at, bytes, R);
}

// u = dy * x * T^-(beta + 1) and direct = dy * T^-beta of R rows, from the sums over their windows. Outside the image
// T may be zero or infinite, and the term nan. INNER: no row is above or below it. PLAIN: T^-beta is a plain power.
template <bool INNER, bool PLAIN, int V, int R, typename T>
METAL_FUNC void gradient_terms(constant SpatialParams &p, Place place, int row, thread const float *sums,
                               thread const typename Neighbours<T, V>::type *slopes,
                               thread const typename Neighbours<T, V>::type *x, thread float *u, thread float *direct) {
    float t[R * V], power[R * V], power_1[R * V];
#pragma unroll
    for (int i = 0; i < R * V; ++i) t[i] = base(p, sums[i]);
    if (PLAIN) plain_powers<R * V>(p, t, power, power_1);
    else powers<R * V>(p, t, power, power_1);
#pragma unroll
    for (int i = 0; i < R * V; ++i) {
        const float slope = Neighbours<T, V>::get(slopes[i / V], i % V);
        const float term = slope * Neighbours<T, V>::get(x[i / V], i % V) * power_1[i];
        direct[i] = slope * power[i];
        u[i] = place.inside && (INNER || V == 1 || i % V < p.width - place.column) ? term : 0.0f;
    }
    if (INNER || (row >= 0 && row + R <= p.height)) return; // the same for all threads
#pragma unroll
    for (int i = 0; i < R * V; ++i) u[i] = uint(row + i / V) < uint(p.height) ? u[i] : 0.0f;
}

// One thread's walk, R rows at a time.
template <typename T, int K, int V, int R, typename Rows> struct GradientWalk {
    typedef typename Neighbours<T, V>::type Vector;
    enum : int { half_k = K / 2, blocks = Span<K, R>::blocks, warm_up = Span<K, R>::warm_up };
    // Threads without results are not worth a branch otherwise.
    enum : bool { margins_are_simdgroups = K > SPATIAL_WIDE };
    // Whether inner steps stand apart: not where that was no faster on an NVIDIA GPU.
    enum : bool { apart = Rows::in_memory && (K <= SPATIAL_WIDE || sizeof(T) < sizeof(float)) };
    Place place;
    int row;
    Column<const T> newest, from_dy;
    Column<T> to;
    // The oldest rows are row - half_k on in us, row on in direct and xs.
    float us[(K - 1 + R) * V], direct[(half_k + R) * V], totals[blocks * V], u_totals[blocks * V];
    Vector xs[K - 1 + R], next_x[R], next_dy[R];

    METAL_FUNC void begin(device const T *dy, device const T *x, device T *dx, constant SpatialParams &p) {
        row = place.first - round_up(K - 1, R);
        newest = valid_column(x, p, 1, place, row);
        from_dy = valid_column(dy, p, 0, place, row + half_k);
        to = valid_column(dx, p, 2, place, place.first);
        fill_zero<(K - 1) * V>(us);
        fill_zero<half_k * V>(direct);
        fill_zero<blocks * V>(totals);
        fill_zero<blocks * V>(u_totals);
        float values[R * V], sums[R * V];
        constexpr int first = (K - 1) % R;
        if (first > 0) read_any<V, first == 0 ? 1 : first>(newest, p, place, row, true, xs);
#pragma unroll
        for (int i = first; i < K - 1; i += R) read_any<V, R>(newest, p, place, row + i, true, xs + i);
        // Before anything waits.
        read_next<false, K, V, R>(newest, from_dy, p, place, row + K - 1, true, next_x, next_dy);
#pragma unroll
        for (int i = 0; i < K - 1; ++i) xs[i] = place.inside ? xs[i] : Vector(T(0.0f));
#pragma unroll
        for (int i = K - 1 - warm_up * R; i < K - 1; i += R) {
            Vector some[R];
#pragma unroll
            for (int r = 0; r < R; ++r) some[r] = i + r >= 0 ? xs[i + r] : Vector(T(0.0f));
            take_rows<V, R, T>(place, false, some, values);
            add_rows<Squares, K, V, R>(values, totals, sums);
        }
    }

    // All rows that the next step reads are in the image, all that it writes are the strip's, if they are not above it.
    METAL_FUNC bool inner(constant SpatialParams &p) const {
        return row + R <= place.last && row + 2 * R + K - 1 <= p.height;
    }

    template <bool INNER> METAL_FUNC void step(constant SpatialParams &p, thread Rows &rows) {
        const bool more = row + R < place.last;
        float values[R * V], sums[R * V], out[R * V], old[R * V];
        Vector slopes[R], middle[R], end[R];
        take_rows<V, R, T>(place, true, next_x, values);
#pragma unroll
        for (int r = 0; r < R; ++r) {
            // dy needs no zeros; but after a choice the next rows can be read to where these were, without a wait.
            slopes[r] = !apart || place.inside ? next_dy[r] : Vector(T(0.0f));
            xs[K - 1 + r] = next_x[r];
        }
#pragma unroll
        for (int r = 0; r < R; ++r) {
            end[r] = xs[r];
            middle[r] = xs[half_k + r];
        }
        take_rows<V, R, T>(place, false, end, old);
        read_next<INNER, K, V, R>(newest, from_dy, p, place, row + R + K - 1, more, next_x, next_dy);
        span_sums<Squares, K, V, R>(old, values, totals, sums);
        rows.sum(0, sums, out);
        gradient_terms<INNER, INNER, V, R, T>(p, place, row + half_k, out, slopes, middle, us + (K - 1) * V,
                                              direct + half_k * V);
        span_sums<Values, K, V, R>(us, us + (K - 1) * V, u_totals, sums);
        if (INNER || row >= place.first) { // the same for all threads
            rows.sum(1, sums, out);
            if (!margins_are_simdgroups || place.owned) {
#pragma unroll
                for (int i = 0; i < R * V; ++i) out[i] = fma(-p.factor * old[i], out[i], direct[i]);
                if (INNER) write_inner<V, R>(to, p, place, out);
                else write_any<V, R>(to, p, place, row, out);
            }
        } else {
            rows.skip();
        }
#pragma unroll
        for (int i = 0; i < (K - 1) * V; ++i) us[i] = us[i + R * V];
#pragma unroll
        for (int i = 0; i < half_k * V; ++i) direct[i] = direct[i + R * V];
#pragma unroll
        for (int i = 0; i < K - 1; ++i) xs[i] = xs[i + R];
        row += R;
    }
};

template <int K, int V, int R, typename T, typename Rows>
METAL_FUNC void gradient_walk(device const T *dy, device const T *x, device T *dx, constant SpatialParams &p,
                              Place place, thread Rows &rows) {
    GradientWalk<T, K, V, R, Rows> walk;
    walk.place = place;
    walk.begin(dy, x, dx, p);
    const bool inner_steps = walk.apart && (V == 1 || p.aligned == V) && p.power == SPATIAL_POWER_PLAIN;
    while (walk.row < place.last) {
        if (inner_steps && walk.row >= place.first && walk.inner(p)) { // the same for all threads
            do walk.template step<true>(p, rows);
            while (walk.inner(p));
        } else {
            walk.template step<false>(p, rows);
        }
    }
}
