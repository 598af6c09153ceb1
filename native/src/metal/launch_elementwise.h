// Launches of element-wise operations.
#pragma once
#include "launch.h"

namespace sn {

// Throws sn::Error where Metal kernels cannot take the problem.
Launch make_elementwise_launch(const Problem &problem);

} // namespace sn
