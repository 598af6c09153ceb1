#include "cpu/vec/avx512.h"
#define SN_TARGET avx512
#include "cpu/kernels/target.inl"
