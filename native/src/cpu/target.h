// The targets of this build.
#pragma once
#include "spatial.h"

namespace sn {
namespace cpu {

namespace scalar { extern const Target target; }
namespace avx2 { extern const Target target; }
namespace avx512 { extern const Target target; }
namespace neon { extern const Target target; }

} // namespace cpu
} // namespace sn
