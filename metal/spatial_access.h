// Elements of images and scratch, and T^exponent. Shared by all kernels.
#pragma once
#include <metal_stdlib>
#include "spatial_params.h"
using namespace metal;

// An element that nobody reads again soon. Metal has no word for this; a compatibility header may have one.
template <typename T> METAL_FUNC T read_once(device const T *at) { return *at; }

// Where a plane of an image begins, in elements from the image's lowest.
METAL_FUNC long plane_offset(constant SpatialParams &p, int image, int plane) {
    long offset = p.image[image].origin;
    for (int axis = SPATIAL_BATCH_AXES - 1; axis > 0; --axis) {
        if (plane < p.batch[axis]) return offset + p.image[image].batch[axis] * plane;
        offset += p.image[image].batch[axis] * (plane % p.batch[axis]);
        plane /= p.batch[axis];
    }
    return offset + p.image[image].batch[0] * plane;
}

// One element of the problem: its place in the images and in scratch.
struct Element {
    int plane, row, column;
};

// index = quotient * size + rest; returns the rest. 64-bit division is slow, and few images need it.
METAL_FUNC int split(thread ulong &index, int size) {
    const ulong quotient = index <= 0xfffffffful ? ulong(uint(index) / uint(size)) : index / uint(size);
    const int rest = int(index - quotient * uint(size));
    index = quotient;
    return rest;
}

// The elements of a dispatch in the order of scratch.
METAL_FUNC Element element_at(constant SpatialParams &p, ulong index) {
    Element e;
    const int inner = p.inner == 1 ? 0 : split(index, p.inner);
    e.column = split(index, p.width);
    e.row = split(index, p.height);
    e.plane = p.first_plane + int(index) * p.inner + inner;
    return e;
}

METAL_FUNC long scratch_offset(constant SpatialParams &p, int plane, int row, int column) {
    const int local = plane - p.first_plane;
    return ((long(local / p.inner) * p.height + row) * p.width + column) * p.inner + local % p.inner;
}

METAL_FUNC long image_offset(constant SpatialParams &p, int image, int plane, int row, int column) {
    return plane_offset(p, image, plane) + p.image[image].row * row + p.image[image].column * column;
}

METAL_FUNC float base(constant SpatialParams &p, float sum) { return fma(p.scale, sum, p.delta); }

// t^exponent with the values of IEEE pow, where t may be negative or the exponent zero.
METAL_FUNC float signed_power(float t, float exponent, bool odd) {
    if (exponent == 0.0f) return 1.0f;
    const float magnitude = precise::exp2(exponent * precise::log2(fabs(t)));
    return t < 0.0f && odd ? -magnitude : magnitude;
}

// T^-beta of N values. The branch is the same for every thread.
template <int N> METAL_FUNC void powers(constant SpatialParams &p, thread const float *t, thread float *power) {
    if (p.power == SPATIAL_POWER_PLAIN) {
#pragma unroll
        for (int i = 0; i < N; ++i) power[i] = precise::exp2(-p.beta * precise::log2(t[i]));
    } else {
#pragma unroll
        for (int i = 0; i < N; ++i) power[i] = signed_power(t[i], -p.beta, p.odd != 0);
    }
}

// T^-beta and T^-(beta + 1), which is not the former over T where T is zero or infinite.
template <int N>
METAL_FUNC void plain_powers(constant SpatialParams &p, thread const float *t, thread float *power,
                             thread float *power_1) {
#pragma unroll
    for (int i = 0; i < N; ++i) {
        const float log_t = precise::log2(t[i]);
        power[i] = precise::exp2(-p.beta * log_t);
        power_1[i] = precise::exp2(-(p.beta + 1.0f) * log_t);
    }
}
template <int N>
METAL_FUNC void powers(constant SpatialParams &p, thread const float *t, thread float *power, thread float *power_1) {
    if (p.power == SPATIAL_POWER_PLAIN) {
        plain_powers<N>(p, t, power, power_1);
    } else {
#pragma unroll
        for (int i = 0; i < N; ++i) {
            power[i] = signed_power(t[i], -p.beta, p.odd != 0);
            power_1[i] = signed_power(t[i], -(p.beta + 1.0f), p.odd == 0);
        }
    }
}

METAL_FUNC float power_of_beta(constant SpatialParams &p, float t) {
    float power;
    powers<1>(p, &t, &power);
    return power;
}
METAL_FUNC float power_of_beta_1(constant SpatialParams &p, float t) {
    float power, power_1;
    powers<1>(p, &t, &power, &power_1);
    return power_1;
}
