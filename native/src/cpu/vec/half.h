// 16-bit floating point, one value at a time: for targets and tails without the instructions.
#pragma once
#include "inline.h"
#include <cstring>

namespace sn {
namespace cpu {
namespace {

SN_INLINE float bits_to_float(uint32_t b) {
    float f;
    std::memcpy(&f, &b, 4);
    return f;
}
SN_INLINE uint32_t float_to_bits(float f) {
    uint32_t b;
    std::memcpy(&b, &f, 4);
    return b;
}

SN_INLINE float float_from_f16(uint16_t h) {
    const uint32_t sign = uint32_t(h & 0x8000) << 16, rest = uint32_t(h & 0x7fff) << 13;
    if (rest >= 0x0f800000) { // inf, nan (made quiet, as the instructions do)
        const uint32_t quiet = rest > 0x0f800000 ? 0x00400000 : 0;
        return bits_to_float(sign | (rest + 0x70000000) | quiet);
    }
    if (rest >= 0x00800000) return bits_to_float(sign | (rest + 0x38000000));
    return bits_to_float(sign | float_to_bits(bits_to_float(rest + 0x38800000) - bits_to_float(0x38800000)));
}

// Rounds to nearest, ties to even.
SN_INLINE uint16_t f16_from_float(float f) {
    const uint32_t b = float_to_bits(f), sign = (b >> 16) & 0x8000, a = b & 0x7fffffff;
    if (a > 0x7f800000) return uint16_t(sign | 0x7e00 | ((a >> 13) & 0x1ff));
    if (a >= 0x477ff000) return uint16_t(sign | 0x7c00);
    if (a < 0x38800000) // subnormal: the addition rounds
        return uint16_t(sign | (float_to_bits(bits_to_float(a) + bits_to_float(0x3f000000)) - 0x3f000000));
    return uint16_t(sign | ((a - 0x38000000 + 0xfff + ((a >> 13) & 1)) >> 13));
}

SN_INLINE float float_from_bf16(uint16_t h) { return bits_to_float(uint32_t(h) << 16); }

SN_INLINE uint16_t bf16_from_float(float f) {
    const uint32_t b = float_to_bits(f);
    if ((b & 0x7fffffff) > 0x7f800000) return uint16_t((b >> 16) | 0x40);
    return uint16_t((b + 0x7fff + ((b >> 16) & 1)) >> 16);
}

} // namespace
} // namespace cpu
} // namespace sn
