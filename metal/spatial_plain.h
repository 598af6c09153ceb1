// The formulas as they stand: one thread for each output, every window added up sample by sample.
// They judge the other kernels. Only the gradient needs scratch, for u = dy * x * T^-(beta + 1).
#pragma once
#include "spatial_access.h"

// The sample at (row, column), which may lie outside the image.
template <typename T>
METAL_FUNC float sample(device const T *plane, constant SpatialParams &p, int image, int row, int column) {
    const int r = clamp(row, 0, p.height - 1), c = clamp(column, 0, p.width - 1);
    if (p.clamp == 0 && (r != row || c != column)) return 0.0f;
    return float(plane[p.image[image].row * r + p.image[image].column * c]);
}

// Sum of x * v over the window of (row, column), which begins top rows and left columns before it.
template <typename T>
METAL_FUNC float window_sum_plain(device const T *x, int x_image, device const T *v, int v_image,
                                  constant SpatialParams &p, int row, int column, int top, int left) {
    float sum = 0.0f;
    for (int r = 0; r < p.kernel_height; ++r) {
        float row_sum = 0.0f;
        for (int c = 0; c < p.kernel_width; ++c) {
            const int i = row - top + r, j = column - left + c;
            row_sum += sample(x, p, x_image, i, j) * sample(v, p, v_image, i, j);
        }
        sum += row_sum;
    }
    return sum;
}

// In how many rows (or columns) of the clamped window of `from` the sample `to` stands.
METAL_FUNC int window_count(int from, int to, int size, int before, int after) {
    if (size == 1) return before + 1 + after;
    if (to == 0) return before - from + 1;
    if (to == size - 1) return from + after - to + 1;
    return 1;
}

// The transpose of the window sum: sum of u over all elements whose window holds (row, column).
METAL_FUNC float adjoint_sum_plain(device const float *u, constant SpatialParams &p, int plane, int row, int column) {
    const int bottom = p.kernel_height - 1 - p.top, right = p.kernel_width - 1 - p.left;
    const int first_row = max(row - bottom, 0), last_row = min(row + p.top, p.height - 1);
    const int first_column = max(column - right, 0), last_column = min(column + p.left, p.width - 1);
    float sum = 0.0f;
    for (int i = first_row; i <= last_row; ++i) {
        const int rows = p.clamp != 0 ? window_count(i, row, p.height, p.top, bottom) : 1;
        float row_sum = 0.0f;
        for (int j = first_column; j <= last_column; ++j) {
            const int columns = p.clamp != 0 ? window_count(j, column, p.width, p.left, right) : 1;
            row_sum += float(columns) * u[scratch_offset(p, plane, i, j)];
        }
        sum += float(rows) * row_sum;
    }
    return sum;
}

// y = x * T^-beta
template <typename T>
kernel void spatial_forward_plain(device const T *x [[buffer(0)]], device T *y [[buffer(1)]],
                                  constant SpatialParams &p [[buffer(2)]], uint group [[threadgroup_position_in_grid]],
                                  uint lane [[thread_index_in_threadgroup]]) {
    const ulong index = ulong(group) * SPATIAL_THREADS + lane;
    if (index >= ulong(p.elements)) return;
    const Element e = element_at(p, index);
    x += plane_offset(p, 0, e.plane);
    const float t = base(p, window_sum_plain(x, 0, x, 0, p, e.row, e.column, p.top, p.left));
    const float centre = sample(x, p, 0, e.row, e.column);
    y[image_offset(p, 1, e.plane, e.row, e.column)] = T(centre * power_of_beta(p, t));
}

// u = dy * x * T^-(beta + 1)
template <typename T>
kernel void spatial_gradient_terms_plain(device const T *dy [[buffer(0)]], device const T *x [[buffer(1)]],
                                         device float *u [[buffer(2)]], constant SpatialParams &p [[buffer(3)]],
                                         uint group [[threadgroup_position_in_grid]],
                                         uint lane [[thread_index_in_threadgroup]]) {
    const ulong index = ulong(group) * SPATIAL_THREADS + lane;
    if (index >= ulong(p.elements)) return;
    const Element e = element_at(p, index);
    x += plane_offset(p, 1, e.plane);
    dy += plane_offset(p, 0, e.plane);
    const float t = base(p, window_sum_plain(x, 1, x, 1, p, e.row, e.column, p.top, p.left));
    u[scratch_offset(p, e.plane, e.row, e.column)] =
        sample(dy, p, 0, e.row, e.column) * sample(x, p, 1, e.row, e.column) * power_of_beta_1(p, t);
}

// dx = dy * T^-beta - factor * x * (adjoint sum of u)
template <typename T>
kernel void spatial_gradient_plain(device const T *dy [[buffer(0)]], device const T *x [[buffer(1)]],
                                   device T *dx [[buffer(2)]], device const float *u [[buffer(3)]],
                                   constant SpatialParams &p [[buffer(4)]], uint group [[threadgroup_position_in_grid]],
                                   uint lane [[thread_index_in_threadgroup]]) {
    const ulong index = ulong(group) * SPATIAL_THREADS + lane;
    if (index >= ulong(p.elements)) return;
    const Element e = element_at(p, index);
    x += plane_offset(p, 1, e.plane);
    dy += plane_offset(p, 0, e.plane);
    const float t = base(p, window_sum_plain(x, 1, x, 1, p, e.row, e.column, p.top, p.left));
    const float direct = sample(dy, p, 0, e.row, e.column) * power_of_beta(p, t);
    const float sum = adjoint_sum_plain(u, p, e.plane, e.row, e.column);
    dx[image_offset(p, 2, e.plane, e.row, e.column)] =
        T(fma(-p.factor * sample(x, p, 1, e.row, e.column), sum, direct));
}

// v * T^-beta - factor * x * T^-(beta + 1) * (sum of x * v): the forward-mode product with the tangent v, and,
// over the mirrored window and with a factor of its own, the gradient as Apple documents it.
template <typename T>
METAL_FUNC float pair_plain(device const T *x, int x_image, device const T *v, int v_image, constant SpatialParams &p,
                            Element e) {
    x += plane_offset(p, x_image, e.plane);
    v += plane_offset(p, v_image, e.plane);
    const int top = p.mirrored != 0 ? p.kernel_height - 1 - p.top : p.top;
    const int left = p.mirrored != 0 ? p.kernel_width - 1 - p.left : p.left;
    const float t = base(p, window_sum_plain(x, x_image, x, x_image, p, e.row, e.column, p.top, p.left));
    const float sum = window_sum_plain(x, x_image, v, v_image, p, e.row, e.column, top, left);
    const float direct = sample(v, p, v_image, e.row, e.column) * power_of_beta(p, t);
    return fma(-p.factor * sample(x, p, x_image, e.row, e.column) * power_of_beta_1(p, t), sum, direct);
}

template <typename T>
kernel void spatial_jvp_plain(device const T *x [[buffer(0)]], device const T *v [[buffer(1)]],
                              device T *dy [[buffer(2)]], constant SpatialParams &p [[buffer(3)]],
                              uint group [[threadgroup_position_in_grid]], uint lane [[thread_index_in_threadgroup]]) {
    const ulong index = ulong(group) * SPATIAL_THREADS + lane;
    if (index >= ulong(p.elements)) return;
    const Element e = element_at(p, index);
    dy[image_offset(p, 2, e.plane, e.row, e.column)] = T(pair_plain(x, 0, v, 1, p, e));
}

template <typename T>
kernel void spatial_gradient_documented_plain(device const T *dy [[buffer(0)]], device const T *x [[buffer(1)]],
                                              device T *dx [[buffer(2)]], constant SpatialParams &p [[buffer(3)]],
                                              uint group [[threadgroup_position_in_grid]],
                                              uint lane [[thread_index_in_threadgroup]]) {
    const ulong index = ulong(group) * SPATIAL_THREADS + lane;
    if (index >= ulong(p.elements)) return;
    const Element e = element_at(p, index);
    dx[image_offset(p, 2, e.plane, e.row, e.column)] = T(pair_plain(x, 1, dy, 0, p, e));
}
