// Elements of images and scratch, and T^exponent. Shared by all kernels.
#pragma once
#include <metal_stdlib>
#include "spatial_params.h"
using namespace metal;

// Where a plane of an image begins, in elements from the image's first.
METAL_FUNC long plane_offset(constant SpatialParams& p, int image, int plane)
{
    long offset = 0;
    for (int axis = SPATIAL_BATCH_AXES - 1; axis > 0; --axis) {
        offset += p.image[image].batch[axis] * (plane % p.batch[axis]);
        plane /= p.batch[axis];
    }
    return offset + p.image[image].batch[0] * plane;
}

// One element of the problem: its place in the images and in scratch.
struct Element {
    int plane, row, column;
};

// The elements of a dispatch in the order of scratch.
METAL_FUNC Element element_at(constant SpatialParams& p, ulong index)
{
    Element e;
    const ulong inner = index % uint(p.inner);
    index /= uint(p.inner);
    e.column = int(index % uint(p.width));
    index /= uint(p.width);
    e.row = int(index % uint(p.height));
    e.plane = p.first_plane + int(index / uint(p.height)) * p.inner + int(inner);
    return e;
}

METAL_FUNC long scratch_offset(constant SpatialParams& p, int plane, int row, int column)
{
    const int local = plane - p.first_plane;
    return ((long(local / p.inner) * p.height + row) * p.width + column) * p.inner + local % p.inner;
}

METAL_FUNC long image_offset(constant SpatialParams& p, int image, int plane, int row, int column)
{
    return plane_offset(p, image, plane) + p.image[image].row * row + p.image[image].column * column;
}

// t^exponent with the values of IEEE pow. The branch is the same for every thread.
METAL_FUNC float power(constant SpatialParams& p, float t, float exponent, bool odd)
{
    if (p.power == SPATIAL_POWER_PLAIN) return precise::exp2(exponent * precise::log2(t));
    if (exponent == 0.0f) return 1.0f;
    const float magnitude = precise::exp2(exponent * precise::log2(fabs(t)));
    return t < 0.0f && odd ? -magnitude : magnitude;
}

METAL_FUNC float base(constant SpatialParams& p, float sum) { return fma(p.scale, sum, p.delta); }
METAL_FUNC float power_of_beta(constant SpatialParams& p, float t) { return power(p, t, -p.beta, p.odd != 0); }
METAL_FUNC float power_of_beta_1(constant SpatialParams& p, float t) { return power(p, t, -(p.beta + 1.0f), p.odd == 0); }
