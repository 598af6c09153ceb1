// Strips of one threadgroup, for larger odd square windows: sums along the rows
// in threadgroup memory, where a thread adds up some neighbouring windows of
// one row, or a simdgroup all those of a row.
#pragma once
#include "spatial_gradient_walk.h"

// The pitch of rows in threadgroup memory: an odd number of float4s, so that neighbouring threads, which read float4s
// of different rows, find them in different banks.
constexpr int strip_pitch(int width) { return width / 4 % 2 == 0 ? width + 4 : width + 8; }

// Eight neighbouring threads read at a time: of 4 rows, and of windows that must be 4 float4s apart.
template <int R, int EACH> METAL_FUNC int strip_turn(int turn) {
    return R == 4 && EACH == 8 ? (turn & ~3) | (turn & 1) << 1 | (turn >> 1 & 1) : turn;
}

// Each thread holds R rows of its V columns. A thread sums EACH neighbouring
// windows of one row, which share most of their terms; for more than R * V of
// them only some of the threads have work. Windows that leave the strip are
// given what lies in memory beside its rows.
template <int K, int V, int R, int WIDTH, int EACH> struct StripRows {
    threadgroup float4 *memory;
    int thread_index;

    typedef typename Neighbours<float, V>::type Vector;
    enum : int { pitch = strip_pitch(WIDTH), before = round_up(K / 2, 4) };
    enum : int { threads = WIDTH / V, tasks = R * (WIDTH / EACH) };
    // A simdgroup sums the windows of its own columns, and nobody else waits for them.
    enum : bool { in_memory = true, alone = R * V == EACH };
    // Before and after the rows that are read lies what windows that leave the strip are given.
    enum : int { floats = 2 * R * pitch + 2 * round_up(K, 4) };
    static_assert(WIDTH % EACH == 0 && EACH % 4 == 0 && int(tasks) <= int(threads), "a thread sums EACH windows");
    static_assert(!alone || SPATIAL_SIMD_WIDTH % R == 0, "a simdgroup's tasks are all rows of its columns");

    // Rows in threadgroup memory, two images of them.
    METAL_FUNC threadgroup float *image(int which) {
        return (threadgroup float *)memory + before + which * (R * pitch + round_up(K, 4));
    }
    // What lies around the rows is read with them, though for no window that is used; nothing else writes there. Once
    // is enough, before sum().
    METAL_FUNC void begin(threadgroup float4 *some_memory, int index) {
        memory = some_memory;
        thread_index = index;
        // In float4s: before an image, between two of its rows, an image with both, and all of that beside its columns.
        constexpr int first = before / 4, row = (pitch - WIDTH) / 4, whole = floats / 8,
                      beside = whole - R * (WIDTH / 4);
        for (int i = thread_index; i < (alone ? 2 * beside : beside + first); i += threads) {
            const int j = i % beside, r = (j - first) / row;
            const int at = j < first             ? j
                           : j < first + R * row ? first + r * (pitch / 4) + WIDTH / 4 + (j - first) % row
                                                 : j + R * (WIDTH / 4);
            memory[i / beside * whole + at] = float4(0.0f);
        }
    }
    METAL_FUNC void write(threadgroup float *to, thread const float *v) {
#pragma unroll
        for (int r = 0; r < R; ++r) {
            Vector some;
#pragma unroll
            for (int c = 0; c < V; ++c) Neighbours<float, V>::set(some, c, v[r * V + c]);
            *(threadgroup Vector *)(to + r * pitch + thread_index * V) = some;
        }
    }
    METAL_FUNC void read(threadgroup const float *from, thread float *v) {
#pragma unroll
        for (int r = 0; r < R; ++r) {
            const Vector some = *(threadgroup const Vector *)(from + r * pitch + thread_index * V);
#pragma unroll
            for (int c = 0; c < V; ++c) v[r * V + c] = Neighbours<float, V>::get(some, c);
        }
    }
    // Where the centres of a task's windows begin. Neighbouring threads take different rows, and so different banks
    // of memory.
    METAL_FUNC int place_of_task(int task) { return task % R * pitch + strip_turn<R, EACH>(task / R) * EACH; }
    METAL_FUNC void sum_windows(threadgroup const float *in, thread float *s) {
        // Whole float4s are read, the first of them up to `lead` columns before the first window.
        constexpr int lead = before - K / 2, quads = ceil_div(lead + K - 1 + EACH, 4);
        float w[4 * quads];
        read_float4s<4 * quads>((threadgroup const float4 *)(in - before), w);
        sliding_sums<K, EACH, 1>(w + lead, s);
    }

    // turn: 0 and 1 alternate.
    METAL_FUNC void sum(int turn, thread const float *v, thread float *sums) {
        threadgroup float *in = image(alone ? turn : 0), *out = image(alone ? turn ^ 1 : 1);
        write(in, v);
        threadgroup_barrier(mem_flags::mem_threadgroup);
        if (thread_index < tasks) {
            float s[EACH];
            const int place = place_of_task(thread_index);
            sum_windows(in + place, s);
            write_float4s<EACH>((threadgroup float4 *)(out + place), s);
        }
        if (alone) simdgroup_barrier(mem_flags::mem_threadgroup);
        else threadgroup_barrier(mem_flags::mem_threadgroup);
        read(out, sums);
    }
    // In place of a sum, so that the next may have the turn of the one before.
    METAL_FUNC void skip() { threadgroup_barrier(mem_flags::mem_threadgroup); }
};

// The same for large windows, of which the neighbours of a thread would read most terms again: a simdgroup takes a
// whole row, `each` columns a lane, and leaves in their places the sums over the windows that begin there. What begins
// near the row's end goes on at its beginning: only for columns that other strips write, or beside the image.
template <int K, int R, int WIDTH> struct WideRows {
    threadgroup float4 *memory;
    int thread_index;

    enum : bool { in_memory = true };
    enum : int { floats = 2 * R * WIDTH, each = WIDTH / SPATIAL_SIMD_WIDTH };
    static_assert(WIDTH >= R * SPATIAL_SIMD_WIDTH, "there is a simdgroup for each row");
    static_assert(each % 8 == 4, "eight lanes read float4s from different banks of memory at a time");

    METAL_FUNC void begin(threadgroup float4 *some_memory, int index) {
        memory = some_memory;
        thread_index = index;
    }
    // turn: 0 and 1 alternate; while one image is read, the other may be written.
    METAL_FUNC void sum(int turn, thread const float *v, thread float *sums) {
        threadgroup float *image = (threadgroup float *)memory + turn * (R * WIDTH);
#pragma unroll
        for (int r = 0; r < R; ++r) image[r * WIDTH + thread_index] = v[r];
        threadgroup_barrier(mem_flags::mem_threadgroup);
        const int row = thread_index / SPATIAL_SIMD_WIDTH, lane = thread_index % SPATIAL_SIMD_WIDTH;
        if (row < R) sum_row((threadgroup float4 *)(image + row * WIDTH + lane * each));
        threadgroup_barrier(mem_flags::mem_threadgroup);
        const int first = thread_index - K / 2; // where the column's window begins
        threadgroup const float *from = image + (first < 0 ? first + WIDTH : first);
#pragma unroll
        for (int r = 0; r < R; ++r) sums[r] = from[r * WIDTH];
    }
    // In place of a sum, so that the next may have the turn of the one before.
    METAL_FUNC void skip() { threadgroup_barrier(mem_flags::mem_threadgroup); }

  private:
    METAL_FUNC void sum_row(threadgroup float4 *columns) {
        float v[each], s[each];
        read_float4s<each>(columns, v);
        simd_window_sums<K, each>(v, s);
        write_float4s<each>(columns, s);
    }
};

template <typename T, int K, int V, int R, int WIDTH, int EACH>
kernel void spatial_forward_strip(device const T *x [[buffer(0)]], device T *y [[buffer(1)]],
                                  constant SpatialParams &p [[buffer(2)]], uint group [[threadgroup_position_in_grid]],
                                  uint thread_index [[thread_index_in_threadgroup]]) {
    typedef StripRows<K, V, R, WIDTH, EACH> Rows;
    threadgroup float4 memory[Rows::floats / 4];
    Rows rows;
    rows.begin(memory, int(thread_index));
    forward_walk<K, V, R>(x, y, p, place_of(p, int(group), 1, 0, int(thread_index), V), rows);
}

// The gradient's strips by the size of their windows.
template <bool WIDE, int K, int V, int R, int WIDTH, int EACH> struct GradientRows {
    typedef StripRows<K, V, R, WIDTH, EACH> type;
};
template <int K, int R, int WIDTH, int EACH> struct GradientRows<true, K, 1, R, WIDTH, EACH> {
    typedef WideRows<K, R, WIDTH> type;
};

template <typename T, int K, int V, int R, int WIDTH, int EACH>
kernel void spatial_gradient_strip(device const T *dy [[buffer(0)]], device const T *x [[buffer(1)]],
                                   device T *dx [[buffer(2)]], constant SpatialParams &p [[buffer(3)]],
                                   uint group [[threadgroup_position_in_grid]],
                                   uint thread_index [[thread_index_in_threadgroup]]) {
    typedef typename GradientRows<(K > SPATIAL_WIDE), K, V, R, WIDTH, EACH>::type Rows;
    threadgroup float4 memory[Rows::floats / 4];
    Rows rows;
    rows.begin(memory, int(thread_index));
    const Place place = place_of(p, int(group), 1, 0, int(thread_index), V);
    gradient_walk<K, V, R>(dy, x, dx, p, place, rows);
}
