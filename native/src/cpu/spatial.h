// What the CPU plan hands to the kernels of spatial normalization: plain data, no instruction set.
//
// A block is H x W x I: I neighbouring samples are independent (NCHW: I = 1; NHWC: I = the channels), so a
// row is L = W * I samples and a step to the right is I of them. Of many narrow planes, I = max_lanes at a time are
// made a block: transposed on the way in and out, they fill whole vectors. A piece is a rectangle of one block.
#pragma once
#include "power.h"
#include "spatialnorm/spatialnorm.h"
#include <cstdint>

namespace sn {
namespace cpu {

constexpr int batch_rows = 8;   // output rows that are summed together; batches begin at multiples of it
constexpr int direct_rows = 7;  // largest window height that is summed row by row
constexpr int max_lanes = 16;   // widths and offsets are rounded to it on every target
constexpr int most_across = 32; // greatest width of planes that are taken several at a time
constexpr int max_levels = 13;  // of horizontal sums, 4^13 = 2^26 columns

// How one operand's block lies in memory; strides in bytes.
struct Access {
    int64_t height, width, inner;
    bool dense = false;  // a row is L samples side by side
    bool across = false; // max_lanes planes, whose rows are contiguous, are a block's innermost samples
    bool direct = false; // and in the type of the arithmetic: kernels read and write it where it lies
};

// A vertical and horizontal window sum's working memory, as offsets into a thread's scratch (in samples).
struct SumScratch {
    int64_t sums;   // batch_rows rows
    int64_t blocks; // rows of sums over 8 rows
    int64_t prefix; // one row
    int64_t levels; // rows of sums over 4, 16, 64 ... columns
};

struct SpatialScratch {
    int64_t pitch, lead; // of every row; where a piece's first column stands in it
    SumScratch sum[2];
    int64_t ring[2], ring_rows[2]; // rows of the inputs, where they cannot be read in place
    int64_t u_ring, g_ring, u_rows, g_rows;
    int64_t zeros, window[2], out, values; // rows: zeros; horizontal sums; output; three rows of terms
    int64_t edge;                          // two rows: what a clamped edge adds to the first and last row
    int64_t pointers[2];                   // to the rows of a batch
    int64_t size;
};

struct Reach {
    int64_t up, down, left, right;
};

template <class T> struct SpatialJob {
    sn_dtype dtype;
    int64_t H, W, I, L;
    Reach reach;  // of the window, not beyond the image, in samples
    Reach beyond; // clamp edge: what the window reaches further than `reach`
    bool clamp;
    T scale, delta;                          // T = scale * sum + delta
    T scale_rest;                            // what the rounding of scale left out
    T factor;                                // of the gradient's second term
    const PowerTable<T> *power, *power_plus; // T^-beta, T^-(beta+1)
    Access in[2], out;
    bool stream;     // the output is so large that it should not pass through the caches
    bool one_use[2]; // the input's rows are read once and need no ring
    SpatialScratch scratch;
};

struct Piece {
    int64_t r0, r1, c0, c1;
    const char *in[2]; // the block's first sample
    char *out;
    bool aliased[2]; // the output is this input
    // Where the output is an input and several pieces share a block: the input's rows above r0 and below r1,
    // saved before anything was written, as rows of L samples; else nullptr.
    const void *saved[2];
    int64_t saved_above, saved_below; // rows of `saved` that lie above r0 and below r1
    void *scratch;
    // How far the first column lies beyond an aligned vector, in the input that is read most and in scratch.
    int64_t offset;
    bool clean; // the last piece in this scratch had the same layout and offset: margins and zeros are clear already
    double *values; // spatial_parameter_gradients: three sums
};

template <class T> struct SpatialKernels {
    void (*spatial_forward)(const SpatialJob<T> &, const Piece &);
    void (*spatial_gradient)(const SpatialJob<T> &, const Piece &);
    void (*spatial_gradient_documented)(const SpatialJob<T> &, const Piece &);
    void (*spatial_jvp)(const SpatialJob<T> &, const Piece &);
    void (*spatial_parameter_gradients)(const SpatialJob<T> &, const Piece &);
    // Copies row `row` of input `input` of the block at `base`, all its columns, as the arithmetic's type.
    void (*load_row)(const SpatialJob<T> &, int input, const char *base, int64_t row, T *to);
};

struct Target {
    const char *name;
    SpatialKernels<float> f32;
    SpatialKernels<double> f64;
};

} // namespace cpu
} // namespace sn
