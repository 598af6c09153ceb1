// One lane, no instruction set: every other target does the same operations on more lanes.
#pragma once
#include "fused.h"
#include "half.h"

namespace sn {
namespace cpu {
namespace scalar {
namespace {

template <class Real, class Integer, class Unsigned> struct Lane {
    using T = Real;
    using Int = Integer;
    using v = Real;
    using vi = Integer;
    static constexpr int W = 1;

    SN_INLINE v load(const T *p) {
        v x;
        std::memcpy(&x, p, sizeof x);
        return x;
    }
    SN_INLINE void store(T *p, v x) { std::memcpy(p, &x, sizeof x); }
    SN_INLINE v load_part(const T *p, int64_t) { return load(p); }
    SN_INLINE void store_part(T *p, v x, int64_t) { store(p, x); }
    static constexpr bool streams = false, twice = false, near_exponents = false;
    SN_INLINE void stream(T *p, v x) { store(p, x); }
    SN_INLINE v all(T x) { return x; }
    SN_INLINE vi all_int(Int x) { return x; }
    SN_INLINE v fma(v a, v b, v c) { return fused(a, b, c); }
    SN_INLINE v lesser(v a, v b) { return a < b ? a : b; } // b if either is nan, on every target
    SN_INLINE vi bits(v x) {
        vi b;
        std::memcpy(&b, &x, sizeof b);
        return b;
    }
    SN_INLINE v real(vi b) {
        v x;
        std::memcpy(&x, &b, sizeof x);
        return x;
    }
    SN_INLINE vi shift_right(vi b, int n) { return vi(Unsigned(b) >> n); }
    SN_INLINE vi shift_left(vi b, int n) { return vi(Unsigned(b) << n); }
    SN_INLINE vi add(vi a, vi b) { return vi(Unsigned(a) + Unsigned(b)); }
    SN_INLINE vi subtract(vi a, vi b) { return vi(Unsigned(a) - Unsigned(b)); }
    SN_INLINE v convert(vi a) { return v(a); }
    SN_INLINE vi max_unsigned(vi a, vi b) { return Unsigned(a) > Unsigned(b) ? a : b; }
    SN_INLINE vi less(v a, v b) { return a < b ? -1 : 0; }
    SN_INLINE vi equal(v a, v b) { return a == b ? -1 : 0; }
    SN_INLINE vi equal_int(vi a, vi b) { return a == b ? -1 : 0; }
    SN_INLINE vi below(vi a, vi b) { return Unsigned(a) < Unsigned(b) ? -1 : 0; }
    SN_INLINE v choose(vi mask, v a, v b) { return mask ? a : b; }
    struct Table16 {
        const T *at;
    };
    struct Table32 {
        const T *at;
    };
    SN_INLINE Table16 table16(const T *t) { return {t}; }
    SN_INLINE Table32 table32(const T *t) { return {t}; }
    SN_INLINE v lookup(const Table16 &t, vi i) { return t.at[i & 15]; }
    SN_INLINE v lookup(const Table32 &t, vi i) { return t.at[i & 31]; }
    SN_INLINE bool any_from(vi a, Int bound) { return Unsigned(a) >= Unsigned(bound); }
    SN_INLINE T lane(v a, int) { return a; }
    SN_INLINE void fence() {}
};

struct F32 : Lane<float, int32_t, uint32_t> {
    SN_INLINE v load_f16(const uint16_t *p) { return float_from_f16(load_u16(p)); }
    SN_INLINE v load_bf16(const uint16_t *p) { return float_from_bf16(load_u16(p)); }
    SN_INLINE void stream_f16(uint16_t *p, v x) { store_f16(p, x); }
    template <bool Numbers> SN_INLINE void stream_bf16(uint16_t *p, v x) { store_bf16<Numbers>(p, x); }
    SN_INLINE void store_f16(uint16_t *p, v x) { store_u16(p, f16_from_float(x)); }
    template <bool> SN_INLINE void store_bf16(uint16_t *p, v x) { store_u16(p, bf16_from_float(x)); }

  private:
    SN_INLINE uint16_t load_u16(const uint16_t *p) {
        uint16_t h;
        std::memcpy(&h, p, 2);
        return h;
    }
    SN_INLINE void store_u16(uint16_t *p, uint16_t h) { std::memcpy(p, &h, 2); }
};
struct F64 : Lane<double, int64_t, uint64_t> {};

} // namespace
} // namespace scalar
} // namespace cpu
} // namespace sn
