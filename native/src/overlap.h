// Whether strided arrays share memory, decided exactly.
#pragma once
#include "problem.h"

namespace sn {

// Elements of `size` bytes at sum of index[k] * stride[k], index[k] < shape[k].
struct Strided {
    int n;
    int64_t shape[max_axes + 2], stride[max_axes + 2];
    int64_t size;
};

// Do any element of a at pa and any element of b at pb share a byte? True also where an answer would
// take too long, which needs strides that no slicing makes.
bool overlap(const Strided &a, const void *pa, const Strided &b, const void *pb);

// Do two different elements of a share a byte?
bool overlaps_itself(const Strided &a);

} // namespace sn
