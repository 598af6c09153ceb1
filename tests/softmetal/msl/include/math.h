// clang-format off: the macro tables below are read by column
// The functions of <metal_math>, <metal_common>, <metal_integer>, <metal_relational> and <metal_geometric>,
// as lists of overloads like Metal's own, so that a call that is ambiguous there is ambiguous here.
#pragma once
#include "vector.h"

// elementwise_N(function, type, expression): for a scalar type and its vectors, over N parameters a, b, c.
#define SM_OVER1(T, f, e)                                        \
    inline T f(T a) { return (T)(e); }                           \
    template <int N> inline vec<T, N> f(vec<T, N> x) {           \
        vec<T, N> r;                                             \
        for (int i = 0; i < N; i++) r[i] = f((T)x[i]);           \
        return r;                                                \
    }
#define SM_OVER2(T, f, e)                                                    \
    inline T f(T a, T b) { return (T)(e); }                                  \
    template <int N> inline vec<T, N> f(vec<T, N> x, vec<T, N> y) {          \
        vec<T, N> r;                                                         \
        for (int i = 0; i < N; i++) r[i] = f((T)x[i], (T)y[i]);              \
        return r;                                                            \
    }
#define SM_OVER3(T, f, e)                                                             \
    inline T f(T a, T b, T c) { return (T)(e); }                                      \
    template <int N> inline vec<T, N> f(vec<T, N> x, vec<T, N> y, vec<T, N> z) {      \
        vec<T, N> r;                                                                  \
        for (int i = 0; i < N; i++) r[i] = f((T)x[i], (T)y[i], (T)z[i]);              \
        return r;                                                                     \
    }
// float is computed as written; half and bfloat by the float function, rounded once.
#define SM_FLOATS1(f, e) SM_OVER1(float, f, e) SM_OVER1(half, f, f((float)a)) SM_BFLOAT(SM_OVER1(bfloat, f, f((float)a)))
#define SM_FLOATS2(f, e) SM_OVER2(float, f, e) SM_OVER2(half, f, f((float)a, (float)b)) SM_BFLOAT(SM_OVER2(bfloat, f, f((float)a, (float)b)))
#define SM_FLOATS3(f, e) \
    SM_OVER3(float, f, e) SM_OVER3(half, f, f((float)a, (float)b, (float)c)) SM_BFLOAT(SM_OVER3(bfloat, f, f((float)a, (float)b, (float)c)))
#if __METAL_VERSION__ >= 310
#define SM_BFLOAT(...) __VA_ARGS__
#else
#define SM_BFLOAT(...)
#endif
#define SM_INTEGERS(over, f, e) \
    over(char, f, e) over(uchar, f, e) over(short, f, e) over(ushort, f, e) over(int, f, e) over(uint, f, e) over(long, f, e) over(ulong, f, e)

namespace metal {
SM_FLOATS1(acos, __builtin_acosf(a)) SM_FLOATS1(acosh, __builtin_acoshf(a))
SM_FLOATS1(asin, __builtin_asinf(a)) SM_FLOATS1(asinh, __builtin_asinhf(a))
SM_FLOATS1(atan, __builtin_atanf(a)) SM_FLOATS1(atanh, __builtin_atanhf(a))
SM_FLOATS1(ceil, __builtin_ceilf(a)) SM_FLOATS1(floor, __builtin_floorf(a))
SM_FLOATS1(trunc, __builtin_truncf(a)) SM_FLOATS1(rint, __builtin_rintf(a)) SM_FLOATS1(round, __builtin_roundf(a))
SM_FLOATS1(cos, __builtin_cosf(a)) SM_FLOATS1(cosh, __builtin_coshf(a)) SM_FLOATS1(cospi, __builtin_cosf(M_PI_F * a))
SM_FLOATS1(sin, __builtin_sinf(a)) SM_FLOATS1(sinh, __builtin_sinhf(a)) SM_FLOATS1(sinpi, __builtin_sinf(M_PI_F * a))
SM_FLOATS1(tan, __builtin_tanf(a)) SM_FLOATS1(tanh, __builtin_tanhf(a)) SM_FLOATS1(tanpi, __builtin_tanf(M_PI_F * a))
SM_FLOATS1(exp, __builtin_expf(a)) SM_FLOATS1(exp2, __builtin_exp2f(a)) SM_FLOATS1(exp10, __builtin_exp10f(a))
SM_FLOATS1(log, __builtin_logf(a)) SM_FLOATS1(log2, __builtin_log2f(a)) SM_FLOATS1(log10, __builtin_log10f(a))
SM_FLOATS1(sqrt, __builtin_sqrtf(a)) SM_FLOATS1(rsqrt, 1.0f / __builtin_sqrtf(a))
SM_FLOATS1(fabs, __builtin_fabsf(a)) SM_FLOATS1(abs, __builtin_fabsf(a)) SM_FLOATS1(fract, a - __builtin_floorf(a))
SM_FLOATS1(saturate, a < 0.0f ? 0.0f : a > 1.0f ? 1.0f : a) SM_FLOATS1(sign, a > 0.0f ? 1.0f : a < 0.0f ? -1.0f : a)
SM_FLOATS2(atan2, __builtin_atan2f(a, b)) SM_FLOATS2(copysign, __builtin_copysignf(a, b)) SM_FLOATS2(fdim, __builtin_fdimf(a, b))
SM_FLOATS2(fmod, __builtin_fmodf(a, b)) SM_FLOATS2(pow, __builtin_powf(a, b)) SM_FLOATS2(powr, __builtin_powf(a, b))
SM_FLOATS2(fmin, __builtin_fminf(a, b)) SM_FLOATS2(fmax, __builtin_fmaxf(a, b))
SM_FLOATS2(min, __builtin_fminf(a, b)) SM_FLOATS2(max, __builtin_fmaxf(a, b))
SM_FLOATS2(step, b < a ? 0.0f : 1.0f) SM_FLOATS2(divide, a / b)
SM_FLOATS3(fma, __builtin_fmaf(a, b, c)) SM_FLOATS3(mix, a + (b - a) * c)
SM_FLOATS3(clamp, fmin(fmax(a, b), c)) SM_FLOATS3(min3, fmin(a, fmin(b, c))) SM_FLOATS3(max3, fmax(a, fmax(b, c)))
SM_FLOATS3(fmin3, fmin(a, fmin(b, c))) SM_FLOATS3(fmax3, fmax(a, fmax(b, c)))
SM_FLOATS3(median3, fmax(fmin(a, b), fmin(fmax(a, b), c))) SM_FLOATS3(fmedian3, fmax(fmin(a, b), fmin(fmax(a, b), c)))
inline float smoothstep(float lo, float hi, float x) { float t = saturate((x - lo) / (hi - lo)); return t * t * (3.0f - 2.0f * t); }
#if __METAL_VERSION__ >= 310
inline float nextafter(float a, float b) { return __builtin_nextafterf(a, b); }
#endif
inline float ldexp(float x, int e) { return __builtin_ldexpf(x, e); }
inline half ldexp(half x, int e) { return (half)__builtin_ldexpf((float)x, e); }
inline int ilogb(float x) { return __builtin_ilogbf(x); }
inline float frexp(float x, thread int& e) { return __builtin_frexpf(x, &e); }
inline float modf(float x, thread float& whole) { whole = trunc(x); return __builtin_copysignf(__builtin_isinf(x) ? 0.0f : x - whole, x); }
inline float sincos(float x, thread float& c) { c = __builtin_cosf(x); return __builtin_sinf(x); }

SM_INTEGERS(SM_OVER2, min, a < b ? a : b) SM_INTEGERS(SM_OVER2, max, a > b ? a : b)
SM_INTEGERS(SM_OVER3, clamp, min(max(a, b), c))
SM_INTEGERS(SM_OVER3, min3, min(a, min(b, c))) SM_INTEGERS(SM_OVER3, max3, max(a, max(b, c)))
SM_INTEGERS(SM_OVER3, median3, max(min(a, b), min(max(a, b), c)))
SM_INTEGERS(SM_OVER1, popcount, __builtin_popcountll((ulong)a << (64 - 8 * sizeof(a))))
SM_INTEGERS(SM_OVER1, clz, a == 0 ? 8 * sizeof(a) : __builtin_clzll((ulong)a << (64 - 8 * sizeof(a))))
SM_INTEGERS(SM_OVER1, ctz, a == 0 ? 8 * sizeof(a) : __builtin_ctzll((ulong)a))
SM_INTEGERS(SM_OVER2, addsat, __builtin_elementwise_add_sat(a, b)) SM_INTEGERS(SM_OVER2, subsat, __builtin_elementwise_sub_sat(a, b))
SM_OVER1(int, abs, a < 0 ? -a : a) SM_OVER1(short, abs, a < 0 ? -a : a) SM_OVER1(char, abs, a < 0 ? -a : a) SM_OVER1(long, abs, a < 0 ? -a : a)
SM_OVER2(int, mulhi, (long)a * b >> 32) SM_OVER2(uint, mulhi, (ulong)a * b >> 32)
SM_OVER2(int, mul24, ((a << 8) >> 8) * ((b << 8) >> 8)) SM_OVER2(uint, mul24, (a & 0xFFFFFF) * (b & 0xFFFFFF))
SM_OVER2(uint, rotate, b % 32 ? a << (b % 32) | a >> (32 - b % 32) : a)
SM_OVER2(uint, absdiff, a > b ? a - b : b - a) SM_OVER2(int, absdiff, a > b ? a - b : b - a)
SM_OVER2(uint, hadd, ((ulong)a + b) >> 1) SM_OVER2(int, hadd, ((long)a + b) >> 1)
SM_OVER2(uint, rhadd, ((ulong)a + b + 1) >> 1) SM_OVER2(int, rhadd, ((long)a + b + 1) >> 1)
inline uint reverse_bits(uint a) { return __builtin_bitreverse32(a); }
inline uint extract_bits(uint a, uint offset, uint bits) { return bits == 0 ? 0u : a >> offset & (0xFFFFFFFFu >> (32 - bits)); }
inline uint insert_bits(uint base, uint insert, uint offset, uint bits) {
    uint mask = bits == 0 ? 0u : (0xFFFFFFFFu >> (32 - bits)) << offset;
    return (base & ~mask) | (insert << offset & mask);
}

// A scalar where a vector stands: Metal's overloads take it too.
template <class T, int N> inline vec<T, N> min(vec<T, N> a, T b) { return min(a, (vec<T, N>)b); }
template <class T, int N> inline vec<T, N> max(vec<T, N> a, T b) { return max(a, (vec<T, N>)b); }
template <class T, int N> inline vec<T, N> clamp(vec<T, N> x, T a, T b) { return clamp(x, (vec<T, N>)a, (vec<T, N>)b); }
template <class T, int N> inline vec<T, N> mix(vec<T, N> a, vec<T, N> b, T t) { return mix(a, b, (vec<T, N>)t); }

// Relational. A NaN is seen whatever the math mode of the caller promises to the optimiser.
#define SM_RELATION(f, test)                                                             \
    inline bool f(float x) { uint u = __builtin_bit_cast(uint, x); return test; }        \
    inline bool f(half x) { return f((float)x); }                                        \
    SM_BFLOAT(inline bool f(bfloat x) { return f((float)x); })                           \
    template <class T, int N> inline vec<bool, N> f(vec<T, N> x) {                       \
        vec<bool, N> r;                                                                  \
        for (int i = 0; i < N; i++) r[i] = f((T)x[i]);                                   \
        return r;                                                                        \
    }
SM_RELATION(isnan, (u & 0x7FFFFFFFu) > 0x7F800000u) SM_RELATION(isinf, (u & 0x7FFFFFFFu) == 0x7F800000u)
SM_RELATION(isfinite, (u & 0x7FFFFFFFu) < 0x7F800000u) SM_RELATION(signbit, u >> 31 != 0)
SM_RELATION(isnormal, (u & 0x7FFFFFFFu) < 0x7F800000u && (u & 0x7FFFFFFFu) >= 0x00800000u)
#undef SM_RELATION
inline bool isunordered(float a, float b) { return isnan(a) || isnan(b); }
inline bool isordered(float a, float b) { return !isunordered(a, b); }
template <class T> inline T select(T a, T b, bool c) { return c ? b : a; }
template <class T, int N, class C> inline vec<T, N> select(vec<T, N> a, vec<T, N> b, vec<C, N> c) {
    vec<T, N> r;
    for (int i = 0; i < N; i++) r[i] = c[i] ? b[i] : a[i];
    return r;
}
inline bool all(bool x) { return x; }
inline bool any(bool x) { return x; }
template <class T, int N> inline bool all(vec<T, N> x) { bool r = true; for (int i = 0; i < N; i++) r = r && x[i]; return r; }
template <class T, int N> inline bool any(vec<T, N> x) { bool r = false; for (int i = 0; i < N; i++) r = r || x[i]; return r; }

// Geometric.
template <class T, int N> inline T dot(vec<T, N> a, vec<T, N> b) { T s = 0; for (int i = 0; i < N; i++) s += a[i] * b[i]; return s; }
template <class T, int N> inline T length_squared(vec<T, N> a) { return dot(a, a); }
template <class T, int N> inline T length(vec<T, N> a) { return sqrt(dot(a, a)); }
template <class T, int N> inline T distance(vec<T, N> a, vec<T, N> b) { return length(a - b); }
template <class T, int N> inline vec<T, N> normalize(vec<T, N> a) { return a * rsqrt(dot(a, a)); }
template <class T> inline vec<T, 3> cross(vec<T, 3> a, vec<T, 3> b) { return a.yzx * b.zxy - a.zxy * b.yzx; }

// metal::fast and metal::precise name variants of the same functions; here there is one of each.
#define SM_VARIANTS                                                                                                              \
    using metal::acos; using metal::acosh; using metal::asin; using metal::asinh; using metal::atan; using metal::atan2;         \
    using metal::atanh; using metal::ceil; using metal::clamp; using metal::copysign; using metal::cos; using metal::cosh;       \
    using metal::cospi; using metal::divide; using metal::exp; using metal::exp10; using metal::exp2; using metal::fabs;         \
    using metal::fdim; using metal::floor; using metal::fma; using metal::fmax; using metal::fmin; using metal::fmod;            \
    using metal::fract; using metal::frexp; using metal::ldexp; using metal::log; using metal::log10; using metal::log2;         \
    using metal::max; using metal::min; using metal::mix; using metal::modf; using metal::pow; using metal::powr;                \
    using metal::rint; using metal::round; using metal::rsqrt; using metal::saturate; using metal::sign; using metal::sin;       \
    using metal::sincos; using metal::sinh; using metal::sinpi; using metal::smoothstep; using metal::sqrt; using metal::step;   \
    using metal::tan; using metal::tanh; using metal::tanpi; using metal::trunc; using metal::normalize; using metal::length;
namespace precise { SM_VARIANTS }
namespace fast { SM_VARIANTS }
#undef SM_VARIANTS
} // namespace metal
