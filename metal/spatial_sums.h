// Any window, at a cost per element that grows with the logarithm of its sides: sums down the columns into
// scratch, sums along the rows from scratch to scratch, and one kernel that finishes element by element.
//
// A threadgroup holds a tile of lines in threadgroup memory and doubles: after n steps a position holds the sum
// of 2^n samples, and a window of k samples is put together from the binary digits of k.
#pragma once
#include "spatial_parameter_gradients.h"

// Scratch is cut along one axis into [outer][size][pitch]; a line is one outer and one inner index.

// The samples that are added up, by their index in scratch: scratch itself, the squares of x, or x * v.
struct ScratchSource {
    device const float* values;
    METAL_FUNC float at(constant SpatialParams&, ulong index) const { return values[index]; }
};
template <typename T>
struct SquareSource {
    device const T* x;
    METAL_FUNC float at(constant SpatialParams& p, ulong index) const
    {
        const Element e = element_at(p, index);
        const float value = float(x[image_offset(p, p.x_image, e.plane, e.row, e.column)]);
        return value * value;
    }
};
template <typename T>
struct ProductSource {
    device const T* x;
    device const T* v;
    METAL_FUNC float at(constant SpatialParams& p, ulong index) const
    {
        const Element e = element_at(p, index);
        return float(x[image_offset(p, p.x_image, e.plane, e.row, e.column)]) *
               float(v[image_offset(p, p.v_image, e.plane, e.row, e.column)]);
    }
};

// What a clamped window holds beyond the image's edges, or what the transpose folds back onto the edge.
template <typename Source>
METAL_FUNC float edge_terms(Source source, constant SpatialParams& p, ulong line, int pitch, int size, int position)
{
    float sum = 0.0f;
    if (p.adjoint == 0) {
        const int above = p.before - position, below = p.after - (size - 1 - position);
        if (above > 0) sum += float(above) * source.at(p, line);
        if (below > 0) sum += float(below) * source.at(p, line + ulong(size - 1) * uint(pitch));
    } else {
        // The transposed window has its sides exchanged: `after` samples before it, `before` samples after it.
        if (position == 0)
            for (int i = 0; i < min(p.after, size); ++i) sum += float(p.after - i) * source.at(p, line + ulong(i) * uint(pitch));
        if (position == size - 1)
            for (int i = 0; i < min(p.before, size); ++i)
                sum += float(p.before - i) * source.at(p, line + ulong(size - 1 - i) * uint(pitch));
    }
    return sum;
}

// sums[i] = sum of the samples i - before .. i + after of the line, for all lines of a dispatch.
template <typename Source>
METAL_FUNC void window_sums(Source source, device float* sums, constant SpatialParams& p, threadgroup float* memory,
                            uint group, uint lane)
{
    constexpr int each = SPATIAL_TILE / SPATIAL_THREADS;
    const int size = p.along_rows != 0 ? p.width : p.height;
    const int pitch = p.along_rows != 0 ? p.inner : p.width * p.inner;
    const int length = p.tile_length, lines = SPATIAL_TILE / length;
    const int k = p.clipped_before + 1 + p.clipped_after;
    const int outputs = length - (k - 1);
    const int tiles = (size + outputs - 1) / outputs;
    // Lines lie side by side in memory where there are several; else the positions do.
    const bool across = pitch > 1;
    const int step = across ? lines : 1;
    const ulong all_lines = ulong(p.elements) / uint(size);
    const int first = int(group % uint(tiles)) * outputs;
    const ulong first_line = ulong(group / uint(tiles)) * uint(lines);

    float value[each], sum[each];
    #pragma unroll
    for (int i = 0; i < each; ++i) {
        const int slot = int(lane) + i * SPATIAL_THREADS;
        const int position = first - p.clipped_before + (across ? slot / lines : slot % length);
        const ulong line = first_line + uint(across ? slot % lines : slot / length);
        const ulong start = line / uint(pitch) * uint(size) * uint(pitch) + line % uint(pitch);
        const bool inside = line < all_lines && uint(position) < uint(size);
        value[i] = inside ? source.at(p, start + ulong(uint(inside ? position : 0)) * uint(pitch)) : 0.0f;
        sum[i] = 0.0f;
    }
    int taken = 0;
    for (int bit = 1; bit <= k; bit *= 2) {
        threadgroup_barrier(mem_flags::mem_threadgroup);
        #pragma unroll
        for (int i = 0; i < each; ++i) memory[int(lane) + i * SPATIAL_THREADS] = value[i];
        threadgroup_barrier(mem_flags::mem_threadgroup);
        #pragma unroll
        for (int i = 0; i < each; ++i) {
            const int slot = int(lane) + i * SPATIAL_THREADS;
            if ((k & bit) != 0) sum[i] += slot + taken * step < SPATIAL_TILE ? memory[slot + taken * step] : 0.0f;
            value[i] += slot + bit * step < SPATIAL_TILE ? memory[slot + bit * step] : 0.0f;
        }
        if ((k & bit) != 0) taken += bit;
    }
    #pragma unroll
    for (int i = 0; i < each; ++i) {
        const int slot = int(lane) + i * SPATIAL_THREADS;
        const int offset = across ? slot / lines : slot % length;
        const ulong line = first_line + uint(across ? slot % lines : slot / length);
        const int position = first + offset;
        if (offset < outputs && position < size && line < all_lines) {
            const ulong start = line / uint(pitch) * uint(size) * uint(pitch) + line % uint(pitch);
            const float outside = p.clamp != 0 ? edge_terms(source, p, start, pitch, size, position) : 0.0f;
            sums[start + ulong(position) * uint(pitch)] = sum[i] + outside;
        }
    }
}

// For windows that no tile can hold: every sum sample by sample along the line.
template <typename Source>
METAL_FUNC void window_sums_plain(Source source, device float* sums, constant SpatialParams& p, uint group, uint lane)
{
    const ulong index = ulong(group) * SPATIAL_THREADS + lane;
    if (index >= ulong(p.elements)) return;
    const int size = p.along_rows != 0 ? p.width : p.height;
    const int pitch = p.along_rows != 0 ? p.inner : p.width * p.inner;
    const int position = int(index / uint(pitch) % uint(size));
    const ulong start = index - ulong(position) * uint(pitch);
    float sum = p.clamp != 0 ? edge_terms(source, p, start, pitch, size, position) : 0.0f;
    const int last = min(position + p.clipped_after, size - 1);
    for (int i = max(position - p.clipped_before, 0); i <= last; ++i) sum += source.at(p, start + ulong(i) * uint(pitch));
    sums[index] = sum;
}
