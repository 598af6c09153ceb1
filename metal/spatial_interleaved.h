// Strips of one threadgroup for interleaved channels (NHWC) and small odd
// square windows.
//
// As in spatial_simd.h, but neighbouring threads take neighbouring channels,
// CHANNELS of them, so that reads and writes are contiguous; the columns beside
// a thread's own come from threadgroup memory instead of shuffles.
#pragma once
#include "spatial_walk.h"

// A strip's columns, and the columns that a window reaches beyond it on both
// sides, which are zero.
constexpr int interleaved_slots(int k, int channels) { return (SPATIAL_INTERLEAVED_COLUMNS + k - 1) * channels; }

// Memory holds R rows of one column to a slot.
template <int K, int V, int R, int CHANNELS> struct InterleavedRows {
    enum : bool { apart = true };
    threadgroup vec<float, R> *memory;
    int slot; // of the thread's first column

    METAL_FUNC void clear_margins(int thread_index, int threads) {
        for (int i = thread_index; i < interleaved_slots(K, CHANNELS); i += threads) memory[i] = vec<float, R>(0.0f);
    }
    METAL_FUNC void sum(thread const float *v, thread float *sums) {
        constexpr int half_k = K / 2;
        threadgroup vec<float, R> *at = memory + slot;
        threadgroup_barrier(mem_flags::mem_threadgroup); // the last sum has been read
#pragma unroll
        for (int c = 0; c < V; ++c) {
            vec<float, R> column;
#pragma unroll
            for (int r = 0; r < R; ++r) column[r] = v[r * V + c];
            at[c * CHANNELS] = column;
        }
        threadgroup_barrier(mem_flags::mem_threadgroup);
        float w[R * (V + K - 1)]; // the columns from half a window before to half a
                                  // window behind, row by row
#pragma unroll
        for (int c = 0; c < V + K - 1; ++c) {
            if (c >= half_k && c < half_k + V) {
#pragma unroll
                for (int r = 0; r < R; ++r) w[r * (V + K - 1) + c] = v[r * V + c - half_k];
            } else {
                const vec<float, R> column = at[(c - half_k) * CHANNELS];
#pragma unroll
                for (int r = 0; r < R; ++r) w[r * (V + K - 1) + c] = column[r];
            }
        }
#pragma unroll
        for (int r = 0; r < R; ++r) sliding_sums<K, V, 1>(w + r * (V + K - 1), sums + r * V);
    }
};

template <int V, int CHANNELS>
METAL_FUNC Place interleaved_place(constant SpatialParams &p, int task, int thread_index) {
    return place_of(p, task, CHANNELS, thread_index % CHANNELS, thread_index / CHANNELS, V);
}

template <int K, int V, int R, int CHANNELS>
METAL_FUNC InterleavedRows<K, V, R, CHANNELS> interleaved_rows(threadgroup vec<float, R> *memory, int thread_index) {
    InterleavedRows<K, V, R, CHANNELS> rows;
    rows.memory = memory;
    rows.slot = (thread_index / CHANNELS * V + K / 2) * CHANNELS + thread_index % CHANNELS;
    rows.clear_margins(thread_index, SPATIAL_INTERLEAVED_COLUMNS / V * CHANNELS);
    return rows;
}

template <typename T, int K, int V, int R, int CHANNELS>
kernel void spatial_forward_interleaved(device const T *x [[buffer(0)]], device T *y [[buffer(1)]],
                                        constant SpatialParams &p [[buffer(2)]],
                                        uint group [[threadgroup_position_in_grid]],
                                        uint thread_index [[thread_index_in_threadgroup]]) {
    threadgroup float4 memory[interleaved_slots(K, CHANNELS) * R / 4];
    InterleavedRows<K, V, R, CHANNELS> rows =
        interleaved_rows<K, V, R, CHANNELS>((threadgroup vec<float, R> *)memory, int(thread_index));
    forward_walk<K, V, R>(x, y, p, interleaved_place<V, CHANNELS>(p, int(group), int(thread_index)), rows);
}

template <typename T, int K, int V, int R, int CHANNELS>
kernel void spatial_gradient_interleaved(device const T *dy [[buffer(0)]], device const T *x [[buffer(1)]],
                                         device T *dx [[buffer(2)]], constant SpatialParams &p [[buffer(3)]],
                                         uint group [[threadgroup_position_in_grid]],
                                         uint thread_index [[thread_index_in_threadgroup]]) {
    threadgroup float4 memory[interleaved_slots(K, CHANNELS) * R / 4];
    InterleavedRows<K, V, R, CHANNELS> rows =
        interleaved_rows<K, V, R, CHANNELS>((threadgroup vec<float, R> *)memory, int(thread_index));
    gradient_walk<K, V, R>(dy, x, dx, p, interleaved_place<V, CHANNELS>(p, int(group), int(thread_index)), rows);
}
