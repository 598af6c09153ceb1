#include "cpu/vec/avx2.h"
#define SN_TARGET avx2
#include "cpu/kernels/target.inl"
