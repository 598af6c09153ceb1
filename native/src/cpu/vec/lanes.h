// What GCC's and clang's vector extensions give for any number of lanes; each target adds what they lack.
#pragma once
#include "half.h"
#include <type_traits>

namespace sn {
namespace cpu {
namespace {

template <class Real, class Integer, int Lanes> struct Extension {
    using T = Real;
    using Int = Integer;
    static constexpr int W = Lanes;
    typedef Real v __attribute__((vector_size(Lanes * sizeof(Real))));
    typedef Integer vi __attribute__((vector_size(Lanes * sizeof(Real))));
    typedef typename std::conditional<sizeof(Real) == 4, uint32_t, uint64_t>::type Unsigned;
    typedef Unsigned vu __attribute__((vector_size(Lanes * sizeof(Real))));

    SN_INLINE v load(const T *p) {
        v x;
        std::memcpy(&x, p, sizeof x);
        return x;
    }
    SN_INLINE void store(T *p, v x) { std::memcpy(p, &x, sizeof x); }
    SN_INLINE vi bits(v x) { return (vi)x; }
    SN_INLINE v real(vi b) { return (v)b; }
    SN_INLINE vi shift_right(vi b, int n) { return (vi)((vu)b >> (Unsigned)n); }
    SN_INLINE vi shift_left(vi b, int n) { return (vi)((vu)b << (Unsigned)n); }
    SN_INLINE vi add(vi a, vi b) { return (vi)((vu)a + (vu)b); }
    SN_INLINE vi subtract(vi a, vi b) { return (vi)((vu)a - (vu)b); }
    SN_INLINE v convert(vi a) { return __builtin_convertvector(a, v); }
    SN_INLINE vi less(v a, v b) { return (vi)(a < b); }
    SN_INLINE vi equal(v a, v b) { return (vi)(a == b); }
    SN_INLINE vi equal_int(vi a, vi b) { return (vi)(a == b); }
    SN_INLINE vi below(vi a, vi b) { return (vi)((vu)a < (vu)b); }
    SN_INLINE v choose(vi mask, v a, v b) { return (v)(((vi)a & mask) | ((vi)b & ~mask)); }
    SN_INLINE bool any_from(vi a, Int bound) {
        bool any = false;
        for (int l = 0; l < W; ++l) any |= Unsigned(a[l]) >= Unsigned(bound);
        return any;
    }
    SN_INLINE T lane(v a, int l) { return a[l]; }
};

} // namespace
} // namespace cpu
} // namespace sn
