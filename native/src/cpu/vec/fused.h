// a * b + c rounded once, on processors without the instruction: the scalar target has the bits of the others.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>

#include "inline.h"

namespace sn {
namespace cpu {
namespace scalar {
namespace {

#if defined(__FP_FAST_FMA) && defined(__FP_FAST_FMAF)
SN_INLINE double fused(double a, double b, double c) { return __builtin_fma(a, b, c); }
SN_INLINE float fused(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
#else

SN_INLINE uint64_t bits_of(double x) {
    uint64_t bits;
    std::memcpy(&bits, &x, sizeof bits);
    return bits;
}

// The sum of two doubles and what rounding took from it (Knuth's TwoSum).
struct Sum {
    double value, rest;
};
SN_INLINE Sum sum_with_rest(double a, double b) {
    const double value = a + b, part = value - a;
    return {value, (a - (value - part)) + (b - part)};
}

// a + b rounded to odd (rarely needed, so not inlined): an inexact sum keeps a last bit of 1, so that a later rounding
// to fewer bits, or of a sum with a much greater number, is as of the exact value (Boldo and Melquiond, Emulation of a
// FMA and correctly rounded sums, IEEE Transactions on Computers 57(4), 2008).
__attribute__((noinline, unused)) double add_to_odd(double a, double b) {
    const Sum sum = sum_with_rest(a, b);
    uint64_t bits = bits_of(sum.value);
    if (sum.rest != 0 && !(bits & 1)) { // never for nan or infinity: then rest is nan, and see fused()
        bits += (sum.rest > 0) == (sum.value > 0) ? 1 : uint64_t(-1);
        double odd;
        std::memcpy(&odd, &bits, sizeof odd);
        return odd;
    }
    return sum.value;
}

// The product of two floats is exact in double.
SN_INLINE float fused(float a, float b, float c) {
    const double product = double(a) * b, plain = product + c;
    const uint64_t bits = bits_of(plain), magnitude = bits << 1;
    const bool normal = magnitude >= uint64_t(1023 - 126) << 53, finite = magnitude < uint64_t(0x7ff) << 53;
    const bool half_way = (bits & 0x1fffffff) == 0x10000000; // between floats: elsewhere two roundings are as one
    return finite && (half_way || !normal) ? float(add_to_odd(product, c)) : float(plain);
}

// Veltkamp's and Dekker's exact product, then the sum of three numbers rounded once (Boldo and Melquiond, as above).
// Numbers for which a step could overflow or lose bits below the least normal number go to the library's function.
__attribute__((noinline, unused)) double fused(double a, double b, double c) { // not inlined: it is long
    const auto exponent = [](double x) { return int(bits_of(x) >> 52 & 0x7ff) - 1023; };
    const auto moderate = [&](double x) { return exponent(x) > -900 && exponent(x) < 900; };
    const int of_product = exponent(a) + exponent(b);
    const bool safe = moderate(a) && moderate(b) && of_product > -800 && of_product < 900 && (moderate(c) || c == 0);
    if (!safe) return std::fma(a, b, c);
    const auto high_half = [](double x) {
        const double scaled = x * 134217729.0; // 2^27 + 1
        return scaled - (scaled - x);
    };
    const double a_high = high_half(a), b_high = high_half(b), a_low = a - a_high, b_low = b - b_high;
    const double product = a * b;
    const double rest = a_low * b_low - (((product - a_high * b_high) - a_low * b_high) - a_high * b_low);
    const Sum low = sum_with_rest(c, rest), high = sum_with_rest(product, low.value);
    return high.value + add_to_odd(low.rest, high.rest);
}
#endif

} // namespace
} // namespace scalar
} // namespace cpu
} // namespace sn
