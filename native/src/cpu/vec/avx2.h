// AVX2, FMA, F16C.
#pragma once
#include "lanes.h"
#include <immintrin.h>

namespace sn {
namespace cpu {
namespace avx2 {
namespace {

struct F32 : Extension<float, int32_t, 8> {
    SN_INLINE __m256i first(int64_t n) {
        return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
    }
    SN_INLINE v load_part(const T *p, int64_t n) { return _mm256_maskload_ps(p, first(n)); }
    SN_INLINE void store_part(T *p, v x, int64_t n) { _mm256_maskstore_ps(p, first(n), x); }
    static constexpr bool streams = true, twice = false, near_exponents = true;
    SN_INLINE void stream(T *p, v x) { _mm256_stream_ps(p, x); }
    SN_INLINE void fence() { _mm_sfence(); }
    SN_INLINE v all(T x) { return _mm256_set1_ps(x); }
    SN_INLINE vi all_int(Int x) { return (vi)_mm256_set1_epi32(x); }
    SN_INLINE v fma(v a, v b, v c) { return _mm256_fmadd_ps(a, b, c); }
    SN_INLINE v lesser(v a, v b) { return _mm256_min_ps(a, b); }
    SN_INLINE vi max_unsigned(vi a, vi b) { return (vi)_mm256_max_epu32((__m256i)a, (__m256i)b); }
    SN_INLINE bool any_from(vi a, Int bound) {
        return !_mm256_testz_si256((__m256i)(max_unsigned(a, all_int(bound)) == a), _mm256_set1_epi32(-1));
    }
    SN_INLINE v lookup8(const T *t, vi i) { return _mm256_permutevar8x32_ps(load(t), (__m256i)i); }
    // Too few registers for tables: they are read where they lie.
    struct Table16 {
        const T *at;
    };
    struct Table32 {
        const T *at;
    };
    SN_INLINE Table16 table16(const T *t) { return {t}; }
    SN_INLINE Table32 table32(const T *t) { return {t}; }
    SN_INLINE v lookup(const Table16 &t, vi i) {
        return _mm256_blendv_ps(lookup8(t.at, i), lookup8(t.at + 8, i), (__m256)(i << 28));
    }
    SN_INLINE v lookup(const Table32 &t, vi i) {
        return _mm256_blendv_ps(lookup(Table16{t.at}, i), lookup(Table16{t.at + 16}, i), (__m256)(i << 27));
    }
    template <int S> SN_INLINE v shift(v a, v b) {
        if constexpr (S == 0) return a;
        else if constexpr (S == W) return b;
        else {
            const __m256i middle = _mm256_permute2x128_si256((__m256i)a, (__m256i)b, 0x21);
            if constexpr (S == 4) return (v)middle;
            else if constexpr (S < 4) return (v)_mm256_alignr_epi8(middle, (__m256i)a, 4 * S);
            else return (v)_mm256_alignr_epi8((__m256i)b, middle, 4 * (S - 4));
        }
    }
    SN_INLINE v load_quarters(const char *p, int64_t stride) {
        const __m256 x = _mm256_castps128_ps256(_mm_loadu_ps((const T *)p));
        return _mm256_insertf128_ps(x, _mm_loadu_ps((const T *)(p + stride)), 1);
    }
    SN_INLINE void store_quarters(char *p, int64_t stride, v x) {
        _mm_storeu_ps((T *)p, _mm256_castps256_ps128(x));
        _mm_storeu_ps((T *)(p + stride), _mm256_extractf128_ps(x, 1));
    }
    SN_INLINE v load_f16(const uint16_t *p) { return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p)); }
    SN_INLINE __m128i to_f16(v x) { return _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT); }
    SN_INLINE void store_f16(uint16_t *p, v x) { _mm_storeu_si128((__m128i *)p, to_f16(x)); }
    SN_INLINE void stream_f16(uint16_t *p, v x) { _mm_stream_si128((__m128i *)p, to_f16(x)); }
    SN_INLINE v load_bf16(const uint16_t *p) {
        return (v)_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p)), 16);
    }
    template <bool Numbers> SN_INLINE __m128i to_bf16(v x) { // Numbers: no lane is nan
        const __m256i b = (__m256i)x;
        const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(b, 16), _mm256_set1_epi32(1));
        __m256i r = _mm256_add_epi32(_mm256_add_epi32(b, _mm256_set1_epi32(0x7fff)), odd);
        if (!Numbers) {
            const __m256i quiet = _mm256_or_si256(b, _mm256_set1_epi32(0x400000));
            r = _mm256_blendv_epi8(r, quiet, (__m256i)_mm256_cmp_ps(x, x, _CMP_UNORD_Q));
        }
        r = _mm256_srli_epi32(r, 16);
        const __m256i packed = _mm256_permute4x64_epi64(_mm256_packus_epi32(r, r), 0x08);
        return _mm256_castsi256_si128(packed);
    }
    template <bool Numbers> SN_INLINE void store_bf16(uint16_t *p, v x) {
        _mm_storeu_si128((__m128i *)p, to_bf16<Numbers>(x));
    }
    template <bool Numbers> SN_INLINE void stream_bf16(uint16_t *p, v x) {
        _mm_stream_si128((__m128i *)p, to_bf16<Numbers>(x));
    }
};

struct F64 : Extension<double, int64_t, 4> {
    SN_INLINE __m256i first(int64_t n) {
        return _mm256_cmpgt_epi64(_mm256_set1_epi64x(n), _mm256_setr_epi64x(0, 1, 2, 3));
    }
    SN_INLINE v load_part(const T *p, int64_t n) { return _mm256_maskload_pd(p, first(n)); }
    SN_INLINE void store_part(T *p, v x, int64_t n) { _mm256_maskstore_pd(p, first(n), x); }
    static constexpr bool streams = true, twice = false;
    SN_INLINE void stream(T *p, v x) { _mm256_stream_pd(p, x); }
    SN_INLINE void fence() { _mm_sfence(); }
    SN_INLINE v all(T x) { return _mm256_set1_pd(x); }
    SN_INLINE vi all_int(Int x) { return (vi)_mm256_set1_epi64x(x); }
    SN_INLINE v fma(v a, v b, v c) { return _mm256_fmadd_pd(a, b, c); }
    SN_INLINE v lesser(v a, v b) { return _mm256_min_pd(a, b); }
    SN_INLINE vi max_unsigned(vi a, vi b) {
        const vi sign = all_int(INT64_MIN);
        return (vi)_mm256_blendv_pd((__m256d)b, (__m256d)a, (__m256d)((a ^ sign) > (b ^ sign)));
    }
    SN_INLINE bool any_from(vi a, Int bound) {
        return !_mm256_testz_si256((__m256i)(max_unsigned(a, all_int(bound)) == a), _mm256_set1_epi64x(-1));
    }
    struct Table16 {
        const T *at;
    };
    struct Table32 {
        const T *at;
    };
    SN_INLINE Table16 table16(const T *t) { return {t}; }
    SN_INLINE Table32 table32(const T *t) { return {t}; }
    SN_INLINE v lookup(const Table16 &t, vi i) { return _mm256_i64gather_pd(t.at, (__m256i)(i & 15), 8); }
    SN_INLINE v lookup(const Table32 &t, vi i) { return _mm256_i64gather_pd(t.at, (__m256i)(i & 31), 8); }
    template <int S> SN_INLINE v shift(v a, v b) {
        if constexpr (S == 0) return a;
        else if constexpr (S == W) return b;
        else {
            const __m256d middle = _mm256_permute2f128_pd(a, b, 0x21);
            if constexpr (S == 2) return middle;
            else if constexpr (S == 1) return _mm256_shuffle_pd(a, middle, 0x5);
            else return _mm256_shuffle_pd(middle, b, 0x5);
        }
    }
    SN_INLINE v load_quarters(const char *p, int64_t stride) { return (v)F32::load_quarters(p, stride); }
    SN_INLINE void store_quarters(char *p, int64_t stride, v x) { F32::store_quarters(p, stride, (F32::v)x); }
};

} // namespace
} // namespace avx2
} // namespace cpu
} // namespace sn
