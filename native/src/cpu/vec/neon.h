// Armv8-A Advanced SIMD.
#pragma once
#include "lanes.h"
#include <arm_neon.h>

namespace sn {
namespace cpu {
namespace neon {
namespace {

struct F32 : Extension<float, int32_t, 4> {
    SN_INLINE v load_quarters(const char *p, int64_t) { return load((const T *)p); }
    SN_INLINE void store_quarters(char *p, int64_t, v x) { store((T *)p, x); }
    SN_INLINE v load_part(const T *p, int64_t n) {
        v x = {};
        std::memcpy(&x, p, size_t(n) * sizeof(T));
        return x;
    }
    SN_INLINE void store_part(T *p, v x, int64_t n) { std::memcpy(p, &x, size_t(n) * sizeof(T)); }
    static constexpr bool streams = false, twice = true;
    SN_INLINE void stream(T *p, v x) { store(p, x); }
    SN_INLINE void fence() {}
    SN_INLINE v all(T x) { return (v)vdupq_n_f32(x); }
    SN_INLINE vi all_int(Int x) { return (vi)vdupq_n_s32(x); }
    SN_INLINE v fma(v a, v b, v c) { return (v)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b); }
    SN_INLINE v lesser(v a, v b) { return choose(less(a, b), a, b); }
    SN_INLINE vi max_unsigned(vi a, vi b) { return (vi)vmaxq_u32((uint32x4_t)a, (uint32x4_t)b); }
    // Byte indices 4 i .. 4 i + 3 of 64 table bytes.
    SN_INLINE uint8x16_t byte_index(vi i) {
        return (uint8x16_t)vaddq_u32(vmulq_n_u32((uint32x4_t)i, 0x04040404u), vdupq_n_u32(0x03020100u));
    }
    struct Table16 {
        uint8x16x4_t all;
    };
    struct Table32 {
        uint8x16x4_t lower, upper;
    };
    SN_INLINE Table16 table16(const T *t) { return {vld1q_u8_x4((const uint8_t *)t)}; }
    SN_INLINE Table32 table32(const T *t) {
        return {vld1q_u8_x4((const uint8_t *)t), vld1q_u8_x4((const uint8_t *)(t + 16))};
    }
    SN_INLINE v lookup(const Table16 &t, vi i) { return (v)vqtbl4q_u8(t.all, byte_index(i & 15)); }
    SN_INLINE v lookup(const Table32 &t, vi i) {
        const uint8x16_t index = byte_index(i & 31);
        return (v)vqtbx4q_u8(vqtbl4q_u8(t.lower, index), t.upper, vsubq_u8(index, vdupq_n_u8(64)));
    }
    template <int S> SN_INLINE v shift(v a, v b) {
        if constexpr (S == 0) return a;
        else if constexpr (S == W) return b;
        else return (v)vextq_f32((float32x4_t)a, (float32x4_t)b, S);
    }
    SN_INLINE v load_f16(const uint16_t *p) {
        uint16x4_t h;
        std::memcpy(&h, p, 8);
        return (v)vcvt_f32_f16(vreinterpret_f16_u16(h));
    }
    SN_INLINE void stream_f16(uint16_t *p, v x) { store_f16(p, x); }
    SN_INLINE void store_f16(uint16_t *p, v x) {
        const uint16x4_t h = vreinterpret_u16_f16(vcvt_f16_f32((float32x4_t)x));
        std::memcpy(p, &h, 8);
    }
    SN_INLINE v load_bf16(const uint16_t *p) {
        uint16x4_t h;
        std::memcpy(&h, p, 8);
        return (v)vshlq_n_u32(vmovl_u16(h), 16);
    }
    template <bool Numbers> SN_INLINE void store_bf16(uint16_t *p, v x) { // Numbers: no lane is nan
        const uint32x4_t b = (uint32x4_t)x;
        const uint32x4_t odd = vandq_u32(vshrq_n_u32(b, 16), vdupq_n_u32(1));
        uint32x4_t r = vaddq_u32(vaddq_u32(b, vdupq_n_u32(0x7fff)), odd);
        if (!Numbers) r = vbslq_u32(vceqq_f32((float32x4_t)x, (float32x4_t)x), r, vorrq_u32(b, vdupq_n_u32(0x400000)));
        const uint16x4_t h = vshrn_n_u32(r, 16);
        std::memcpy(p, &h, 8);
    }
    template <bool Numbers> SN_INLINE void store_two_bf16(uint16_t *p, v x, v y) {
        store_bf16<Numbers>(p, x), store_bf16<Numbers>(p + W, y);
    }
    template <bool Numbers> SN_INLINE void stream_bf16(uint16_t *p, v x) { store_bf16<Numbers>(p, x); }
    template <bool Numbers> SN_INLINE void stream_two_bf16(uint16_t *p, v x, v y) { store_two_bf16<Numbers>(p, x, y); }
};

struct F64 : Extension<double, int64_t, 2> {
    SN_INLINE v load_quarters(const char *p, int64_t) { return load((const T *)p); }
    SN_INLINE void store_quarters(char *p, int64_t, v x) { store((T *)p, x); }
    SN_INLINE v load_part(const T *p, int64_t) {
        v x = {};
        std::memcpy(&x, p, sizeof(T)); // two lanes: a part is one
        return x;
    }
    SN_INLINE void store_part(T *p, v x, int64_t) { std::memcpy(p, &x, sizeof(T)); }
    static constexpr bool streams = false, twice = true;
    SN_INLINE void stream(T *p, v x) { store(p, x); }
    SN_INLINE void fence() {}
    SN_INLINE v all(T x) { return (v)vdupq_n_f64(x); }
    SN_INLINE vi all_int(Int x) { return (vi)vdupq_n_s64(x); }
    SN_INLINE v fma(v a, v b, v c) { return (v)vfmaq_f64((float64x2_t)c, (float64x2_t)a, (float64x2_t)b); }
    SN_INLINE v lesser(v a, v b) { return choose(less(a, b), a, b); }
    SN_INLINE vi max_unsigned(vi a, vi b) {
        return (vi)vbslq_u64(vcgtq_u64((uint64x2_t)a, (uint64x2_t)b), (uint64x2_t)a, (uint64x2_t)b);
    }
    struct Table16 {
        const T *at;
    };
    struct Table32 {
        const T *at;
    };
    SN_INLINE Table16 table16(const T *t) { return {t}; }
    SN_INLINE Table32 table32(const T *t) { return {t}; }
    SN_INLINE v lookup(const Table16 &t, vi i) { return v{t.at[i[0] & 15], t.at[i[1] & 15]}; }
    SN_INLINE v lookup(const Table32 &t, vi i) { return v{t.at[i[0] & 31], t.at[i[1] & 31]}; }
    template <int S> SN_INLINE v shift(v a, v b) {
        if constexpr (S == 0) return a;
        else if constexpr (S == W) return b;
        else return (v)vextq_f64((float64x2_t)a, (float64x2_t)b, S);
    }
};

} // namespace
} // namespace neon
} // namespace cpu
} // namespace sn
