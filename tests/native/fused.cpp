// The scalar target's a * b + c, rounded once, against the C library's: random numbers, many of them with ties,
// cancellation, zeros, infinities and results that are not normal. Prints the first that differ.
#include <cmath>
#include <cstdio>
#include <random>

#include "cpu/vec/fused.h"

namespace {

template <class Real, class Bits> struct Numbers {
    std::mt19937_64 random{1};
    std::uniform_int_distribution<int> exponent;

    explicit Numbers(int spread) : exponent(-spread, spread) {}

    Real next() {
        Real x = Real(1) + Real(random() >> 11) / Real(1ull << 53);
        if (random() % 4 == 0) { // few bits: products that end half way
            Bits bits;
            std::memcpy(&bits, &x, sizeof bits);
            bits &= Bits(~Bits(0)) << (sizeof(Real) * 4 + random() % 8);
            std::memcpy(&x, &bits, sizeof bits);
        }
        x = std::ldexp(x, exponent(random));
        if (random() % 40 == 0) x = 0;
        if (random() % 300 == 0) x = Real(INFINITY);
        if (random() % 300 == 0) x = Real(NAN);
        return random() & 1 ? x : -x;
    }

    int differing(int count) {
        int wrong = 0;
        for (int i = 0; i < count; ++i) {
            const Real a = next(), b = next();
            Real c = next();
            if (random() % 3 == 0) c = -a * b;
            if (random() % 5 == 0) c = std::ldexp(a * b, int(random() % 120) - 60);
            const Real got = sn::cpu::scalar::fused(a, b, c), expected = std::fma(a, b, c);
            if (std::isnan(got) ? std::isnan(expected) : std::memcmp(&got, &expected, sizeof got) == 0) continue;
            if (wrong++ < 5)
                std::printf("%a %a %a: %a, not %a\n", double(a), double(b), double(c), double(got), double(expected));
        }
        return wrong;
    }
};

} // namespace

int main() {
    int wrong = 0;
    for (int spread : {10, 74, 140}) wrong += Numbers<float, uint32_t>(spread).differing(1000000);
    for (int spread : {20, 300, 500, 1000}) wrong += Numbers<double, uint64_t>(spread).differing(1000000);
    std::printf(wrong ? "%d differ\n" : "passed\n", wrong);
    return wrong ? 1 : 0;
}
