// Every function of vec/ and kernels/ is inlined or local to its target: an instruction-set object must not
// lend the linker a copy of anything that others could pick.
#pragma once
#include <cstdint>
#define SN_INLINE static inline __attribute__((always_inline))
#define SN_LAMBDA __attribute__((always_inline))
#define SN_UNROLL _Pragma("GCC unroll 32")
#define SN_TWICE inline __attribute__((always_inline)) // a friend cannot be static
