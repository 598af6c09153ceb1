// Any window, at a cost per element that grows with the logarithm of its sides: sums down the columns into
// scratch, sums along the rows from scratch to scratch, and one kernel that finishes element by element.
//
// A threadgroup holds a tile of lines in threadgroup memory and doubles: after n steps a position holds the sum
// of 2^n samples, and a window of k samples is put together from the binary digits of k.
#pragma once
#include "spatial_parameter_gradients.h"

// One line is summed from `start` on, `step` apart in scratch; lines lie side by side, `pitch` apart.
struct Lines {
    int size, count; // positions of a line; lines to each outer index
    long step, pitch;
};

METAL_FUNC Lines lines_of(constant SpatialParams &p) {
    Lines lines;
    if (p.along_rows == 0) { // down the columns: one line for each column and interleaved plane
        lines.size = p.height;
        lines.count = p.width * p.inner;
        lines.step = lines.count;
        lines.pitch = 1;
    } else if (p.inner == 1) { // along the rows of a plane
        lines.size = p.width;
        lines.count = p.height;
        lines.step = 1;
        lines.pitch = p.width;
    } else { // along one row of interleaved planes
        lines.size = p.width;
        lines.count = p.inner;
        lines.step = p.inner;
        lines.pitch = 1;
    }
    return lines;
}

// The samples that are added up: scratch itself, the squares of x, or x * v. Images are summed down the columns first,
// so that `position` is a row and `line` a column.
struct ScratchSource {
    device const float *values;
    METAL_FUNC float at(constant SpatialParams &p, Lines lines, int outer, int line, int position) const {
        return values[long(outer) * lines.count * lines.size + line * lines.pitch + position * lines.step];
    }
};
template <typename T>
METAL_FUNC float image_at(device const T *image, constant SpatialParams &p, int which, int outer, int line, int row) {
    const int column = p.inner == 1 ? line : line / p.inner;
    return float(
        image[image_offset(p, which, p.first_plane + outer * p.inner + (line - column * p.inner), row, column)]);
}
template <typename T> struct SquareSource {
    device const T *x;
    METAL_FUNC float at(constant SpatialParams &p, Lines, int outer, int line, int position) const {
        const float value = image_at(x, p, p.x_image, outer, line, position);
        return value * value;
    }
};
template <typename T> struct ProductSource {
    device const T *x;
    device const T *v;
    METAL_FUNC float at(constant SpatialParams &p, Lines, int outer, int line, int position) const {
        return image_at(x, p, p.x_image, outer, line, position) * image_at(v, p, p.v_image, outer, line, position);
    }
};

// Sum of (first_weight + i * weight_step) * sample(first + i * step) for i < n. Part by part: in one long sum the
// rounding errors of thousands of terms would add up.
template <typename Source>
METAL_FUNC float long_sum(Source source, constant SpatialParams &p, Lines lines, int outer, int line, int first,
                          int step, int n, int first_weight, int weight_step) {
    constexpr int part_size = 32;
    float sum = 0.0f;
    for (int begin = 0; begin < n; begin += part_size) {
        float part = 0.0f;
        for (int i = begin; i < min(begin + part_size, n); ++i)
            part += float(first_weight + i * weight_step) * source.at(p, lines, outer, line, first + i * step);
        sum += part;
    }
    return sum;
}

// What a clamped window holds beyond the image's edges, or what the transpose folds back onto the edge.
template <typename Source>
METAL_FUNC float edge_terms(Source source, constant SpatialParams &p, Lines lines, int outer, int line, int position) {
    const int size = lines.size;
    float sum = 0.0f;
    if (p.adjoint == 0) {
        const int above = p.before - position, below = p.after - (size - 1 - position);
        if (above > 0) sum += float(above) * source.at(p, lines, outer, line, 0);
        if (below > 0) sum += float(below) * source.at(p, lines, outer, line, size - 1);
    } else {
        // The transposed window has its sides exchanged: `after` samples before it, `before` samples after it.
        if (position == 0) sum += long_sum(source, p, lines, outer, line, 0, 1, min(p.after, size), p.after, -1);
        if (position == size - 1)
            sum += long_sum(source, p, lines, outer, line, size - 1, -1, min(p.before, size), p.before, -1);
    }
    return sum;
}

// sums[i] = sum of the samples i - before .. i + after of the line, for all lines of a dispatch.
template <typename Source>
METAL_FUNC void window_sums(Source source, device float *sums, constant SpatialParams &p, threadgroup float *memory,
                            uint group, uint lane) {
    constexpr int each = SPATIAL_TILE / SPATIAL_THREADS;
    const Lines lines = lines_of(p);
    const int length = 1 << p.tile_bits, tile_lines = SPATIAL_TILE >> p.tile_bits;
    const int k = p.clipped_before + 1 + p.clipped_after, outputs = length - (k - 1);
    const int tiles = (lines.size + outputs - 1) / outputs, blocks = (lines.count + tile_lines - 1) / tile_lines;
    const int first = int(group % uint(tiles)) * outputs;
    const int first_line = int(group / uint(tiles) % uint(blocks)) * tile_lines;
    const int outer = int(group / uint(tiles) / uint(blocks));
    // In the tile, what lies side by side in memory lies side by side too: lines or positions.
    const bool across = lines.pitch == 1;
    const int line_bits = SPATIAL_TILE_BITS - p.tile_bits;
    const int step = across ? tile_lines : 1;

    float value[each], sum[each];
#pragma unroll
    for (int i = 0; i < each; ++i) {
        const int slot = int(lane) + i * SPATIAL_THREADS;
        const int position = first - p.clipped_before + (across ? slot >> line_bits : slot & (length - 1));
        const int line = first_line + (across ? slot & (tile_lines - 1) : slot >> p.tile_bits);
        const bool inside = line < lines.count && uint(position) < uint(lines.size);
        value[i] = inside ? source.at(p, lines, outer, line, position) : 0.0f;
        sum[i] = 0.0f;
    }
    int taken = 0;
    for (int bit = 1; bit <= k; bit *= 2) {
        threadgroup_barrier(mem_flags::mem_threadgroup);
#pragma unroll
        for (int i = 0; i < each; ++i) memory[int(lane) + i * SPATIAL_THREADS] = value[i];
        threadgroup_barrier(mem_flags::mem_threadgroup);
        if ((k & bit) != 0) {
#pragma unroll
            for (int i = 0; i < each; ++i) {
                const int slot = int(lane) + i * SPATIAL_THREADS + taken * step;
                sum[i] += slot < SPATIAL_TILE ? memory[slot] : 0.0f;
            }
            taken += bit;
        }
#pragma unroll
        for (int i = 0; i < each; ++i) {
            const int slot = int(lane) + i * SPATIAL_THREADS + bit * step;
            value[i] += slot < SPATIAL_TILE ? memory[slot] : 0.0f;
        }
    }
#pragma unroll
    for (int i = 0; i < each; ++i) {
        const int slot = int(lane) + i * SPATIAL_THREADS;
        const int offset = across ? slot >> line_bits : slot & (length - 1), position = first + offset;
        const int line = first_line + (across ? slot & (tile_lines - 1) : slot >> p.tile_bits);
        if (offset < outputs && position < lines.size && line < lines.count) {
            const float outside = p.clamp != 0 ? edge_terms(source, p, lines, outer, line, position) : 0.0f;
            sums[long(outer) * lines.count * lines.size + line * lines.pitch + position * lines.step] =
                sum[i] + outside;
        }
    }
}

// For windows that no tile can hold: every sum sample by sample along the line.
template <typename Source>
METAL_FUNC void window_sums_plain(Source source, device float *sums, constant SpatialParams &p, uint group, uint lane) {
    const ulong index = ulong(group) * SPATIAL_THREADS + lane;
    if (index >= ulong(p.elements)) return;
    const Lines lines = lines_of(p);
    const Element e = element_at(p, index);
    const int inner = (e.plane - p.first_plane) % p.inner, group_of_planes = (e.plane - p.first_plane) / p.inner;
    const int position = p.along_rows == 0 ? e.row : e.column;
    const int line = p.along_rows == 0 ? e.column * p.inner + inner : p.inner == 1 ? e.row : inner;
    const int outer = p.along_rows == 0 || p.inner == 1 ? group_of_planes : group_of_planes * p.height + e.row;
    const float sum = p.clamp != 0 ? edge_terms(source, p, lines, outer, line, position) : 0.0f;
    const int begin = max(position - p.clipped_before, 0), last = min(position + p.clipped_after, lines.size - 1);
    sums[index] = sum + long_sum(source, p, lines, outer, line, begin, 1, last - begin + 1, 1, 0);
}
