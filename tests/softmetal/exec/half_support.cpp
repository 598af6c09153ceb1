// Conversions that compiled kernels call and that Debian's libgcc 12 does not have.
#include <cstdint>
#include <cstring>

extern "C" {
// clang passes a bfloat in a vector register; so is a float, whose low half holds the bits.
float __truncsfbf2(float value) {
    uint32_t bits;
    memcpy(&bits, &value, 4);
    if ((bits & 0x7FFFFFFF) > 0x7F800000) bits |= 0x00400000; // keep a NaN a NaN
    else bits += 0x7FFF + (bits >> 16 & 1);                   // round to nearest, ties to even
    bits >>= 16;
    memcpy(&value, &bits, 4);
    return value;
}
}
