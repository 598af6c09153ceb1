// Plain loops, which the compiler vectorizes; those on float16 use the processor's conversions where it has them.
#include "elementwise_rows.h"
#include "dispatch.h"
#include "error.h"
#include "vec/half.h"
#include <cstddef>
#include <cstring>
#include <type_traits>
#if defined(__x86_64__)
#  include <immintrin.h>
#endif

namespace sn {
namespace cpu {
namespace {

struct Half {
    uint16_t bits;
};
struct Bfloat {
    uint16_t bits;
};

float widen(Half h) { return float_from_f16(h.bits); }
float widen(Bfloat h) { return float_from_bf16(h.bits); }
float widen(float f) { return f; }
double widen(double d) { return d; }

// What lies strictly between two floats becomes the one whose last bit is 1: then a second rounding, to a shorter
// type, gives what one rounding would.
float to_odd(double d) {
    const float f = float(d);
    const double back = double(f);
    if (back == d || d != d) return f;
    uint32_t bits = float_to_bits(f);
    if ((d < 0 ? -back : back) > (d < 0 ? -d : d)) --bits; // to the neighbour towards zero
    return bits_to_float(bits | 1);
}

void narrow(float f, Half &to) { to.bits = f16_from_float(f); }
void narrow(float f, Bfloat &to) { to.bits = bf16_from_float(f); }
void narrow(float f, float &to) { to = f; }
void narrow(float f, double &to) { to = double(f); }
void narrow(double d, Half &to) { narrow(to_odd(d), to); }
void narrow(double d, Bfloat &to) { narrow(to_odd(d), to); }
void narrow(double d, float &to) { to = float(d); }
void narrow(double d, double &to) { to = d; }

template <class T> T load(const char *from) {
    T value;
    std::memcpy(&value, from, sizeof value);
    return value;
}

// Iterations are independent, also where the output is an input: each reads its elements before it writes.
#if defined(__clang__)
#  define SN_INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#else
#  define SN_INDEPENDENT _Pragma("GCC ivdep")
#endif

template <class T, bool contiguous> void add_row(const Row &row) {
    // Copies: the compiler must not think that a store changes the row.
    const char *const a = row.in[0], *const b = row.in[1];
    char *const out = row.out;
    const int64_t n = row.n, a_step = contiguous ? sizeof(T) : row.in_stride[0];
    const int64_t b_step = contiguous ? sizeof(T) : row.in_stride[1], step = contiguous ? sizeof(T) : row.out_stride;
    SN_INDEPENDENT
    for (int64_t i = 0; i < n; ++i) {
        T sum;
        narrow(widen(load<T>(a + i * a_step)) + widen(load<T>(b + i * b_step)), sum);
        std::memcpy(out + i * step, &sum, sizeof sum);
    }
}

template <class From, class To, bool contiguous> void convert_row(const Row &row) {
    const char *const in = row.in[0];
    char *const out = row.out;
    const int64_t n = row.n, in_step = contiguous ? sizeof(From) : row.in_stride[0];
    const int64_t out_step = contiguous ? sizeof(To) : row.out_stride;
    if constexpr (std::is_same_v<From, To> && contiguous) {
        std::memmove(out, in, size_t(n) * sizeof(To));
        return;
    }
    SN_INDEPENDENT
    for (int64_t i = 0; i < n; ++i) {
        To value;
        if constexpr (std::is_same_v<From, To>) value = load<From>(in + i * in_step);
        else narrow(widen(load<From>(in + i * in_step)), value);
        std::memcpy(out + i * out_step, &value, sizeof value);
    }
}

template <class From, bool contiguous> RowLoop convert_from(sn_dtype to) {
    switch (to) {
    case SN_FLOAT16: return convert_row<From, Half, contiguous>;
    case SN_BFLOAT16: return convert_row<From, Bfloat, contiguous>;
    case SN_FLOAT32: return convert_row<From, float, contiguous>;
    case SN_FLOAT64: return convert_row<From, double, contiguous>;
    }
    fail(SN_INTERNAL_ERROR, "no CPU loop converts to dtype code %d", int(to));
}

template <bool contiguous> RowLoop convert_between(sn_dtype from, sn_dtype to) {
    switch (from) {
    case SN_FLOAT16: return convert_from<Half, contiguous>(to);
    case SN_BFLOAT16: return convert_from<Bfloat, contiguous>(to);
    case SN_FLOAT32: return convert_from<float, contiguous>(to);
    case SN_FLOAT64: return convert_from<double, contiguous>(to);
    }
    fail(SN_INTERNAL_ERROR, "no CPU loop converts from dtype code %d", int(from));
}

template <bool contiguous> RowLoop add_of(sn_dtype dtype) {
    switch (dtype) {
    case SN_FLOAT16: return add_row<Half, contiguous>;
    case SN_BFLOAT16: return add_row<Bfloat, contiguous>;
    case SN_FLOAT32: return add_row<float, contiguous>;
    case SN_FLOAT64: return add_row<double, contiguous>;
    }
    fail(SN_INTERNAL_ERROR, "no CPU loop adds dtype code %d", int(dtype));
}

#if defined(__x86_64__)
#  define SN_F16C __attribute__((target("avx,f16c")))

SN_F16C __m256 load_half(const char *from) {
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i *>(from)));
}
SN_F16C void store_half(char *to, __m256 values) {
    const __m128i rounded = _mm256_cvtps_ph(values, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    _mm_storeu_si128(reinterpret_cast<__m128i *>(to), rounded);
}

// The last elements, fewer than eight.
template <RowLoop loop> void finish(const Row &row, int64_t done, int64_t in_size, int64_t out_size) {
    Row rest = row;
    rest.in[0] += done * in_size;
    if (rest.in[1]) rest.in[1] += done * in_size;
    rest.out += done * out_size;
    rest.n -= done;
    loop(rest);
}

SN_F16C void add_halves(const Row &row) {
    int64_t i = 0;
    for (; i + 8 <= row.n; i += 8)
        store_half(row.out + 2 * i, _mm256_add_ps(load_half(row.in[0] + 2 * i), load_half(row.in[1] + 2 * i)));
    finish<add_row<Half, true>>(row, i, 2, 2);
}
SN_F16C void half_to_float(const Row &row) {
    int64_t i = 0;
    for (; i + 8 <= row.n; i += 8)
        _mm256_storeu_ps(reinterpret_cast<float *>(row.out + 4 * i), load_half(row.in[0] + 2 * i));
    finish<convert_row<Half, float, true>>(row, i, 2, 4);
}
SN_F16C void float_to_half(const Row &row) {
    int64_t i = 0;
    for (; i + 8 <= row.n; i += 8)
        store_half(row.out + 2 * i, _mm256_loadu_ps(reinterpret_cast<const float *>(row.in[0] + 4 * i)));
    finish<convert_row<float, Half, true>>(row, i, 4, 2);
}

bool has_f16c() { return std::strcmp(target().name, "scalar") != 0; } // all the other x86-64 targets have it
#endif

} // namespace

RowLoop add_loop(sn_dtype dtype, bool contiguous) {
#if defined(__x86_64__)
    if (contiguous && dtype == SN_FLOAT16 && has_f16c()) return add_halves;
#endif
    return contiguous ? add_of<true>(dtype) : add_of<false>(dtype);
}

RowLoop convert_loop(sn_dtype from, sn_dtype to, bool contiguous) {
#if defined(__x86_64__)
    if (contiguous && from == SN_FLOAT16 && to == SN_FLOAT32 && has_f16c()) return half_to_float;
    if (contiguous && from == SN_FLOAT32 && to == SN_FLOAT16 && has_f16c()) return float_to_half;
#endif
    return contiguous ? convert_between<true>(from, to) : convert_between<false>(from, to);
}

} // namespace cpu
} // namespace sn
