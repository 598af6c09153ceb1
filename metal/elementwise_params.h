// What the host tells an element-wise kernel: one structure, read by the Metal compiler and by the host's.
#pragma once
#if !defined(__METAL_VERSION__)
#  include <cstdint>
#endif

#define ELEMENTWISE_AXES 6
#define ELEMENTWISE_THREADS 256 // of a threadgroup; one element each

struct ElementwiseParams {
    int64_t elements;
    int64_t origin[3];                   // of each operand: its first element, from its lowest one
    int64_t stride[3][ELEMENTWISE_AXES]; // of each operand, in elements
    int64_t size[ELEMENTWISE_AXES];      // of the axes; the last one varies fastest
};

static_assert(sizeof(ElementwiseParams) == 8 * (4 + 4 * ELEMENTWISE_AXES), "the compilers disagree");
