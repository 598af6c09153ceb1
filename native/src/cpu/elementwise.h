// The CPU's plans for element-wise operations.
#pragma once
#include "plan.h"
#include <memory>

namespace sn {
namespace cpu { std::unique_ptr<sn_plan> make_elementwise_plan(const Problem &problem); } // namespace cpu
} // namespace sn
