// clang-format off: the macro tables below are read by column
// Words, types and constants of the language itself.
#pragma once

// SM_CHECK: address spaces are real. Otherwise they are erased, for code that clang cannot generate with them.
#ifdef SM_CHECK
#define device __attribute__((address_space(1)))
#define constant const __attribute__((address_space(2)))
#define threadgroup __attribute__((address_space(3)))
#else
#define device
#define constant const
#define threadgroup
#endif
#define thread
#define kernel static
#define METAL_FUNC inline __attribute__((__always_inline__))

typedef unsigned char uchar;
typedef unsigned short ushort;
typedef unsigned int uint;
typedef unsigned long ulong;
typedef signed char int8_t;
typedef uchar uint8_t;
typedef short int16_t;
typedef ushort uint16_t;
typedef int int32_t;
typedef uint uint32_t;
typedef long int64_t;
typedef ulong uint64_t;
typedef unsigned long size_t;
typedef long ptrdiff_t;
typedef ulong uintptr_t;
typedef long intptr_t;

typedef _Float16 half;
constexpr half operator""h(long double x) { return (half)x; }
constexpr half operator""H(long double x) { return (half)x; }
#if __METAL_VERSION__ >= 310
typedef __bf16 bfloat;
#endif

#define FLT_MAX __FLT_MAX__
#define FLT_MIN __FLT_MIN__
#define FLT_EPSILON __FLT_EPSILON__
#define FLT_DIG __FLT_DIG__
#define FLT_MANT_DIG __FLT_MANT_DIG__
#define HALF_MAX ((half)65504.0f)
#define HALF_MIN ((half)6.103515625e-05f)
#define HALF_EPSILON ((half)0.0009765625f)
#define INFINITY __builtin_inff()
#define HUGE_VALF __builtin_inff()
#define MAXFLOAT __FLT_MAX__
#define NAN __builtin_nanf("")
#define INT_MAX __INT_MAX__
#define INT_MIN (-__INT_MAX__ - 1)
#define UINT_MAX (__INT_MAX__ * 2u + 1u)
#define USHRT_MAX ((ushort)0xFFFF)
#define UCHAR_MAX ((uchar)0xFF)
#define M_E_F 2.71828182845904523536f
#define M_LOG2E_F 1.44269504088896340736f
#define M_LOG10E_F 0.43429448190325182765f
#define M_LN2_F 0.69314718055994530942f
#define M_LN10_F 2.30258509299404568402f
#define M_PI_F 3.14159265358979323846f
#define M_PI_2_F 1.57079632679489661923f
#define M_PI_4_F 0.78539816339744830962f
#define M_1_PI_F 0.31830988618379067154f
#define M_2_PI_F 0.63661977236758134308f
#define M_SQRT2_F 1.41421356237309504880f
#define M_SQRT1_2_F 0.70710678118654752440f

// A part of <metal_type_traits>, and std-like helpers that MSL has in namespace metal.
namespace metal {
template <class T, T v> struct integral_constant {
    static constexpr T value = v;
    typedef T value_type;
    typedef integral_constant type;
    constexpr operator T() const { return v; }
};
typedef integral_constant<bool, true> true_type;
typedef integral_constant<bool, false> false_type;
template <class A, class B> struct is_same : false_type {};
template <class A> struct is_same<A, A> : true_type {};
template <class A, class B> constexpr bool is_same_v = is_same<A, B>::value;
template <bool B, class T = void> struct enable_if {};
template <class T> struct enable_if<true, T> { typedef T type; };
template <bool B, class T = void> using enable_if_t = typename enable_if<B, T>::type;
template <bool B, class T, class F> struct conditional { typedef T type; };
template <class T, class F> struct conditional<false, T, F> { typedef F type; };
template <bool B, class T, class F> using conditional_t = typename conditional<B, T, F>::type;
template <class T> struct remove_reference { typedef T type; };
template <class T> struct remove_reference<T&> { typedef T type; };
template <class T> using remove_reference_t = typename remove_reference<T>::type;
template <class T> struct remove_const { typedef T type; };
template <class T> struct remove_const<const T> { typedef T type; };
template <class T> struct remove_volatile { typedef T type; };
template <class T> struct remove_volatile<volatile T> { typedef T type; };
template <class T> using remove_cv_t = typename remove_volatile<typename remove_const<T>::type>::type;
template <class T> struct is_integral : integral_constant<bool, __is_integral(T)> {};
template <class T> struct is_floating_point : integral_constant<bool, __is_floating_point(T) || is_same<T, half>::value> {};
template <class T> constexpr bool is_integral_v = is_integral<T>::value;
template <class T> constexpr bool is_floating_point_v = is_floating_point<T>::value;

template <class T> struct numeric_limits;
#define SM_LIMITS(T, lowest_, min_, max_, epsilon_, inf_, nan_)      \
    template <> struct numeric_limits<T> {                           \
        static constexpr T lowest() { return (T)(lowest_); }         \
        static constexpr T min() { return (T)(min_); }               \
        static constexpr T max() { return (T)(max_); }               \
        static constexpr T epsilon() { return (T)(epsilon_); }       \
        static constexpr T infinity() { return (T)(inf_); }          \
        static constexpr T quiet_NaN() { return (T)(nan_); }         \
        static constexpr T denorm_min() { return (T)(epsilon_) * (T)(min_); } \
    };
SM_LIMITS(float, -FLT_MAX, FLT_MIN, FLT_MAX, FLT_EPSILON, INFINITY, NAN)
SM_LIMITS(half, -65504.0f, 6.103515625e-05f, 65504.0f, 0.0009765625f, INFINITY, NAN)
#if __METAL_VERSION__ >= 310
SM_LIMITS(bfloat, -3.38953139e38f, FLT_MIN, 3.38953139e38f, 0.0078125f, INFINITY, NAN)
#endif
SM_LIMITS(int, INT_MIN, INT_MIN, INT_MAX, 0, 0, 0)
SM_LIMITS(uint, 0, 0, UINT_MAX, 0, 0, 0)
SM_LIMITS(short, -32768, -32768, 32767, 0, 0, 0)
SM_LIMITS(ushort, 0, 0, 65535, 0, 0, 0)
SM_LIMITS(char, -128, -128, 127, 0, 0, 0)
SM_LIMITS(uchar, 0, 0, 255, 0, 0, 0)
#undef SM_LIMITS
} // namespace metal
