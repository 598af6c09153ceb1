// AVX-512 F, DQ, BW, VL.
#pragma once
#include "lanes.h"
#include <immintrin.h>

namespace sn {
namespace cpu {
namespace avx512 {
namespace {

struct F32 : Extension<float, int32_t, 16> {
    SN_INLINE __mmask16 first(int64_t n) { return (__mmask16)((1u << n) - 1); }
    SN_INLINE v load_part(const T *p, int64_t n) { return _mm512_maskz_loadu_ps(first(n), p); }
    SN_INLINE void store_part(T *p, v x, int64_t n) { _mm512_mask_storeu_ps(p, first(n), x); }
    static constexpr bool streams = true, twice = true;
    SN_INLINE void stream(T *p, v x) { _mm512_stream_ps(p, x); }
    SN_INLINE void fence() { _mm_sfence(); }
    SN_INLINE v all(T x) { return _mm512_set1_ps(x); }
    SN_INLINE vi all_int(Int x) { return (vi)_mm512_set1_epi32(x); }
    SN_INLINE v fma(v a, v b, v c) { return _mm512_fmadd_ps(a, b, c); }
    SN_INLINE v lesser(v a, v b) { return _mm512_min_ps(a, b); }
    SN_INLINE vi max_unsigned(vi a, vi b) { return (vi)_mm512_max_epu32((__m512i)a, (__m512i)b); }
    SN_INLINE bool any_from(vi a, Int bound) {
        return _mm512_cmpge_epu32_mask((__m512i)a, _mm512_set1_epi32(bound)) != 0;
    }
    struct Table16 {
        v all;
    };
    struct Table32 {
        v lower, upper;
    };
    SN_INLINE Table16 table16(const T *t) { return {load(t)}; }
    SN_INLINE Table32 table32(const T *t) { return {load(t), load(t + 16)}; }
    SN_INLINE v lookup(const Table16 &t, vi i) { return _mm512_permutexvar_ps((__m512i)i, t.all); }
    SN_INLINE v lookup(const Table32 &t, vi i) { return _mm512_permutex2var_ps(t.lower, (__m512i)i, t.upper); }
    // Lanes S .. S + 15 of the pair a, b.
    template <int S> SN_INLINE v shift(v a, v b) {
        if constexpr (S == 0) return a;
        else if constexpr (S == W) return b;
        else return (v)_mm512_alignr_epi32((__m512i)b, (__m512i)a, S);
    }
    // Half a vector from each of two places.
    SN_INLINE v load_halves(const T *p, const T *q) {
        return _mm512_insertf32x8(_mm512_castps256_ps512(_mm256_loadu_ps(p)), _mm256_loadu_ps(q), 1);
    }
    SN_INLINE void store_halves(T *p, T *q, v x) {
        _mm256_storeu_ps(p, _mm512_castps512_ps256(x));
        _mm256_storeu_ps(q, _mm512_extractf32x8_ps(x, 1));
    }
    SN_INLINE v load_quarters(const char *p, int64_t stride) {
        __m512 x = _mm512_castps128_ps512(_mm_loadu_ps((const T *)p));
        x = _mm512_insertf32x4(x, _mm_loadu_ps((const T *)(p + stride)), 1);
        x = _mm512_insertf32x4(x, _mm_loadu_ps((const T *)(p + 2 * stride)), 2);
        return _mm512_insertf32x4(x, _mm_loadu_ps((const T *)(p + 3 * stride)), 3);
    }
    SN_INLINE void store_quarters(char *p, int64_t stride, v x) {
        _mm_storeu_ps((T *)p, _mm512_castps512_ps128(x));
        _mm_storeu_ps((T *)(p + stride), _mm512_extractf32x4_ps(x, 1));
        _mm_storeu_ps((T *)(p + 2 * stride), _mm512_extractf32x4_ps(x, 2));
        _mm_storeu_ps((T *)(p + 3 * stride), _mm512_extractf32x4_ps(x, 3));
    }
    SN_INLINE v load_f16(const uint16_t *p) { return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p)); }
    SN_INLINE __m256i to_f16(v x) { return _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT); }
    SN_INLINE void store_f16(uint16_t *p, v x) { _mm256_storeu_si256((__m256i *)p, to_f16(x)); }
    SN_INLINE void stream_f16(uint16_t *p, v x) { _mm256_stream_si256((__m256i *)p, to_f16(x)); }
    SN_INLINE v load_bf16(const uint16_t *p) {
        return (v)_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p)), 16);
    }
    // Rounded to bfloat16, in the lower half of each lane. Numbers: no lane is nan.
    template <bool Numbers> SN_INLINE __m512i round_bf16(v x) {
        const __m512i b = (__m512i)x, below_half = _mm512_set1_epi32(0x7fff), half = _mm512_set1_epi32(0x8000);
        const __mmask16 odd = _mm512_test_epi32_mask(b, _mm512_set1_epi32(0x10000));
        __m512i r = _mm512_mask_add_epi32(_mm512_add_epi32(b, below_half), odd, b, half);
        if (!Numbers)
            r = _mm512_mask_or_epi32(r, _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q), b, _mm512_set1_epi32(0x400000));
        return _mm512_srli_epi32(r, 16);
    }
    template <bool Numbers> SN_INLINE __m256i to_bf16(v x) { return _mm512_cvtepi32_epi16(round_bf16<Numbers>(x)); }
    template <bool Numbers> SN_INLINE void store_bf16(uint16_t *p, v x) {
        _mm256_storeu_si256((__m256i *)p, to_bf16<Numbers>(x));
    }
    template <bool Numbers> SN_INLINE void stream_bf16(uint16_t *p, v x) {
        _mm256_stream_si256((__m256i *)p, to_bf16<Numbers>(x));
    }
    // Two vectors side by side: packed in two operations in place of four.
    template <bool Numbers> SN_INLINE __m512i two_to_bf16(v x, v y) {
        const __m512i quarters = _mm512_packus_epi32(round_bf16<Numbers>(x), round_bf16<Numbers>(y));
        return _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7), quarters);
    }
    template <bool Numbers> SN_INLINE void store_two_bf16(uint16_t *p, v x, v y) {
        _mm512_storeu_si512(p, two_to_bf16<Numbers>(x, y));
    }
    template <bool Numbers> SN_INLINE void stream_two_bf16(uint16_t *p, v x, v y) {
        const __m512i both = two_to_bf16<Numbers>(x, y);
        _mm256_stream_si256((__m256i *)p, _mm512_castsi512_si256(both));
        _mm256_stream_si256((__m256i *)(p + W), _mm512_extracti64x4_epi64(both, 1));
    }
};

struct F64 : Extension<double, int64_t, 8> {
    SN_INLINE __mmask8 first(int64_t n) { return (__mmask8)((1u << n) - 1); }
    SN_INLINE v load_part(const T *p, int64_t n) { return _mm512_maskz_loadu_pd(first(n), p); }
    SN_INLINE void store_part(T *p, v x, int64_t n) { _mm512_mask_storeu_pd(p, first(n), x); }
    static constexpr bool streams = true, twice = true, near_exponents = true;
    SN_INLINE void stream(T *p, v x) { _mm512_stream_pd(p, x); }
    SN_INLINE void fence() { _mm_sfence(); }
    SN_INLINE v all(T x) { return _mm512_set1_pd(x); }
    SN_INLINE vi all_int(Int x) { return (vi)_mm512_set1_epi64(x); }
    SN_INLINE v fma(v a, v b, v c) { return _mm512_fmadd_pd(a, b, c); }
    SN_INLINE v lesser(v a, v b) { return _mm512_min_pd(a, b); }
    SN_INLINE vi max_unsigned(vi a, vi b) { return (vi)_mm512_max_epu64((__m512i)a, (__m512i)b); }
    SN_INLINE bool any_from(vi a, Int bound) {
        return _mm512_cmpge_epu64_mask((__m512i)a, _mm512_set1_epi64(bound)) != 0;
    }
    struct Table16 {
        v lower, upper;
    };
    struct Table32 {
        Table16 lower, upper;
    };
    SN_INLINE Table16 table16(const T *t) { return {load(t), load(t + 8)}; }
    SN_INLINE Table32 table32(const T *t) { return {table16(t), table16(t + 16)}; }
    SN_INLINE v lookup(const Table16 &t, vi i) { return _mm512_permutex2var_pd(t.lower, (__m512i)i, t.upper); }
    SN_INLINE v lookup(const Table32 &t, vi i) {
        const __mmask8 upper = _mm512_test_epi64_mask((__m512i)i, _mm512_set1_epi64(16));
        return _mm512_mask_blend_pd(upper, lookup(t.lower, i), lookup(t.upper, i));
    }
    template <int S> SN_INLINE v shift(v a, v b) {
        if constexpr (S == 0) return a;
        else if constexpr (S == W) return b;
        else return (v)_mm512_alignr_epi64((__m512i)b, (__m512i)a, S);
    }
    SN_INLINE v load_quarters(const char *p, int64_t stride) { return (v)F32::load_quarters(p, stride); }
    SN_INLINE void store_quarters(char *p, int64_t stride, v x) { F32::store_quarters(p, stride, (F32::v)x); }
};

} // namespace
} // namespace avx512
} // namespace cpu
} // namespace sn
