// Strips of one threadgroup, for larger odd square windows: sums along the rows
// in threadgroup memory, where a thread adds up some neighbouring windows of
// one row.
#pragma once
#include "spatial_gradient_walk.h"

// The pitch of rows in threadgroup memory: an odd number of float4s, so that neighbouring threads, which read float4s
// of different rows, find them in different banks.
constexpr int strip_pitch(int width) { return width / 4 % 2 == 0 ? width + 4 : width + 8; }
// Before and after the rows that are read lies what windows that leave the strip are given.
constexpr int strip_floats(int k, int width, int rows) { return 2 * rows * strip_pitch(width) + 2 * round_up(k, 4); }

// Eight neighbouring threads read at a time: of 4 rows, and of windows that must be 4 float4s apart.
template <int R, int EACH> METAL_FUNC int strip_turn(int turn) {
    return R == 4 && EACH == 8 ? (turn & ~3) | (turn & 1) << 1 | (turn >> 1 & 1) : turn;
}

// Each thread holds R rows of its V columns. A thread sums EACH neighbouring
// windows of one row, which share most of their terms; for more than R * V of
// them only some of the threads have work. Windows that leave the strip are
// given what lies in memory beside its rows.
template <int K, int V, int R, int WIDTH, int EACH> struct StripRows {
    enum : bool { apart = false };
    threadgroup float4 *memory;
    int thread_index;

    typedef typename Neighbours<float, V>::type Vector;
    enum : int { pitch = strip_pitch(WIDTH), before = round_up(K / 2, 4) };
    enum : int { threads = WIDTH / V, tasks = R * (WIDTH / EACH) };
    static_assert(WIDTH % EACH == 0 && EACH % 4 == 0 && int(tasks) <= int(threads), "a thread sums EACH windows");

    // Rows in threadgroup memory, two images of them.
    METAL_FUNC threadgroup float *image(int which) {
        return (threadgroup float *)memory + before + which * (R * pitch + round_up(K, 4));
    }
    // What lies around the rows is read with them, though for no window that is used; nothing else writes there. Once
    // is enough, before sum().
    METAL_FUNC void clear_margins() {
        constexpr int first = before / 4, row = (pitch - WIDTH) / 4, last = round_up(K, 4) / 4;
        for (int i = thread_index; i < first + R * row + last; i += threads) {
            const int r = (i - first) / row;
            const int at = i < first             ? i
                           : i < first + R * row ? first + r * (pitch / 4) + WIDTH / 4 + (i - first) % row
                                                 : i + R * (WIDTH / 4);
            memory[at] = float4(0.0f);
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
        threadgroup const float4 *from = (threadgroup const float4 *)(in - before);
#pragma unroll
        for (int q = 0; q < quads; ++q) {
            const float4 f = from[q];
            w[4 * q] = f.x;
            w[4 * q + 1] = f.y;
            w[4 * q + 2] = f.z;
            w[4 * q + 3] = f.w;
        }
        sliding_sums<K, EACH, 1>(w + lead, s);
    }
    METAL_FUNC void write_windows(threadgroup float *out, thread const float *s) {
        threadgroup float4 *to = (threadgroup float4 *)out;
#pragma unroll
        for (int q = 0; q < EACH / 4; ++q) to[q] = float4(s[4 * q], s[4 * q + 1], s[4 * q + 2], s[4 * q + 3]);
    }

    METAL_FUNC void sum(thread const float *v, thread float *sums) {
        threadgroup float *in = image(0), *out = image(1);
        write(in, v);
        threadgroup_barrier(mem_flags::mem_threadgroup);
        if (thread_index < tasks) {
            float s[EACH];
            const int place = place_of_task(thread_index);
            sum_windows(in + place, s);
            write_windows(out + place, s);
        }
        threadgroup_barrier(mem_flags::mem_threadgroup);
        read(out, sums);
    }
};

template <typename T, int K, int V, int R, int WIDTH, int EACH>
kernel void spatial_forward_strip(device const T *x [[buffer(0)]], device T *y [[buffer(1)]],
                                  constant SpatialParams &p [[buffer(2)]], uint group [[threadgroup_position_in_grid]],
                                  uint thread_index [[thread_index_in_threadgroup]]) {
    threadgroup float4 memory[strip_floats(K, WIDTH, R) / 4];
    StripRows<K, V, R, WIDTH, EACH> rows = {memory, int(thread_index)};
    rows.clear_margins();
    forward_walk<K, V, R>(x, y, p, place_of(p, int(group), 1, 0, int(thread_index), V), rows);
}

template <typename T, int K, int V, int R, int WIDTH, int EACH>
kernel void spatial_gradient_strip(device const T *dy [[buffer(0)]], device const T *x [[buffer(1)]],
                                   device T *dx [[buffer(2)]], constant SpatialParams &p [[buffer(3)]],
                                   uint group [[threadgroup_position_in_grid]],
                                   uint thread_index [[thread_index_in_threadgroup]]) {
    threadgroup float4 memory[strip_floats(K, WIDTH, R) / 4];
    StripRows<K, V, R, WIDTH, EACH> rows = {memory, int(thread_index)};
    rows.clear_margins();
    gradient_walk<K, V, R, (K < 60)>(dy, x, dx, p, place_of(p, int(group), 1, 0, int(thread_index), V), rows);
}
