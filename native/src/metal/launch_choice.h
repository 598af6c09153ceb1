// Which kernels solve a problem, what they are told of it, and how they cut its images into strips.
#pragma once
#include "launch.h"

namespace sn {

inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Throws sn::Error where `what` is too large for a kernel to count.
int32_t to_int(int64_t value, const char *what);

// The element type's name in the kernels' names. Throws sn::Error for float64.
const char *type_name(sn_dtype dtype);

// What all dispatches of a problem are told.
SpatialParams problem_params(const Problem &problem);

// A kernel for one odd square window.
struct Walk {
    Design design;
    sn_pass pass;
    int32_t k;
    int32_t columns, rows; // of a thread, of a step
    int32_t width;         // columns of a threadgroup or of a plane
    int32_t channels;      // of a thread
    int32_t lanes;         // threads of a threadgroup side by side, for each column
    int32_t bytes;         // of an element; 0: any
};

// Whether the kernel is one of the gradient's for the largest windows.
inline bool walks_long(const Walk &w) { return w.pass == SN_GRADIENT && w.k > SPATIAL_LONG; }

struct Choice {
    Design design; // any but automatic
    Walk walk;     // of the designs for odd square windows: simd, strip, interleaved, planes, columns
};

// Throws sn::Error where the asked design does not take the problem.
Choice choose(const Problem &problem, const SpatialParams &shape, const LaunchOptions &options);

// Whether the planes of every image lie one after another.
bool in_one_run(const SpatialParams &p, int n_images);

// Cuts the width into strips of `lanes` lanes of `columns` columns, of which `margin` on each side, twice for the
// gradient, are computed only for their neighbours. `zeros` lanes must stand beside a whole image.
void set_strips(SpatialParams &p, int32_t lanes, int32_t columns, int32_t margin, int32_t zeros);

// Cuts the height of strips that lie side by side into segments, so that the device is busy to the end, and counts the
// tasks. A threadgroup of `threads` threads works on `tasks_each` of them at a time.
void set_segments(SpatialParams &p, const Walk &walk, sn_dtype dtype, const LaunchOptions &options,
                  int64_t side_by_side, int32_t threads, int32_t tasks_each);

} // namespace sn
