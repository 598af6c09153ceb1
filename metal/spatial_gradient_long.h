// As gradient_walk, for windows so large that a thread cannot keep x and dy * T^-beta until they are needed: rows of x
// are read again in the middle of a window and at its end, and dx itself keeps dy * T^-beta of float images until the
// window sum of u is there. One column to a thread.
#pragma once
#include "spatial_gradient_walk.h"

// The column at another row.
template <typename T> METAL_FUNC Column<T> at_row(Column<T> column, int row) {
    column.at += column.row * row;
    return column;
}

// R rows of a column from `row` on, zero above and below the image or if not `wanted`. A thread beside the image gets
// the values of some column, as by read_any.
template <int R, typename T>
METAL_FUNC void read_column(Column<const T> column, constant SpatialParams &p, int row, bool wanted, thread T *v) {
    column = at_row(column, row);
    read_any<1, R>(column, p, Place(), row, wanted, v);
}

// R rows of the strip's results, none before place.first or from place.last on, as they were written before; zeros
// elsewhere.
template <int R, typename T> METAL_FUNC void read_results(Column<T> from, Place place, int row, thread T *v) {
    from = at_row(from, row);
#pragma unroll
    for (int r = 0; r < R; ++r) v[r] = T(0.0f);
    if (!place.owned) return;
    if (row >= place.first && row + R <= place.last) { // the same for all threads
#pragma unroll
        for (int r = 0; r < R; ++r, from.at += from.row) v[r] = *from.at;
    } else {
#pragma unroll
        for (int r = 0; r < R; ++r, from.at += from.row)
            if (row + r >= place.first && row + r < place.last) v[r] = *from.at;
    }
}
template <int R, typename T> METAL_FUNC void write_results(Column<T> to, Place place, int row, thread const float *v) {
    if (!place.owned) return;
    to = at_row(to, row);
    if (row >= place.first && row + R <= place.last) { // the same for all threads
#pragma unroll
        for (int r = 0; r < R; ++r, to.at += to.row) *to.at = T(v[r]);
    } else {
#pragma unroll
        for (int r = 0; r < R; ++r, to.at += to.row)
            if (row + r >= place.first && row + r < place.last) *to.at = T(v[r]);
    }
}

template <int K, int R, typename T, typename Rows>
METAL_FUNC void gradient_long_walk(device const T *dy_image, device const T *x_image, device T *dx_image,
                                   constant SpatialParams &p, Place place, thread Rows &rows) {
    constexpr int half_k = K / 2, blocks = Span<K, R>::blocks, warm_up = Span<K, R>::warm_up;
    constexpr bool park = sizeof(T) == sizeof(float);
    const Column<const T> dy = valid_column(dy_image, p, 0, place, 0), x = valid_column(x_image, p, 1, place, 0);
    const Column<T> dx = valid_column(dx_image, p, 2, place, 0);
    // The oldest rows are row - half_k on in us, row on in direct.
    float us[K - 1 + R], direct[park ? R : half_k + R], totals[blocks], u_totals[blocks];
    float values[R], sums[R], out[R], old[R];
    T next_x[R], next_dy[R], next_old[R], middle[R], parked[R];
    fill_zero<K - 1>(us);
    fill_zero<park ? R : half_k>(direct);
    fill_zero<blocks>(totals);
    fill_zero<blocks>(u_totals);
    int row = place.first - round_up(K - 1, R);
    for (int step = warm_up; step > 0; --step) {
        read_column<R>(x, p, row + K - 1 - step * R, true, next_x);
        take_rows<1, R, T>(place, false, next_x, values);
        add_rows<Squares, K, 1, R>(values, totals, sums);
    }
    read_column<R>(x, p, row, true, next_old);
    read_column<R>(x, p, row + K - 1, true, next_x);
    read_column<R>(dy, p, row + half_k, true, next_dy);
    for (; row < place.last; row += R) {
        const bool more = row + R < place.last;
        take_rows<1, R, T>(place, false, next_x, values);
        take_rows<1, R, T>(place, false, next_old, old);
        read_column<R>(x, p, row + R + K - 1, more, next_x);
        span_sums<Squares, K, 1, R>(old, values, totals, sums);
#pragma unroll
        for (int r = 0; r < R; ++r) sums[r] = place.inside ? sums[r] : 0.0f;
        read_column<R>(x, p, row + half_k, true, middle);
        rows.sum(sums, out);
        thread float *later = park ? direct : direct + half_k;
        gradient_terms<1, R, T>(p, place, row + half_k, out, next_dy, middle, us + K - 1, later);
        read_column<R>(dy, p, row + R + half_k, more, next_dy);
        if (park && row + half_k + R > place.first) write_results<R>(dx, place, row + half_k, later);
        span_sums<Values, K, 1, R>(us, us + K - 1, u_totals, sums);
        read_column<R>(x, p, row + R, more, next_old);
        if (row >= place.first) { // the same for all threads
            if (park) read_results<R>(dx, place, row, parked);
            rows.sum(sums, out);
#pragma unroll
            for (int r = 0; r < R; ++r) out[r] = fma(-p.factor * old[r], out[r], park ? float(parked[r]) : direct[r]);
            write_results<R>(dx, place, row, out);
        }
#pragma unroll
        for (int i = 0; i < K - 1; ++i) us[i] = us[i + R];
#pragma unroll
        for (int i = 0; i < half_k && !park; ++i) direct[i] = direct[i + R];
    }
}
