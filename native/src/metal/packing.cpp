#include "packing.h"
#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace sn::metal {
namespace {

template <class Element> void copy_line(const char *from, int64_t from_stride, char *to, int64_t to_stride, int64_t n) {
    for (int64_t i = 0; i < n; ++i) {
        Element value; // through memcpy: operands may lie at any byte
        std::memcpy(&value, from + i * from_stride, sizeof value);
        std::memcpy(to + i * to_stride, &value, sizeof value);
    }
}

} // namespace

Packing::Packing(const Problem &problem, int operand)
    : packed_(problem.operands[operand]), size_(itemsize(problem.operands[operand].dtype)) {
    struct Axis {
        int64_t shape, stride, *packed_stride;
    } axes[most_axes];
    int n = 0;
    const Layout &a = problem.operands[operand];
    for (int k = 0; k < problem.n_batch; ++k) axes[n++] = {problem.batch[k], a.batch[k], &packed_.batch[k]};
    axes[n++] = {problem.height, a.height, &packed_.height};
    axes[n++] = {problem.width, a.width, &packed_.width};
    std::reverse(axes, axes + n);
    for (int k = 1; k < n; ++k) // by length of stride; equal ones keep their order
        for (int j = k; j > 0 && std::llabs(axes[j].stride) < std::llabs(axes[j - 1].stride); --j)
            std::swap(axes[j], axes[j - 1]);
    int64_t step = size_;
    for (int k = 0; k < n; ++k) {
        const bool one = axes[k].stride == 0 || axes[k].shape == 1;
        *axes[k].packed_stride = one ? 0 : step;
        if (!one) step *= axes[k].shape;
    }
    packed_.first = 0, packed_.last = step;
    for (int k = n - 1; k >= 0; --k)
        if (*axes[k].packed_stride) add(axes[k].shape, axes[k].stride, *axes[k].packed_stride);
    if (n_ == 0) add(1, size_, size_);
}

// An axis that goes on evenly where the one before it steps is part of that one.
void Packing::add(int64_t shape, int64_t operand_stride, int64_t packed_stride) {
    if (n_ > 0 && operand_stride_[n_ - 1] == shape * operand_stride) shape *= shape_[--n_];
    shape_[n_] = shape, operand_stride_[n_] = operand_stride, packed_stride_[n_++] = packed_stride;
}

void Packing::gather(const void *operand, void *packed) const {
    copy(static_cast<const char *>(operand), operand_stride_, static_cast<char *>(packed), packed_stride_);
}

void Packing::scatter(const void *packed, void *operand) const {
    copy(static_cast<const char *>(packed), packed_stride_, static_cast<char *>(operand), operand_stride_);
}

void Packing::copy(const char *from, const int64_t *from_stride, char *to, const int64_t *to_stride) const {
    const int last = n_ - 1;
    const int64_t n = shape_[last];
    int64_t index[most_axes] = {};
    for (;;) {
        if (from_stride[last] == size_ && to_stride[last] == size_) std::memcpy(to, from, size_t(n * size_));
        else if (size_ == 2) copy_line<uint16_t>(from, from_stride[last], to, to_stride[last], n);
        else copy_line<uint32_t>(from, from_stride[last], to, to_stride[last], n);
        int axis = last - 1;
        for (; axis >= 0; --axis) {
            from += from_stride[axis], to += to_stride[axis];
            if (++index[axis] < shape_[axis]) break;
            from -= from_stride[axis] * shape_[axis], to -= to_stride[axis] * shape_[axis];
            index[axis] = 0;
        }
        if (axis < 0) return;
    }
}

} // namespace sn::metal
