// Packed copies of strided arrays: the order of the axes in memory is kept, gaps and negative strides are not.
#pragma once
#include "problem.h"

namespace sn::metal {

class Packing {
  public:
    Packing(const Problem &problem, int operand);

    // The operand as it lies in the packed copy. Axes of stride zero keep it.
    const Layout &layout() const { return packed_; }
    int64_t bytes() const { return packed_.last; }

    void gather(const void *operand, void *packed) const;
    void scatter(const void *packed, void *operand) const;

  private:
    static constexpr int most_axes = max_axes + 2;
    Layout packed_;
    int64_t size_; // of one element
    int n_ = 0;    // axes, the one that varies fastest last
    int64_t shape_[most_axes], operand_stride_[most_axes], packed_stride_[most_axes];

    void add(int64_t shape, int64_t operand_stride, int64_t packed_stride);
    void copy(const char *from, const int64_t *from_stride, char *to, const int64_t *to_stride) const;
};

} // namespace sn::metal
