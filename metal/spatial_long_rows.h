// Threadgroup memory of the gradient for the largest windows: sums down the columns, of squares and of u, become window
// sums there, by simdgroups that take whole rows.
#pragma once
#include "spatial_gradient_walk.h"

// R rows of WIDTH columns, one column to a thread. The outermost simdgroups have no u, the two outermost no results.
template <int K, int R, int WIDTH> struct LongRows {
    threadgroup float *memory;
    int thread_index;

    enum : int {
        margin = SPATIAL_SIMD_WIDTH,
        u_columns = WIDTH - 2 * margin,
        blocks = Span<K, R>::blocks,
        tail = Span<K, R>::tail,
        whole_blocks = blocks - 1,
        centre = K / 2 + 1, // of a window, from the column before it on
        // Sums stand `centre` columns further on than their windows begin: beyond the columns only those that nobody
        // needs. Two rows of u lie side by side.
        pitch = WIDTH + centre,
        u_pitch = 2 * u_columns + centre,
        floats = R * pitch + R / 2 * u_pitch + whole_blocks * u_columns
    };
    static_assert(K < 2 * margin, "a margin of two simdgroups holds what windows of results reach");
    static_assert(R + R / 2 == WIDTH / SPATIAL_SIMD_WIDTH, "each simdgroup takes a row of squares or two of u");
    static_assert(blocks > 1 && tail > 0 && centre % 4 == 0, "a window is many steps high");

    METAL_FUNC bool has_u() const { return thread_index >= margin && thread_index < WIDTH - margin; }

    METAL_FUNC void write_squares(thread const float *v) const {
#pragma unroll
        for (int r = 0; r < R; ++r) memory[r * pitch + thread_index] = v[r];
    }
    METAL_FUNC void read_squares(thread float *v) const {
#pragma unroll
        for (int r = 0; r < R; ++r) v[r] = memory[r * pitch + thread_index];
    }
    METAL_FUNC void write_u(thread const float *v) const {
        threadgroup float *to = u() + thread_index - margin;
#pragma unroll
        for (int r = 0; r < R; ++r) to[r / 2 * u_pitch + r % 2 * u_columns] = v[r];
    }
    METAL_FUNC void read_u(thread float *v) const {
        threadgroup const float *from = u() + thread_index - margin;
#pragma unroll
        for (int r = 0; r < R; ++r) v[r] = from[r / 2 * u_pitch + r % 2 * u_columns];
    }

    METAL_FUNC void clear_totals() const {
        if (!has_u()) return;
#pragma unroll
        for (int b = 0; b < whole_blocks; ++b) totals()[b * u_columns] = 0.0f;
    }
    // As span_sums of u, but the totals of whole blocks wait here, in turn: `slot` is the oldest one's. rest: the rows
    // after the last whole block.
    METAL_FUNC void sum_columns(int slot, thread const float *oldest, thread const float *newest, thread float &rest,
                                thread float *sums) const {
        threadgroup float *kept = totals();
        float begun = kept[0], ends[R], end = rest;
#pragma unroll
        for (int b = 1; b < whole_blocks; ++b) begun += kept[b * u_columns];
#pragma unroll
        for (int r = 0; r < R; ++r) {
            end += newest[r];
            ends[r] = end;
            if (r >= R - tail) rest = r == R - tail ? newest[r] : rest + newest[r];
        }
#pragma unroll
        for (int i = R - 1; i >= 0; --i) {
            begun += oldest[i];
            sums[i] = begun + ends[i];
        }
        kept[slot * u_columns] = ends[R - 1 - tail];
    }

    // Window sums of the rows of squares and of u, where there are any.
    METAL_FUNC void sum_rows(bool squares, bool u_too) const {
        const int simdgroup = thread_index / SPATIAL_SIMD_WIDTH;
        threadgroup_barrier(mem_flags::mem_threadgroup);
        if (simdgroup < R) {
            if (squares) sum_row<WIDTH>((threadgroup float4 *)(memory + simdgroup * pitch));
        } else if (u_too) { // no window that is needed goes on in the other row
            sum_row<2 * u_columns>((threadgroup float4 *)(u() + (simdgroup - R) * u_pitch));
        }
        threadgroup_barrier(mem_flags::mem_threadgroup);
    }

  private:
    METAL_FUNC threadgroup float *u() const { return memory + R * pitch; }
    METAL_FUNC threadgroup float *totals() const { return u() + R / 2 * u_pitch + thread_index - margin; }

    // Some neighbouring columns a lane.
    template <int COLUMNS> METAL_FUNC void sum_row(threadgroup float4 *row) const {
        constexpr int each = COLUMNS / SPATIAL_SIMD_WIDTH;
        static_assert(each % 8 == 4, "eight lanes read float4s from different banks of memory at a time");
        threadgroup float4 *columns = row + thread_index % SPATIAL_SIMD_WIDTH * (each / 4);
        float v[each], sums[each + 1];
        read_float4s<each>(columns, v);
        simd_window_sums<K, each>(v, sums);
        sums[each] = from_lane(sums[0], 1);
        simdgroup_barrier(mem_flags::mem_threadgroup); // other lanes' columns have been read
        write_float4s<each>(columns + centre / 4, sums + 1);
    }
};
