// Strips of one threadgroup, for larger odd square windows: sums along the rows
// in threadgroup memory, where a thread adds up some neighbouring windows of
// one row.
#pragma once
#include "spatial_walk.h"

// The pitch of R rows in threadgroup memory. Eight neighbouring threads read float4s, of R different rows and then from
// the next EACH columns: the padding lets them find these in different banks where it can.
constexpr int strip_pitch(int width, int rows, int each) {
    int pitch = width / 4 + 1;
    for (int tries = 0; tries < 8 && (pitch % 2 == 0 || (rows * pitch - each / 4) % 8 != 0); ++tries) ++pitch;
    return 4 * (pitch % 2 == 0 ? pitch + 1 : pitch);
}
constexpr int strip_floats(int width, int rows, int each) { return 2 * rows * strip_pitch(width, rows, each); }

// Each thread holds R rows of its V columns. A thread sums EACH neighbouring
// windows of one row, which share most of their terms; for more than R * V of
// them only some of the threads have work. Windows that leave the strip are
// undefined.
template <int K, int V, int R, int WIDTH, int EACH> struct StripRows {
    enum : bool { apart = false };
    threadgroup float4 *memory;
    int thread_index;

    METAL_FUNC void sum(thread const float *v, thread float *sums) {
        constexpr int pitch = strip_pitch(WIDTH, R, EACH), quads = ceil_div(K - 1 + EACH, 4);
        static_assert(WIDTH % EACH == 0 && EACH % 4 == 0 && EACH >= R * V, "a thread sums EACH windows");
        threadgroup float *in = (threadgroup float *)memory;
        threadgroup float *out = in + R * pitch;
#pragma unroll
        for (int i = 0; i < R * V; ++i) in[i / V * pitch + thread_index * V + i % V] = v[i];
        threadgroup_barrier(mem_flags::mem_threadgroup);

        // Neighbouring threads take different rows, and so different banks of
        // memory.
        const int row = thread_index % R,
                  first = thread_index / R * EACH; // the first window's first column
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
        // Threads beside the windows that were summed take any others: their results are undefined.
        const int window = clamp(thread_index * V - K / 2, 0, (WIDTH - K) / EACH * EACH + EACH - V);
#pragma unroll
        for (int i = 0; i < R * V; ++i) sums[i] = out[i / V * pitch + window + i % V];
    }
};

template <typename T, int K, int V, int R, int WIDTH, int EACH>
kernel void spatial_forward_strip(device const T *x [[buffer(0)]], device T *y [[buffer(1)]],
                                  constant SpatialParams &p [[buffer(2)]], uint group [[threadgroup_position_in_grid]],
                                  uint thread_index [[thread_index_in_threadgroup]]) {
    threadgroup float4 memory[strip_floats(WIDTH, R, EACH) / 4];
    StripRows<K, V, R, WIDTH, EACH> rows = {memory, int(thread_index)};
    forward_walk<K, V, R>(x, y, p, place_of(p, int(group), 1, 0, int(thread_index), V), rows);
}

template <typename T, int K, int V, int R, int WIDTH, int EACH>
kernel void spatial_gradient_strip(device const T *dy [[buffer(0)]], device const T *x [[buffer(1)]],
                                   device T *dx [[buffer(2)]], constant SpatialParams &p [[buffer(3)]],
                                   uint group [[threadgroup_position_in_grid]],
                                   uint thread_index [[thread_index_in_threadgroup]]) {
    threadgroup float4 memory[strip_floats(WIDTH, R, EACH) / 4];
    StripRows<K, V, R, WIDTH, EACH> rows = {memory, int(thread_index)};
    gradient_walk<K, V, R>(dy, x, dx, p, place_of(p, int(group), 1, 0, int(thread_index), V), rows);
}
