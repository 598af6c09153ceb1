// The instruction set in use: the best that the processor has, or the one that SPATIALNORM_ISA names.
#pragma once
#include "target.h"

namespace sn {
namespace cpu {

const Target &target(); // throws sn::Error if SPATIALNORM_ISA names one that cannot run here

} // namespace cpu
} // namespace sn
