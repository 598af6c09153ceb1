// What the host tells a kernel: one structure, read by the Metal compiler and by the host's.
#pragma once
#if !defined(__METAL_VERSION__)
#  include <cstdint>
#endif

#define SPATIAL_BATCH_AXES 4
#define SPATIAL_IMAGES 3
#define SPATIAL_THREADS 256   // of a threadgroup, in kernels that work element by element
#define SPATIAL_SIMD_WIDTH 32 // threads of a simdgroup
#define SPATIAL_SIMDGROUPS 4  // of a threadgroup, in kernels where each works on its own
#define SPATIAL_SMALL_EACH 4  // elements of a thread, in kernels that take small planes whole
#define SPATIAL_SMALL (SPATIAL_SMALL_EACH * SPATIAL_THREADS)
#define SPATIAL_PLANES 32 // planes of a threadgroup, in kernels for planes of a known size
// The gradient in strips of a threadgroup: a simdgroup sums whole rows of larger windows than the one, which have
// margins of whole simdgroups, and larger windows than the other have a walk of their own.
#define SPATIAL_WIDE 16
#define SPATIAL_LONG 48
#define SPATIAL_LONG_SCRATCH (32 * 256) // floats of a threadgroup there, for 16-bit elements
#define SPATIAL_TILE_BITS 12
#define SPATIAL_TILE (1 << SPATIAL_TILE_BITS) // floats of threadgroup memory where window sums are added up

// Where the elements of one image lie, in elements from the lowest one, where the kernel's argument points.
struct SpatialStrides {
    int64_t origin; // the first element of plane 0, which negative strides leave downwards
    int64_t batch[SPATIAL_BATCH_AXES];
    int64_t row;
    int64_t column;
};

// T^exponent has the values of IEEE pow. Where T is negative, log2 says nan by itself unless beta is an integer.
#define SPATIAL_POWER_PLAIN 0  // exp2(exponent * log2(T)) will do
#define SPATIAL_POWER_SIGNED 1 // beta is an integer, and T may be negative or an exponent zero (T^0 = nan^0 = 1)

// Columns lie apart, but all of a thread's are in the image or none is.
#define SPATIAL_APART 0

struct SpatialParams {
    SpatialStrides image[SPATIAL_IMAGES]; // in the order of the kernel's image arguments
    int64_t elements;                     // of this dispatch: planes * height * width
    int32_t batch[SPATIAL_BATCH_AXES];    // sizes of the batch axes; the last one varies fastest
    int32_t height, width;
    int32_t first_plane, planes;         // the planes of this dispatch
    int32_t inner;                       // scratch is [plane / inner][row][column][plane % inner]
    int32_t kernel_height, kernel_width; // the window, clipped to the image where the edge is zero
    int32_t top, left;                   // rows above and columns before the centre
    int32_t clamp;                       // 0: zeros outside the image, 1: its nearest sample
    float scale;                         // T = delta + scale * sum of squares
    float delta;
    float beta;
    float factor;             // 2 * beta * scale; 2 * beta * alpha for the documented gradient
    int32_t power;            // SPATIAL_POWER_PLAIN or _SIGNED
    int32_t odd;              // beta is an odd integer
    int32_t x_image, v_image; // which image is x, and which the one that x is multiplied by
    int32_t mirrored;         // the second window leans the other way (documented gradient)

    // Strips
    int32_t aligned;                                  // columns that may be read and written together, or SPATIAL_APART
    int32_t strips, segments, segment;                // strips side by side, segments one above the other, rows of one
    int32_t strip_lanes, strip_margin, strip_outputs; // lanes of a strip; those before its outputs; its outputs
    int32_t tasks;                                    // strips * segments * groups of planes
    int32_t strip_planes;                             // planes side by side in one simdgroup or threadgroup

    // Sums along one axis
    int32_t along_rows;                    // 0: down the columns, 1: along the rows
    int32_t before, after;                 // the window, clipped to the axis
    int32_t clipped_before, clipped_after; // what was clipped off, for clamp
    int32_t adjoint;                       // the transpose of the clamped sum
    int32_t tile_bits; // a threadgroup's tile is 2^tile_bits positions by SPATIAL_TILE / 2^tile_bits lines

    // Reductions: threadgroups of this dispatch, the first one's number, threadgroups of all dispatches
    int32_t groups, first_group, all_groups;
    float inverse_area; // 1 / N
};

static_assert(sizeof(SpatialStrides) == 56, "the compilers disagree on SpatialStrides");
static_assert(sizeof(SpatialParams) == 3 * 56 + 8 + 4 * 44, "the compilers disagree on SpatialParams");
