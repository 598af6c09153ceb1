// What T^-exponent needs, made once for an exponent: kernels evaluate it with two table look-ups and a
// short polynomial (docs/math.md, "The power").
#pragma once
#include <cstdint>
#include <memory>

namespace sn {
namespace cpu {

template <class T> struct Bits;
template <> struct Bits<float> {
    using Int = int32_t;
    static constexpr int mantissa = 23, bias = 127;
};
template <> struct Bits<double> {
    using Int = int64_t;
    static constexpr int mantissa = 52, bias = 1023;
};

// T = 2^e * m, 1 <= m < 2; j = the first four bits of m - 1; s = m * segment[j] - 1, |s| <= 1/16. Then
// T^-b = exponent_power * segment_power[j] * (1 + s)^-b, (1 + s)^-b = 1 + s * q(s).
constexpr int max_terms = 16;

template <class T> struct PowerTable {
    using Int = typename Bits<T>::Int;
    alignas(64) T segment[16];        // about 1 / m, exact in 10 bits; segment[0] = 1
    alignas(64) T segment_power[16];  // segment^b
    alignas(64) T segment_error[16];  // what its rounding left out, as a fraction of it
    alignas(64) T exponent_power[32]; // 2^(-b e) at (e + bias) & 31, for e of the fast range
    alignas(64) T exponent_error[32]; // likewise
    alignas(64) T near_power[16];     // the first 16 of exponent_power, at (e + bias) & 15
    alignas(64) T segment_log[16];    // -ln(segment)
    alignas(64) T q[max_terms];       // zero beyond `terms`
    T log_q[max_terms];               // ln(1 + s) = s * log_q(s)
    T exp2_q[max_terms];              // 2^f, |f| <= 1/2
    T exponent_high, exponent_low;    // b, halved `squarings` times, in two parts
    Int least_bits, bound_bits;       // bits of the fast range's least T, and of the first T above it
    Int near_bits;                    // likewise, of the first T above those of near_power
    int terms;                        // of q: 4, 5, 6, 16 (float); 10, 12, 16 (double)
    bool careful;                     // so small an exponent that the tables' rounding is made good
    int squarings;                    // large exponents: the result's square root is computed, so many times
    bool fast;                        // there is a fast range, and no T >= floor lies below it: kernels check the
                                      // upper bound alone
    bool zero, odd, integer;          // what b is; decides T <= 0
};

// The table for T^-b where T is known to be at least `floor` (no promise if floor <= 0). Shared: plans of one
// exponent use one table.
template <class T> std::shared_ptr<const PowerTable<T>> power_table(double b, double floor);

} // namespace cpu
} // namespace sn
