// The kernels for odd square windows k x k, one line for each: spatial.metal instantiates them and launch_choice.cpp
// chooses among them, so that both always agree. Plain macros, read by both compilers.
//   columns, rows: columns of a thread, rows of a step
//   width: columns of a threadgroup
//   channels, lanes: channels of a thread, threads of a threadgroup for each column
//   each: neighbouring windows that a thread sums along a row
// Of two lines for one window the first is taken where `columns` divides the width.
#pragma once

// clang-format off
// entry(argument, pass, k, columns, rows)
#define SPATIAL_SIMD_TABLE(entry, argument) \
    entry(argument, forward, 3, 4, 2)       \
    entry(argument, forward, 3, 2, 2)       \
    entry(argument, forward, 5, 4, 4)       \
    entry(argument, forward, 5, 2, 4)       \
    entry(argument, forward, 7, 4, 3)       \
    entry(argument, forward, 7, 2, 3)       \
    entry(argument, forward, 9, 4, 8)       \
    entry(argument, forward, 11, 4, 5)      \
    entry(argument, forward, 13, 4, 6)      \
    entry(argument, forward, 15, 4, 7)      \
    entry(argument, gradient, 3, 2, 2)      \
    entry(argument, gradient, 5, 2, 4)      \
    entry(argument, gradient, 7, 2, 3)

// entry(argument, pass, k, columns, rows, width, each)
#define SPATIAL_STRIP_TABLE(entry, argument)      \
    entry(argument, forward, 31, 1, 8, 256, 8)    \
    entry(argument, forward, 63, 1, 8, 256, 16)   \
    entry(argument, gradient, 9, 1, 8, 256, 16)   \
    entry(argument, gradient, 11, 1, 8, 256, 8)   \
    entry(argument, gradient, 13, 1, 8, 256, 8)   \
    entry(argument, gradient, 15, 1, 8, 256, 16)  \
    entry(argument, gradient, 31, 1, 10, 384, 12)

// Strips of windows over SPATIAL_LONG. entry(argument, pass, k, rows, width)
#define SPATIAL_LONG_TABLE(entry, argument) entry(argument, gradient, 63, 8, 384)

// For 16-bit elements only, and preferred for them where `columns` divides the width.
#define SPATIAL_SIMD_TABLE_16(entry, argument) \
    entry(argument, gradient, 3, 4, 2)         \
    entry(argument, gradient, 5, 4, 4)         \
    entry(argument, gradient, 7, 4, 3)

#define SPATIAL_STRIP_TABLE_16(entry, argument)   \
    entry(argument, gradient, 9, 2, 8, 256, 16)   \
    entry(argument, gradient, 11, 2, 8, 256, 16)  \
    entry(argument, gradient, 13, 2, 8, 256, 16)  \
    entry(argument, gradient, 15, 2, 8, 256, 16)

// entry(argument, pass, k, columns, rows, channels, lanes, width)
#define SPATIAL_INTERLEAVED_TABLE(entry, argument) \
    entry(argument, forward, 7, 2, 4, 1, 16, 56)   \
    entry(argument, forward, 9, 2, 4, 1, 16, 56)   \
    entry(argument, forward, 11, 4, 2, 1, 16, 64)  \
    entry(argument, forward, 13, 4, 2, 1, 16, 64)  \
    entry(argument, forward, 15, 4, 2, 1, 16, 64)  \
    entry(argument, gradient, 7, 2, 4, 1, 8, 56)   \
    entry(argument, gradient, 9, 1, 4, 2, 4, 64)   \
    entry(argument, gradient, 11, 2, 4, 1, 8, 64)  \
    entry(argument, gradient, 13, 1, 4, 2, 4, 64)  \
    entry(argument, gradient, 15, 2, 4, 1, 8, 56)
// Of float alone, and of the 16-bit types alone.
#define SPATIAL_INTERLEAVED_FLOAT_TABLE(entry, argument) \
    entry(argument, forward, 3, 4, 2, 1, 16, 56)         \
    entry(argument, forward, 5, 4, 2, 1, 16, 56)         \
    entry(argument, gradient, 3, 2, 2, 1, 16, 56)        \
    entry(argument, gradient, 5, 2, 4, 1, 16, 56)
#define SPATIAL_INTERLEAVED_HALF_TABLE(entry, argument) \
    entry(argument, forward, 3, 1, 2, 4, 8, 56)         \
    entry(argument, forward, 5, 1, 2, 4, 8, 56)         \
    entry(argument, gradient, 3, 2, 2, 2, 8, 56)        \
    entry(argument, gradient, 5, 2, 2, 2, 8, 56)

// Planes of side x side. entry(argument, pass, k, side)
#define SPATIAL_PLANES_TABLE(entry, argument) \
    entry(argument, forward, 3, 7)            \
    entry(argument, forward, 5, 7)            \
    entry(argument, forward, 7, 7)            \
    entry(argument, gradient, 3, 7)           \
    entry(argument, gradient, 5, 7)           \
    entry(argument, gradient, 7, 7)

// Planes of `height` rows. entry(argument, pass, k, columns, height)
#define SPATIAL_COLUMNS_TABLE(entry, argument) \
    entry(argument, forward, 3, 2, 14)         \
    entry(argument, forward, 5, 2, 14)         \
    entry(argument, forward, 7, 2, 14)         \
    entry(argument, gradient, 3, 2, 14)        \
    entry(argument, gradient, 5, 2, 14)        \
    entry(argument, gradient, 7, 2, 14)
// clang-format on
