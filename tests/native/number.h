// Elements of the four dtypes as double, and their spacing.
#pragma once
#include "spatialnorm/spatialnorm.h"
#include <cmath>
#include <cstring>

struct Format {
    int precision; // bits of the significand, the leading one included
    int least;     // exponent of the smallest normal number
    double largest;
};

inline Format format_of(sn_dtype dtype) {
    switch (dtype) {
    case SN_FLOAT16: return {11, -14, 65504.0};
    case SN_BFLOAT16: return {8, -126, std::ldexp(255.0, 120)};
    case SN_FLOAT32: return {24, -126, std::ldexp(16777215.0, 104)};
    case SN_FLOAT64: break;
    }
    return {53, -1022, 1.7976931348623157e308};
}

inline double ulp(double value, const Format &format) {
    int exponent;
    std::frexp(value, &exponent); // value = m * 2^exponent, m in [1/2, 1)
    if (value == 0 || exponent - 1 < format.least) exponent = format.least + 1;
    return std::ldexp(1.0, exponent - format.precision);
}

inline double load(const uint8_t *p, sn_dtype dtype) {
    uint16_t half;
    uint32_t word;
    float single;
    double value;
    switch (dtype) {
    case SN_FLOAT16: {
        std::memcpy(&half, p, 2);
        const int exponent = half >> 10 & 31, fraction = half & 1023;
        value = exponent == 31 ? (fraction ? NAN : INFINITY)
                               : std::ldexp(exponent ? fraction + 1024.0 : fraction, (exponent ? exponent : 1) - 25);
        return half >> 15 ? -value : value;
    }
    case SN_BFLOAT16:
        std::memcpy(&half, p, 2);
        word = uint32_t(half) << 16;
        std::memcpy(&single, &word, 4);
        return single;
    case SN_FLOAT32: std::memcpy(&single, p, 4); return single;
    case SN_FLOAT64: break;
    }
    std::memcpy(&value, p, 8);
    return value;
}
