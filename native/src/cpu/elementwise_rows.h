// Loops over one row of an element-wise operation.
#pragma once
#include "spatialnorm/spatialnorm.h"

namespace sn {
namespace cpu {

// Strides in bytes, of the inputs and of the output; addresses of any alignment.
struct Row {
    const char *in[2];
    char *out;
    int64_t in_stride[2], out_stride;
    int64_t n;
};
using RowLoop = void (*)(const Row &row);

// `contiguous`: every stride is the operand's itemsize.
RowLoop add_loop(sn_dtype dtype, bool contiguous);
RowLoop convert_loop(sn_dtype from, sn_dtype to, bool contiguous);

} // namespace cpu
} // namespace sn
