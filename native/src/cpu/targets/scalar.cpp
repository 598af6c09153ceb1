#include "cpu/vec/scalar.h"
#define SN_TARGET scalar
#include "cpu/kernels/target.inl"
