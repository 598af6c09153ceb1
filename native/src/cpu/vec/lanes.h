// What GCC's and clang's vector extensions give for any number of lanes; each target adds what they lack.
#pragma once
#include "half.h"
#include <type_traits>
#include <utility>

namespace sn {
namespace cpu {
namespace {

template <class Real, class Integer, int Lanes> struct Extension {
    using T = Real;
    using Int = Integer;
    static constexpr int W = Lanes;
    static constexpr bool near_exponents = false; // 16 exponents are looked up in less time than 32
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

    // A vector is quarters of 16 bytes (two on AVX2, one on NEON); load_quarters() takes each from another row. With
    // x[k] holding `quarter` columns of rows k, quarter + k, 2 quarter + k ..., transposed x[j] holds column j of all
    // W rows in order, and the other way round.
    static constexpr int quarter = 16 / int(sizeof(T));
    SN_INLINE void transpose(v (&x)[quarter]) {
        if constexpr (quarter == 4) {
            const v even = interleave<0>(x[0], x[2]), odd = interleave<0>(x[1], x[3]);
            const v even_high = interleave<1>(x[0], x[2]), odd_high = interleave<1>(x[1], x[3]);
            x[0] = interleave<0>(even, odd), x[1] = interleave<1>(even, odd);
            x[2] = interleave<0>(even_high, odd_high), x[3] = interleave<1>(even_high, odd_high);
        } else {
            const v low = interleave<0>(x[0], x[1]);
            x[1] = interleave<1>(x[0], x[1]);
            x[0] = low;
        }
    }

  private:
    // The lower (0) or upper (1) halves of each quarter of a and b, in turns.
    template <int Half> SN_INLINE v interleave(v a, v b) {
        return interleave<Half>(a, b, std::make_integer_sequence<int, W>());
    }
    template <int Half, int... L> SN_INLINE v interleave(v a, v b, std::integer_sequence<int, L...>) {
        return __builtin_shufflevector(a, b,
                                       (L % 2 * W + L / quarter * quarter + Half * quarter / 2 + L % quarter / 2)...);
    }
};

} // namespace
} // namespace cpu
} // namespace sn
