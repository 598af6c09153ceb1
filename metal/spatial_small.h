// Small planes: a threadgroup takes as many whole planes as SPATIAL_SMALL elements hold, and sums windows of any size
// in threadgroup memory, down the columns and then along the rows. Each thread works on SPATIAL_SMALL_EACH elements.
#pragma once
#include "spatial_plain.h"

// One element of a small plane. The index counts elements from the threadgroup's first plane on.
struct SmallElement {
    int index, plane, row, column;
    bool inside;
};

METAL_FUNC SmallElement small_element(constant SpatialParams &p, uint group, uint lane, int i) {
    const int first = int(group) * p.strip_planes, planes = min(p.strip_planes, p.planes - first);
    SmallElement e;
    e.index = int(lane) + i * SPATIAL_THREADS;
    const uint in_plane = uint(e.index) % uint(p.height * p.width);
    e.plane = p.first_plane + first + e.index / (p.height * p.width);
    e.row = int(in_plane / uint(p.width));
    e.column = int(in_plane % uint(p.width));
    e.inside = e.index < planes * p.height * p.width;
    return e;
}

// Sum of the samples i - before .. i + after of a line of `size` samples, `step` apart.
METAL_FUNC float line_sum(threadgroup const float *line, int step, int i, int size, int before, int after,
                          int clamped) {
    const int first = max(i - before, 0), last = min(i + after, size - 1);
    float sum = line[first * step];
    for (int j = first + 1; j <= last; ++j) sum += line[j * step];
    if (clamped != 0) {
        if (before > i) sum += float(before - i) * line[0];
        if (after > size - 1 - i) sum += float(after - (size - 1 - i)) * line[(size - 1) * step];
    }
    return sum;
}

// The transpose of line_sum.
METAL_FUNC float line_adjoint(threadgroup const float *line, int step, int i, int size, int before, int after,
                              int clamped) {
    if (clamped == 0 || (i != 0 && i != size - 1)) return line_sum(line, step, i, size, after, before, 0);
    float sum = 0.0f;
    const int last = min(i + before, size - 1);
    for (int j = max(i - after, 0); j <= last; ++j)
        sum += float(window_count(j, i, size, before, after)) * line[j * step];
    return sum;
}

// sums[i] = window sums of the values that each thread holds of its elements.
METAL_FUNC void small_sums(constant SpatialParams &p, thread const SmallElement *e, thread const float *values,
                           threadgroup float *memory, bool adjoint, thread float *sums) {
    threadgroup float *columns = memory + SPATIAL_SMALL;
    const int bottom = p.kernel_height - 1 - p.top, right = p.kernel_width - 1 - p.left;
#pragma unroll
    for (int i = 0; i < SPATIAL_SMALL_EACH; ++i)
        if (e[i].inside) memory[e[i].index] = values[i];
    threadgroup_barrier(mem_flags::mem_threadgroup);
#pragma unroll
    for (int i = 0; i < SPATIAL_SMALL_EACH; ++i) {
        if (!e[i].inside) continue;
        threadgroup const float *column = memory + (e[i].index - e[i].row * p.width);
        columns[e[i].index] = adjoint ? line_adjoint(column, p.width, e[i].row, p.height, p.top, bottom, p.clamp)
                                      : line_sum(column, p.width, e[i].row, p.height, p.top, bottom, p.clamp);
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
#pragma unroll
    for (int i = 0; i < SPATIAL_SMALL_EACH; ++i) {
        sums[i] = 0.0f;
        if (!e[i].inside) continue;
        threadgroup const float *row = columns + (e[i].index - e[i].column);
        sums[i] = adjoint ? line_adjoint(row, 1, e[i].column, p.width, p.left, right, p.clamp)
                          : line_sum(row, 1, e[i].column, p.width, p.left, right, p.clamp);
    }
}

template <typename T>
METAL_FUNC void small_read(device const T *image, constant SpatialParams &p, int which, thread const SmallElement *e,
                           thread float *values) {
#pragma unroll
    for (int i = 0; i < SPATIAL_SMALL_EACH; ++i)
        values[i] = e[i].inside ? float(image[image_offset(p, which, e[i].plane, e[i].row, e[i].column)]) : 0.0f;
}
template <typename T>
METAL_FUNC void small_write(device T *image, constant SpatialParams &p, int which, thread const SmallElement *e,
                            thread const float *values) {
#pragma unroll
    for (int i = 0; i < SPATIAL_SMALL_EACH; ++i)
        if (e[i].inside) image[image_offset(p, which, e[i].plane, e[i].row, e[i].column)] = T(values[i]);
}

// T^-beta and T^-(beta + 1) of each element.
METAL_FUNC void small_powers(constant SpatialParams &p, thread const SmallElement *e, thread const float *x,
                             threadgroup float *memory, thread float *power, thread float *power_1) {
    float squares[SPATIAL_SMALL_EACH], t[SPATIAL_SMALL_EACH];
#pragma unroll
    for (int i = 0; i < SPATIAL_SMALL_EACH; ++i) squares[i] = x[i] * x[i];
    small_sums(p, e, squares, memory, false, t);
#pragma unroll
    for (int i = 0; i < SPATIAL_SMALL_EACH; ++i) t[i] = base(p, t[i]);
    powers<SPATIAL_SMALL_EACH>(p, t, power, power_1);
}

template <typename T>
kernel void spatial_forward_small(device const T *x [[buffer(0)]], device T *y [[buffer(1)]],
                                  constant SpatialParams &p [[buffer(2)]], uint group [[threadgroup_position_in_grid]],
                                  uint lane [[thread_index_in_threadgroup]]) {
    threadgroup float memory[2 * SPATIAL_SMALL];
    SmallElement e[SPATIAL_SMALL_EACH];
    float xs[SPATIAL_SMALL_EACH], power[SPATIAL_SMALL_EACH], power_1[SPATIAL_SMALL_EACH];
#pragma unroll
    for (int i = 0; i < SPATIAL_SMALL_EACH; ++i) e[i] = small_element(p, group, lane, i);
    small_read(x, p, 0, e, xs);
    small_powers(p, e, xs, memory, power, power_1);
#pragma unroll
    for (int i = 0; i < SPATIAL_SMALL_EACH; ++i) xs[i] *= power[i];
    small_write(y, p, 1, e, xs);
}

// dx = dy * T^-beta - factor * x * (adjoint sum of dy * x * T^-(beta + 1))
template <typename T>
kernel void spatial_gradient_small(device const T *dy [[buffer(0)]], device const T *x [[buffer(1)]],
                                   device T *dx [[buffer(2)]], constant SpatialParams &p [[buffer(3)]],
                                   uint group [[threadgroup_position_in_grid]],
                                   uint lane [[thread_index_in_threadgroup]]) {
    threadgroup float memory[2 * SPATIAL_SMALL];
    SmallElement e[SPATIAL_SMALL_EACH];
    float xs[SPATIAL_SMALL_EACH], slopes[SPATIAL_SMALL_EACH], power[SPATIAL_SMALL_EACH], power_1[SPATIAL_SMALL_EACH];
#pragma unroll
    for (int i = 0; i < SPATIAL_SMALL_EACH; ++i) e[i] = small_element(p, group, lane, i);
    small_read(x, p, 1, e, xs);
    small_read(dy, p, 0, e, slopes);
    small_powers(p, e, xs, memory, power, power_1);
#pragma unroll
    for (int i = 0; i < SPATIAL_SMALL_EACH; ++i) {
        power[i] *= slopes[i];
        power_1[i] *= slopes[i] * xs[i];
    }
    small_sums(p, e, power_1, memory, true, slopes);
#pragma unroll
    for (int i = 0; i < SPATIAL_SMALL_EACH; ++i) xs[i] = fma(-p.factor * xs[i], slopes[i], power[i]);
    small_write(dx, p, 2, e, xs);
}

// v * T^-beta - factor * x * T^-(beta + 1) * (sum of x * v): see pair_plain.
template <typename T>
METAL_FUNC void pair_small(device const T *x, device const T *v, device T *out, constant SpatialParams &p,
                           bool mirrored, threadgroup float *memory, uint group, uint lane) {
    SmallElement e[SPATIAL_SMALL_EACH];
    float xs[SPATIAL_SMALL_EACH], vs[SPATIAL_SMALL_EACH], power[SPATIAL_SMALL_EACH], power_1[SPATIAL_SMALL_EACH];
    float products[SPATIAL_SMALL_EACH], sums[SPATIAL_SMALL_EACH];
#pragma unroll
    for (int i = 0; i < SPATIAL_SMALL_EACH; ++i) e[i] = small_element(p, group, lane, i);
    small_read(x, p, p.x_image, e, xs);
    small_read(v, p, p.v_image, e, vs);
    small_powers(p, e, xs, memory, power, power_1);
#pragma unroll
    for (int i = 0; i < SPATIAL_SMALL_EACH; ++i) products[i] = xs[i] * vs[i];
    small_sums(p, e, products, memory, mirrored, sums);
#pragma unroll
    for (int i = 0; i < SPATIAL_SMALL_EACH; ++i) xs[i] = fma(-p.factor * xs[i] * power_1[i], sums[i], vs[i] * power[i]);
    small_write(out, p, 2, e, xs);
}

template <typename T>
kernel void spatial_jvp_small(device const T *x [[buffer(0)]], device const T *v [[buffer(1)]],
                              device T *dy [[buffer(2)]], constant SpatialParams &p [[buffer(3)]],
                              uint group [[threadgroup_position_in_grid]], uint lane [[thread_index_in_threadgroup]]) {
    threadgroup float memory[2 * SPATIAL_SMALL];
    pair_small(x, v, dy, p, false, memory, group, lane);
}

template <typename T>
kernel void spatial_gradient_documented_small(device const T *dy [[buffer(0)]], device const T *x [[buffer(1)]],
                                              device T *dx [[buffer(2)]], constant SpatialParams &p [[buffer(3)]],
                                              uint group [[threadgroup_position_in_grid]],
                                              uint lane [[thread_index_in_threadgroup]]) {
    threadgroup float memory[2 * SPATIAL_SMALL];
    pair_small(x, dy, dx, p, true, memory, group, lane);
}
