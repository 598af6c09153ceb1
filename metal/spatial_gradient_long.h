// The gradient in strips of a threadgroup, for windows so large that a thread cannot keep x and dy * T^-beta until they
// are needed: rows of x are read again in the middle of a window and at its end, and dy * T^-beta waits for the window
// sum of u in dx itself, or in scratch where the elements of dx are smaller than a float. One column to a thread.
//
// Sums along the rows of one step's squares and of u of the step before are made between the same two barriers.
#pragma once
#include "spatial_long_rows.h"

// One column of an image as a thread walks down it. Strides of 32 bits take half the work; the host sees to it that
// those of a window's rows suffice.
template <typename T> struct LongColumn {
    device T *at;
    int row; // stride
};
template <typename T>
METAL_FUNC LongColumn<T> long_column(device T *image, constant SpatialParams &p, int which, Place place, int row) {
    LongColumn<T> column;
    column.at = valid_column(image, p, which, place, row).at;
    column.row = int(p.image[which].row);
    return column;
}

// R rows of a column that lies at `row`, from `offset` rows on; zero above and below the image, unless all are INNER. A
// thread beside the image gets the values of some column, as by read_any. ONCE: of dy, which no later step reads.
template <bool INNER, int R, bool ONCE = false, typename T>
METAL_FUNC void read_column(LongColumn<const T> column, constant SpatialParams &p, int row, int offset, thread T *v) {
    device const T *at = column.at + offset * column.row;
#pragma unroll
    for (int r = 0; r < R; ++r, at += column.row) {
        const bool wanted = INNER || uint(row + offset + r) < uint(p.height);
        v[r] = !wanted ? T(0.0f) : ONCE ? read_once(at) : *at;
    }
}
// The same of results that were written before; zeros before place.first and from place.last on.
template <bool INNER, int R, typename T>
METAL_FUNC void read_results(LongColumn<T> column, Place place, int row, int offset, thread float *v) {
    device const T *at = column.at + offset * column.row;
    row += offset;
#pragma unroll
    for (int r = 0; r < R; ++r, at += column.row)
        v[r] = INNER || (row + r >= place.first && row + r < place.last) ? float(*at) : 0.0f;
}
template <bool INNER, int R, typename T>
METAL_FUNC void write_results(LongColumn<T> column, Place place, int row, int offset, thread const float *v) {
    if (!place.owned) return;
    device T *at = column.at + offset * column.row;
    row += offset;
#pragma unroll
    for (int r = 0; r < R; ++r, at += column.row)
        if (INNER || (row + r >= place.first && row + r < place.last)) *at = T(v[r]);
}

// dy * T^-beta that waits in scratch, each thread's own: some steps of R rows of the columns with results.
template <int K, int R, int WIDTH> struct LongScratch {
    enum : int { slots = (K / 2 + 1) / R, columns = WIDTH - 4 * SPATIAL_SIMD_WIDTH };
    static_assert((K / 2 + 1) % R == 0, "half a window and its centre are whole steps");
    static_assert(slots * R * columns == SPATIAL_LONG_SCRATCH, "the host reserves as much");
    device float *at;
    int slot; // of the next step's rows, and of the oldest

    METAL_FUNC void write(thread const float *v) {
#pragma unroll
        for (int r = 0; r < R; ++r) at[(slot * R + r) * columns] = v[r];
        slot = next();
    }
    // The R rows that lie half a window before those that will be written next.
    METAL_FUNC void read(thread float *v) const {
#pragma unroll
        for (int r = 0; r < R; ++r) v[r] = at[((r < R - 1 ? slot : next()) * R + (r + 1) % R) * columns];
    }
    METAL_FUNC int next() const { return slot == slots - 1 ? 0 : slot + 1; }
};

// One thread's walk, R rows at a time. The order in which a step reads and uses its rows was found by trying: reads are
// far from their use, and none comes just before something that waits for another.
template <typename T, int K, int R, int WIDTH> struct LongWalk {
    typedef Span<K, R> Steps;
    enum : int { half_k = K / 2, blocks = Steps::blocks, warm_up = Steps::warm_up };
    enum : bool { waits_in_dx = sizeof(T) == sizeof(float) };
    LongRows<K, R, WIDTH> rows;
    Place place;
    int row;
    LongColumn<const T> dy, x; // at the row
    LongColumn<T> dx;
    LongScratch<K, R, WIDTH> scratch;
    float us[K - 1 + R], totals[blocks], u_rest; // us: from the row - half_k on
    int u_slot;
    T newest[R], oldest[R], slopes[R], middle[R], old[R];
    float waited[R];

    METAL_FUNC void begin(constant SpatialParams &p) {
        float values[R], sums[R], begun[R];
        fill_zero<K - 1>(us);
        fill_zero<blocks>(totals);
        u_rest = 0.0f;
        u_slot = 0;
        rows.clear_totals();
#pragma unroll
        for (int step = warm_up; step >= 0; --step) {
            read_column<false, R>(x, p, row, K - 1 - step * R, newest);
            take_rows<1, R, T>(place, true, newest, values);
            if (step > 0) add_rows<Squares, K, 1, R>(values, totals, sums);
        }
        read_column<false, R>(x, p, row, 0, oldest);
        take_rows<1, R, T>(place, true, oldest, begun);
        span_sums<Squares, K, 1, R>(begun, values, totals, sums);
        rows.write_squares(sums);
        read_column<false, R, true>(dy, p, row, half_k, slopes);
        read_column<false, R>(x, p, row, R + K - 1, newest);
        rows.sum_rows(true, false);
    }

    // Of the R rows before `row`, whose window sums of u are there.
    template <bool INNER> METAL_FUNC void write_dx(constant SpatialParams &p) {
        float sums[R];
        rows.read_u(sums);
#pragma unroll
        for (int r = 0; r < R; ++r) sums[r] = fma(-p.factor * float(old[r]), sums[r], waited[r]);
        write_results<INNER, R>(dx, place, row, -R, sums);
    }

    // Window sums of squares are there from `row` on, T of the rows half a window further on. INNER: all rows that it
    // reads are in the image, all that it writes are the strip's.
    template <bool INNER> METAL_FUNC void step(constant SpatialParams &p) {
        float values[R], sums[R], begun[R], direct[R];
        thread float *u = us + K - 1;
        if (place.owned && (INNER || row > place.first)) write_dx<INNER>(p);
        read_column<INNER, R>(x, p, row, half_k, middle);
        read_column<INNER, R>(x, p, row, R, oldest);
        if (place.owned && (INNER || row >= place.first)) {
            if (waits_in_dx) read_results<INNER, R>(dx, place, row, 0, waited);
            else scratch.read(waited);
            read_column<INNER, R>(x, p, row, 0, old);
        }
        simdgroup_barrier(mem_flags::mem_none); // what was read is asked for here, and not just before it is needed
        fill_zero<R>(u);
        fill_zero<R>(direct);
        if (rows.has_u() && place.inside) {
            rows.read_squares(sums);
            Place here = place;
            here.inside = true; // saves choices
            gradient_terms<INNER, false, 1, R, T>(p, here, row + half_k, sums, slopes, middle, u, direct);
        }
        if (rows.has_u()) { // in one branch with the above: 5 % longer on an NVIDIA GPU
            rows.sum_columns(u_slot, us, u, u_rest, sums);
            rows.write_u(sums);
        }
        u_slot = u_slot == blocks - 2 ? 0 : u_slot + 1;
        read_column<INNER, R, true>(dy, p, row, R + half_k, slopes);
        take_rows<1, R, T>(place, false, newest, values);
        take_rows<1, R, T>(place, false, oldest, begun);
        span_sums<Squares, K, 1, R>(begun, values, totals, sums);
        read_column<INNER, R>(x, p, row, 2 * R + K - 1, newest);
#pragma unroll
        for (int r = 0; r < R; ++r) sums[r] = place.inside ? sums[r] : 0.0f;
        rows.write_squares(sums);
        if (waits_in_dx) write_results<INNER, R>(dx, place, row, half_k, direct);
        else if (place.owned) scratch.write(direct);
        const bool more = INNER || row + R < place.last, some_u = INNER || row >= place.first;
        row += R;
        x.at += R * x.row;
        dy.at += R * dy.row;
        dx.at += R * dx.row;
        rows.sum_rows(more, some_u);
#pragma unroll
        for (int i = 0; i < K - 1; ++i) us[i] = us[i + R];
    }
};

template <typename T, int K, int R, int WIDTH>
METAL_FUNC void gradient_long(device const T *dy, device const T *x, device T *dx, device float *scratch,
                              constant SpatialParams &p, int group, int thread_index, threadgroup float4 *memory) {
    LongWalk<T, K, R, WIDTH> walk;
    const Place place = place_of(p, group, 1, 0, thread_index, 1);
    walk.rows.memory = (threadgroup float *)memory;
    walk.rows.thread_index = thread_index;
    walk.place = place;
    walk.row = place.first - round_up(K - 1, R);
    walk.dy = long_column(dy, p, 0, place, walk.row);
    walk.x = long_column(x, p, 1, place, walk.row);
    walk.dx = long_column(dx, p, 2, place, walk.row);
    walk.scratch.at = scratch + (thread_index - 2 * SPATIAL_SIMD_WIDTH);
    walk.scratch.slot = 0;
    walk.begin(p);
    // The inner steps, the same for all threads.
    const int inner_first = place.first + R, inner_last = min(p.height - K + 1 - 3 * R, place.last - R - K / 2);
    while (walk.row < place.last) {
        if (walk.row >= inner_first && walk.row <= inner_last) {
            do walk.template step<true>(p);
            while (walk.row <= inner_last);
        } else {
            walk.template step<false>(p);
        }
    }
    if (place.owned) walk.template write_dx<false>(p);
}

// Of floats.
template <typename T, int K, int R, int WIDTH>
kernel void spatial_gradient_long(device const T *dy [[buffer(0)]], device const T *x [[buffer(1)]],
                                  device T *dx [[buffer(2)]], constant SpatialParams &p [[buffer(3)]],
                                  uint group [[threadgroup_position_in_grid]],
                                  uint thread_index [[thread_index_in_threadgroup]]) {
    static_assert(sizeof(T) == sizeof(float), "dx can hold floats");
    threadgroup float4 memory[LongRows<K, R, WIDTH>::floats / 4];
    gradient_long<T, K, R, WIDTH>(dy, x, dx, (device float *)dx, p, int(group), int(thread_index), memory);
}
// Of smaller elements, with SPATIAL_LONG_SCRATCH floats of scratch for each threadgroup.
template <typename T, int K, int R, int WIDTH>
kernel void spatial_gradient_long_16(device const T *dy [[buffer(0)]], device const T *x [[buffer(1)]],
                                     device T *dx [[buffer(2)]], device float *scratch [[buffer(3)]],
                                     constant SpatialParams &p [[buffer(4)]],
                                     uint group [[threadgroup_position_in_grid]],
                                     uint thread_index [[thread_index_in_threadgroup]]) {
    threadgroup float4 memory[LongRows<K, R, WIDTH>::floats / 4];
    gradient_long<T, K, R, WIDTH>(dy, x, dx, scratch + long(group) * SPATIAL_LONG_SCRATCH, p, int(group),
                                  int(thread_index), memory);
}
