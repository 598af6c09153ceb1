// The axes of an element-wise problem, which are all alike: merged where every operand steps through them evenly.
#pragma once
#include "problem.h"

namespace sn {

struct Axes {
    int n; // the one that varies fastest in the output comes last; none is of size 1
    int64_t size[max_axes + 2];
    int64_t stride[max_operands][max_axes + 2]; // of each operand, in bytes
};

Axes merge_axes(const Problem &problem);

} // namespace sn
