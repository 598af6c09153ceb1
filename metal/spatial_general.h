// Entry points for windows of any size: window sums in scratch, then one element to a thread.
#pragma once
#include "spatial_sums.h"

// Sums of x^2, of x * v, or of what stands in scratch.
template <typename T>
kernel void spatial_square_sums(device const T *x [[buffer(0)]], device float *sums [[buffer(1)]],
                                constant SpatialParams &p [[buffer(2)]], uint group [[threadgroup_position_in_grid]],
                                uint lane [[thread_index_in_threadgroup]]) {
    threadgroup float memory[SPATIAL_TILE];
    const SquareSource<T> source = {x};
    window_sums(source, sums, p, memory, group, lane);
}

template <typename T>
kernel void spatial_product_sums(device const T *x [[buffer(0)]], device const T *v [[buffer(1)]],
                                 device float *sums [[buffer(2)]], constant SpatialParams &p [[buffer(3)]],
                                 uint group [[threadgroup_position_in_grid]],
                                 uint lane [[thread_index_in_threadgroup]]) {
    threadgroup float memory[SPATIAL_TILE];
    const ProductSource<T> source = {x, v};
    window_sums(source, sums, p, memory, group, lane);
}

kernel void spatial_sums(device const float *values [[buffer(0)]], device float *sums [[buffer(1)]],
                         constant SpatialParams &p [[buffer(2)]], uint group [[threadgroup_position_in_grid]],
                         uint lane [[thread_index_in_threadgroup]]) {
    threadgroup float memory[SPATIAL_TILE];
    const ScratchSource source = {values};
    window_sums(source, sums, p, memory, group, lane);
}

// The same for windows that no tile can hold.
template <typename T>
kernel void spatial_square_sums_plain(device const T *x [[buffer(0)]], device float *sums [[buffer(1)]],
                                      constant SpatialParams &p [[buffer(2)]],
                                      uint group [[threadgroup_position_in_grid]],
                                      uint lane [[thread_index_in_threadgroup]]) {
    const SquareSource<T> source = {x};
    window_sums_plain(source, sums, p, group, lane);
}

template <typename T>
kernel void spatial_product_sums_plain(device const T *x [[buffer(0)]], device const T *v [[buffer(1)]],
                                       device float *sums [[buffer(2)]], constant SpatialParams &p [[buffer(3)]],
                                       uint group [[threadgroup_position_in_grid]],
                                       uint lane [[thread_index_in_threadgroup]]) {
    const ProductSource<T> source = {x, v};
    window_sums_plain(source, sums, p, group, lane);
}

kernel void spatial_sums_plain(device const float *values [[buffer(0)]], device float *sums [[buffer(1)]],
                               constant SpatialParams &p [[buffer(2)]], uint group [[threadgroup_position_in_grid]],
                               uint lane [[thread_index_in_threadgroup]]) {
    const ScratchSource source = {values};
    window_sums_plain(source, sums, p, group, lane);
}

// y = x * T^-beta
template <typename T>
kernel void spatial_forward_general(device const T *x [[buffer(0)]], device T *y [[buffer(1)]],
                                    device const float *sums [[buffer(2)]], constant SpatialParams &p [[buffer(3)]],
                                    uint group [[threadgroup_position_in_grid]],
                                    uint lane [[thread_index_in_threadgroup]]) {
    const ulong index = ulong(group) * SPATIAL_THREADS + lane;
    if (index >= ulong(p.elements)) return;
    const Element e = element_at(p, index);
    const float centre = float(x[image_offset(p, 0, e.plane, e.row, e.column)]);
    y[image_offset(p, 1, e.plane, e.row, e.column)] = T(centre * power_of_beta(p, base(p, sums[index])));
}

// u = dy * x * T^-(beta + 1)
template <typename T>
kernel void spatial_gradient_terms(device const T *dy [[buffer(0)]], device const T *x [[buffer(1)]],
                                   device float *u [[buffer(2)]], device const float *sums [[buffer(3)]],
                                   constant SpatialParams &p [[buffer(4)]], uint group [[threadgroup_position_in_grid]],
                                   uint lane [[thread_index_in_threadgroup]]) {
    const ulong index = ulong(group) * SPATIAL_THREADS + lane;
    if (index >= ulong(p.elements)) return;
    const Element e = element_at(p, index);
    u[index] = float(dy[image_offset(p, 0, e.plane, e.row, e.column)]) *
               float(x[image_offset(p, 1, e.plane, e.row, e.column)]) * power_of_beta_1(p, base(p, sums[index]));
}

// dx = dy * T^-beta - factor * x * (adjoint sum of u)
template <typename T>
kernel void
spatial_gradient_general(device const T *dy [[buffer(0)]], device const T *x [[buffer(1)]], device T *dx [[buffer(2)]],
                         device const float *sums [[buffer(3)]], device const float *adjoint_sums [[buffer(4)]],
                         constant SpatialParams &p [[buffer(5)]], uint group [[threadgroup_position_in_grid]],
                         uint lane [[thread_index_in_threadgroup]]) {
    const ulong index = ulong(group) * SPATIAL_THREADS + lane;
    if (index >= ulong(p.elements)) return;
    const Element e = element_at(p, index);
    const float direct =
        float(dy[image_offset(p, 0, e.plane, e.row, e.column)]) * power_of_beta(p, base(p, sums[index]));
    const float centre = float(x[image_offset(p, 1, e.plane, e.row, e.column)]);
    dx[image_offset(p, 2, e.plane, e.row, e.column)] = T(fma(-p.factor * centre, adjoint_sums[index], direct));
}

// v * T^-beta - factor * x * T^-(beta + 1) * (sum of x * v)
template <typename T>
METAL_FUNC float pair_general(device const T *x, device const T *v, float sum, float product_sum,
                              constant SpatialParams &p, Element e) {
    const float t = base(p, sum);
    const float centre = float(x[image_offset(p, p.x_image, e.plane, e.row, e.column)]);
    const float direct = float(v[image_offset(p, p.v_image, e.plane, e.row, e.column)]) * power_of_beta(p, t);
    return fma(-p.factor * centre * power_of_beta_1(p, t), product_sum, direct);
}

template <typename T>
kernel void spatial_jvp_general(device const T *x [[buffer(0)]], device const T *v [[buffer(1)]],
                                device T *dy [[buffer(2)]], device const float *sums [[buffer(3)]],
                                device const float *product_sums [[buffer(4)]], constant SpatialParams &p [[buffer(5)]],
                                uint group [[threadgroup_position_in_grid]],
                                uint lane [[thread_index_in_threadgroup]]) {
    const ulong index = ulong(group) * SPATIAL_THREADS + lane;
    if (index >= ulong(p.elements)) return;
    const Element e = element_at(p, index);
    dy[image_offset(p, 2, e.plane, e.row, e.column)] = T(pair_general(x, v, sums[index], product_sums[index], p, e));
}

template <typename T>
kernel void spatial_gradient_documented_general(device const T *dy [[buffer(0)]], device const T *x [[buffer(1)]],
                                                device T *dx [[buffer(2)]], device const float *sums [[buffer(3)]],
                                                device const float *product_sums [[buffer(4)]],
                                                constant SpatialParams &p [[buffer(5)]],
                                                uint group [[threadgroup_position_in_grid]],
                                                uint lane [[thread_index_in_threadgroup]]) {
    const ulong index = ulong(group) * SPATIAL_THREADS + lane;
    if (index >= ulong(p.elements)) return;
    const Element e = element_at(p, index);
    dx[image_offset(p, 2, e.plane, e.row, e.column)] = T(pair_general(x, dy, sums[index], product_sums[index], p, e));
}
