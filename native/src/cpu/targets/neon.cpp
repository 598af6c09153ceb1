#include "cpu/vec/neon.h"
#define SN_TARGET neon
#include "cpu/kernels/target.inl"
