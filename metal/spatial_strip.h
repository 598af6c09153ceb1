// Strips of one threadgroup, for larger odd square windows.
//
// A threadgroup owns WIDTH columns, one thread to each, and walks down the image, R rows at a time. A thread sums its
// own column (column_sums) over the window's rows. These sums go to threadgroup memory, where a thread sums some
// neighbouring windows of one row. The gradient does this twice, first for T and then, half a window behind, for the
// adjoint sum.
#pragma once
#include "spatial_simd.h"

// Rows of threadgroup memory. The padding spreads what neighbouring threads read over the memory's banks.
constexpr int strip_pitch(int width) { return width + 4; }
constexpr int strip_floats(int rows, int width) { return 2 * rows * strip_pitch(width); }

// Each thread holds R rows v of its column: result[r] is the sum over columns column - K / 2 .. column + K / 2,
// undefined where these leave the strip. A thread sums EACH neighbouring windows of one row, which share most of
// their terms; for more than R of them only some of the threads have work.
template <int K, int R, int WIDTH, int EACH>
METAL_FUNC void strip_row_sums(thread const float *v, threadgroup float4 *memory, int thread_index,
                               thread float *result) {
    constexpr int pitch = strip_pitch(WIDTH), quads = ceil_div(K - 1 + EACH, 4);
    static_assert(WIDTH % EACH == 0 && EACH % 4 == 0, "a thread sums EACH windows");
    threadgroup float *in = (threadgroup float *)memory;
    threadgroup float *out = in + R * pitch;
#pragma unroll
    for (int r = 0; r < R; ++r) in[r * pitch + thread_index] = v[r];
    threadgroup_barrier(mem_flags::mem_threadgroup);

    // Neighbouring threads take different rows, and so different banks of memory.
    const int row = thread_index % R, first = thread_index / R * EACH; // the first window's first column
    if (first + K <= WIDTH) {
        float w[4 * quads], s[EACH];
        threadgroup const float4 *from = (threadgroup const float4 *)(in + row * pitch + first);
        threadgroup float4 *to = (threadgroup float4 *)(out + row * pitch + first);
#pragma unroll
        for (int q = 0; q < quads; ++q) {
            const float4 f = first + 4 * q < WIDTH ? from[q] : float4(0.0f, 0.0f, 0.0f, 0.0f);
            w[4 * q] = f.x;
            w[4 * q + 1] = f.y;
            w[4 * q + 2] = f.z;
            w[4 * q + 3] = f.w;
        }
        sliding_sums<K, EACH, 1>(w, s);
#pragma unroll
        for (int q = 0; q < EACH / 4; ++q) to[q] = float4(s[4 * q], s[4 * q + 1], s[4 * q + 2], s[4 * q + 3]);
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
    // Threads beside the windows that were summed take any other one: their results are undefined.
    const int window = clamp(thread_index - K / 2, 0, (WIDTH - K) / EACH * EACH + EACH - 1);
#pragma unroll
    for (int r = 0; r < R; ++r) result[r] = out[r * pitch + window];
}

// Where a thread works: as a lane of SimdPlace with a single column.
METAL_FUNC SimdPlace strip_place(constant SpatialParams &p, int task, int thread_index) {
    const int strip = task % p.strips, segment = task / p.strips % p.segments, planes = task / p.strips / p.segments;
    const int plane = planes, sub = thread_index;
    SimdPlace place;
    place.column = strip * p.strip_outputs - p.strip_margin + sub;
    place.first = segment * p.segment;
    place.last = min(place.first + p.segment, p.height);
    place.inside = plane < p.planes && place.column >= 0 && place.column < p.width;
    place.owned = place.inside && sub >= p.strip_margin && sub < p.strip_margin + p.strip_outputs;
    place.plane = p.first_plane + (place.inside ? plane : 0);
    return place;
}

// N rows of one column from `row` on; zero outside the image. Kept as T until they are needed.
template <int N, typename T, typename V>
METAL_FUNC void read_column(Column<const T> from, constant SpatialParams &p, SimdPlace place, int row, thread V *v) {
    device const T *at = from.start + from.row * row;
    if (row >= 0 && row + N <= p.height) { // the same for the whole threadgroup
#pragma unroll
        for (int r = 0; r < N; ++r, at += from.row) v[r] = V(place.inside ? *at : T(0.0f));
    } else {
#pragma unroll
        for (int r = 0; r < N; ++r, at += from.row)
            v[r] = V(place.inside && uint(row + r) < uint(p.height) ? *at : T(0.0f));
    }
}

template <int N, typename T>
METAL_FUNC void write_column(Column<T> to, SimdPlace place, int row, thread const float *v) {
    device T *at = to.start + to.row * row;
#pragma unroll
    for (int r = 0; r < N; ++r, at += to.row)
        if (place.owned && row + r < place.last) *at = T(v[r]);
}

template <typename T, int K, int R, int WIDTH, int EACH>
METAL_FUNC void forward_strip(device const T *x, device T *y, constant SpatialParams &p, threadgroup float4 *memory,
                              int task, int thread_index) {
    constexpr int half_k = K / 2;
    const SimdPlace place = strip_place(p, task, thread_index);
    const Column<const T> from = column_of(x, p, 0, place);
    const Column<T> to = column_of(y, p, 1, place);

    // The window's rows of x stay in registers; of a tall window the leaving rows and the centre are read again.
    constexpr bool keep = K <= 31;
    constexpr int kept = keep ? K - 1 : 0;
    ColumnWindow<K, R> window;
    clear(window);
    float xs[kept + R]; // the last rows are the coming ones
    T next[R], next_leaving[R];
#pragma unroll
    for (int i = 0; i < kept; ++i) xs[i] = 0.0f;

    const int start = place.first - round_up(K - 1, R);
    read_column<R>(from, p, place, start + half_k, next);
    if (!keep) read_column<R>(from, p, place, start - half_k, next_leaving);
    for (int row = start; row < place.last; row += R) {
        float coming[R], leaving[R], sums[R];
        T centre[R];
#pragma unroll
        for (int r = 0; r < R; ++r) {
            xs[kept + r] = float(next[r]);
            coming[r] = xs[kept + r] * xs[kept + r];
            leaving[r] = keep ? xs[r] * xs[r] : float(next_leaving[r]) * float(next_leaving[r]);
        }
        read_column<R>(from, p, place, row + R + half_k, next);
        if (!keep) {
            read_column<R>(from, p, place, row + R - half_k, next_leaving);
            read_column<R>(from, p, place, row, centre);
        }
        column_sums<K, R>(window, leaving, coming, sums);
        if (row >= place.first) { // the same for the whole threadgroup
            strip_row_sums<K, R, WIDTH, EACH>(sums, memory, thread_index, sums);
#pragma unroll
            for (int r = 0; r < R; ++r) sums[r] = base(p, sums[r]);
            powers<R>(p, sums, sums);
#pragma unroll
            for (int r = 0; r < R; ++r) sums[r] *= keep ? xs[(keep ? half_k : 0) + r] : float(centre[r]);
            write_column<R>(to, place, row, sums);
        }
#pragma unroll
        for (int i = 0; i < kept; ++i) xs[i] = xs[i + R];
    }
}

template <typename T, int K, int R, int WIDTH, int EACH>
METAL_FUNC void gradient_strip(device const T *dy, device const T *x, device T *dx, constant SpatialParams &p,
                               threadgroup float4 *memory, int task, int thread_index) {
    constexpr int half_k = K / 2;
    const SimdPlace place = strip_place(p, task, thread_index);
    const Column<const T> from_dy = column_of(dy, p, 0, place), from_x = column_of(x, p, 1, place);
    const Column<T> to = column_of(dx, p, 2, place);

    // As in forward_strip; the leaving rows of x are those of the rows written. Where registers suffice, dy too is
    // read a step ahead.
    constexpr bool keep = K <= 31, early = K <= 15;
    constexpr int kept = keep ? K - 1 : 0;
    ColumnWindow<K, R> window, u_window;
    clear(window);
    clear(u_window);
    float xs[kept + R];       // the last rows are the coming ones
    float us[K - 1 + R];      // rows row - half_k on
    float direct[half_k + R]; // dy * T^-beta, rows row on
    T next_x[R], next_dy[R], next_leaving[R];
#pragma unroll
    for (int i = 0; i < K - 1; ++i) us[i] = 0.0f;
#pragma unroll
    for (int i = 0; i < kept; ++i) xs[i] = 0.0f;
#pragma unroll
    for (int i = 0; i < half_k; ++i) direct[i] = 0.0f;

    const int first_u = place.first - round_up(K - 1, R);
    int start = first_u - round_up(K - 1, R);
    if (start + K - 1 + R <= 0) start += R; // a step above the image finds zeros only
    read_column<R>(from_x, p, place, start + K - 1, next_x);
    if (early) read_column<R>(from_dy, p, place, start + half_k, next_dy);
    if (!keep) read_column<R>(from_x, p, place, start, next_leaving);
    for (int row = start; row < place.last; row += R) {
        float coming[R], leaving[R], sums[R];
        T slopes[R], centre[R], written[R];
#pragma unroll
        for (int r = 0; r < R; ++r) {
            xs[kept + r] = float(next_x[r]);
            coming[r] = xs[kept + r] * xs[kept + r];
            leaving[r] = keep ? xs[r] * xs[r] : float(next_leaving[r]) * float(next_leaving[r]);
        }
        // What is needed after a window sum is read before it.
        read_column<R>(from_x, p, place, row + R + K - 1, next_x);
        if (early) {
#pragma unroll
            for (int r = 0; r < R; ++r) slopes[r] = next_dy[r];
            read_column<R>(from_dy, p, place, row + R + half_k, next_dy);
        } else {
            read_column<R>(from_dy, p, place, row + half_k, slopes);
        }
        if (!keep) {
            read_column<R>(from_x, p, place, row + R, next_leaving);
            read_column<R>(from_x, p, place, row + half_k, centre);
        }
        column_sums<K, R>(window, leaving, coming, sums);
        if (row >= first_u) {
            float power_1[R];
            strip_row_sums<K, R, WIDTH, EACH>(sums, memory, thread_index, sums);
#pragma unroll
            for (int r = 0; r < R; ++r) sums[r] = base(p, sums[r]);
            powers<R>(p, sums, sums, power_1);
#pragma unroll
            for (int r = 0; r < R; ++r) {
                direct[half_k + r] = float(slopes[r]) * sums[r];
                const float u = float(slopes[r]) * (keep ? xs[(keep ? half_k : 0) + r] : float(centre[r])) * power_1[r];
                us[K - 1 + r] = place.inside && uint(row + half_k + r) < uint(p.height) ? u : 0.0f;
            }
            column_sums<K, R>(u_window, us, us + K - 1, sums);
        }
        if (row >= place.first) {
            if (!keep) read_column<R>(from_x, p, place, row, written);
            strip_row_sums<K, R, WIDTH, EACH>(sums, memory, thread_index, sums);
#pragma unroll
            for (int r = 0; r < R; ++r)
                sums[r] = fma(-p.factor * (keep ? xs[r] : float(written[r])), sums[r], direct[r]);
            write_column<R>(to, place, row, sums);
        }
#pragma unroll
        for (int i = 0; i < kept; ++i) xs[i] = xs[i + R];
#pragma unroll
        for (int i = 0; i < K - 1; ++i) us[i] = us[i + R];
#pragma unroll
        for (int i = 0; i < half_k; ++i) direct[i] = direct[i + R];
    }
}

template <typename T, int K, int R, int WIDTH, int EACH>
kernel void spatial_forward_strip(device const T *x [[buffer(0)]], device T *y [[buffer(1)]],
                                  constant SpatialParams &p [[buffer(2)]], uint group [[threadgroup_position_in_grid]],
                                  uint thread_index [[thread_index_in_threadgroup]]) {
    threadgroup float4 memory[strip_floats(R, WIDTH) / 4];
    forward_strip<T, K, R, WIDTH, EACH>(x, y, p, memory, int(group), int(thread_index));
}

template <typename T, int K, int R, int WIDTH, int EACH>
kernel void spatial_gradient_strip(device const T *dy [[buffer(0)]], device const T *x [[buffer(1)]],
                                   device T *dx [[buffer(2)]], constant SpatialParams &p [[buffer(3)]],
                                   uint group [[threadgroup_position_in_grid]],
                                   uint thread_index [[thread_index_in_threadgroup]]) {
    threadgroup float4 memory[strip_floats(R, WIDTH) / 4];
    gradient_strip<T, K, R, WIDTH, EACH>(dy, x, dx, p, memory, int(group), int(thread_index));
}
