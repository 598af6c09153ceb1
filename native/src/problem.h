// A problem: one operation on operands of known shape and layout. validate() makes it, and nothing is
// doubted after it.
#pragma once
#include "spatialnorm/spatialnorm.h"
#include <cstddef>
#include <cstdint>

namespace sn {

constexpr int max_axes = 64; // NumPy's own limit
constexpr int max_operands = 4;

struct Operation;

// One operand's strides, in bytes, over the problem's axes, and the bytes that it spans around element 0.
struct Layout {
    const char *name; // as the user knows it
    sn_dtype dtype;
    int64_t batch[max_axes], height, width;
    int64_t first, last; // offsets of the lowest byte and of the byte after the highest
};

struct Problem {
    const Operation *operation;
    sn_pass pass;
    sn_dtype dtype; // of the inputs
    union {
        sn_params params;
        sn_spatial_params spatial;
    };
    int64_t height, width;
    int n_batch; // axes other than the spatial ones, merged and sorted by falling stride of the first operand
    int64_t batch[max_axes];
    int64_t planes, elements; // planes = product of batch; elements = planes * height * width
    int n_operands;           // the last one is the output
    int n_images;             // operands that have the problem's shape: the first n_images ones
    Layout operands[max_operands];
};

int64_t itemsize(sn_dtype dtype);
const char *dtype_name(sn_dtype dtype);

// Every check that can be made before the data is known. Throws sn::Error.
void validate(const sn_params *params, sn_pass pass, const sn_array *operands, int n_operands, int axis_height,
              int axis_width, Problem &problem);

// Whether two operands' spans share no byte: the short answer to most questions of overlap.
inline bool apart(const Layout &a, const void *p, const Layout &b, const void *q) {
    return intptr_t(p) + a.last <= intptr_t(q) + b.first || intptr_t(q) + b.last <= intptr_t(p) + a.first;
}

// How the output lies to each input, checked again for every run: bit i set if input i is the output exactly.
// Throws sn::Error if an input overlaps the output in any other way.
unsigned check_overlap(const Problem &problem, void *const *data);

} // namespace sn
