// The limits: a kernel that reads its inputs once and writes its output once cannot be faster.
//
//     limit_seconds(inputs, way, threads, out, a, b, bytes, number)
//
// runs `number` passes and returns their time. One input: out = a. Two inputs: out = a ^ b, which
// costs nothing beside the memory traffic and can be checked bit by bit. `way` chooses the stores.
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <thread>
#include <vector>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace {

enum Way { memory_copy = 0, ordinary = 1, non_temporal = 2 };

template <bool two> void plain(char *out, const char *a, const char *b, int64_t n) {
    int64_t i = 0;
    for (; i + 8 <= n; i += 8) {
        uint64_t u, v;
        std::memcpy(&u, a + i, 8);
        if (two) {
            std::memcpy(&v, b + i, 8);
            u ^= v;
        }
        std::memcpy(out + i, &u, 8);
    }
    for (; i < n; ++i) out[i] = two ? char(a[i] ^ b[i]) : a[i];
}

#if defined(__x86_64__)
template <bool two, bool stream>
__attribute__((target("avx512f"))) int64_t wide512(char *out, const char *a, const char *b, int64_t n) {
    int64_t i = 0;
    for (; i + 256 <= n; i += 256)
        for (int64_t j = i; j < i + 256; j += 64) {
            __m512i v = _mm512_loadu_si512(a + j);
            if (two) v = _mm512_xor_si512(v, _mm512_loadu_si512(b + j));
            if (stream)
                _mm512_stream_si512((__m512i *)(out + j), v);
            else
                _mm512_store_si512(out + j, v);
        }
    if (stream) _mm_sfence();
    return i;
}

template <bool two, bool stream>
__attribute__((target("avx2"))) int64_t wide256(char *out, const char *a, const char *b, int64_t n) {
    int64_t i = 0;
    for (; i + 128 <= n; i += 128)
        for (int64_t j = i; j < i + 128; j += 32) {
            __m256i v = _mm256_loadu_si256((const __m256i *)(a + j));
            if (two) v = _mm256_xor_si256(v, _mm256_loadu_si256((const __m256i *)(b + j)));
            if (stream)
                _mm256_stream_si256((__m256i *)(out + j), v);
            else
                _mm256_store_si256((__m256i *)(out + j), v);
        }
    if (stream) _mm_sfence();
    return i;
}

template <bool two, bool stream> int64_t wide(char *out, const char *a, const char *b, int64_t n) {
    if (__builtin_cpu_supports("avx512f")) return wide512<two, stream>(out, a, b, n);
    if (__builtin_cpu_supports("avx2")) return wide256<two, stream>(out, a, b, n);
    return 0;
}
#else
template <bool two, bool stream> int64_t wide(char *, const char *, const char *, int64_t) { return 0; }
#endif

template <bool two> void pass(int way, char *out, const char *a, const char *b, int64_t n) {
    if (!two && way == memory_copy) {
        std::memcpy(out, a, size_t(n));
        return;
    }
    const int64_t head = int64_t(-uintptr_t(out) & 63); // aligned stores
    const int64_t first = head < n ? head : n;
    plain<two>(out, a, b, first);
    out += first, a += first, b += two ? first : 0, n -= first;
    const int64_t done = way == non_temporal ? wide<two, true>(out, a, b, n) : wide<two, false>(out, a, b, n);
    plain<two>(out + done, a + done, two ? b + done : b, n - done);
}

} // namespace

extern "C" double limit_seconds(int inputs, int way, int threads, char *out, const char *a, const char *b,
                                int64_t bytes, int64_t number) {
    // Threads live for this call only: a helper that waits by spinning would disturb the next contender.
    std::atomic<int64_t> started{0}, finished{0};
    auto part = [&](int t) {
        const int64_t from = bytes * t / threads / 64 * 64, to = t + 1 == threads ? bytes : bytes * (t + 1) / threads / 64 * 64;
        if (inputs == 2)
            pass<true>(way, out + from, a + from, b + from, to - from);
        else
            pass<false>(way, out + from, a + from, nullptr, to - from);
    };
    std::vector<std::thread> helpers;
    for (int t = 1; t < threads; ++t)
        helpers.emplace_back([&, t] {
            for (int64_t i = 1; i <= number; ++i) {
                while (started.load(std::memory_order_acquire) < i) {}
                part(t);
                finished.fetch_add(1, std::memory_order_acq_rel);
            }
        });
    const auto begin = std::chrono::steady_clock::now();
    for (int64_t i = 1; i <= number; ++i) {
        started.store(i, std::memory_order_release);
        part(0);
        while (finished.load(std::memory_order_acquire) < i * (threads - 1)) {}
        __asm__ volatile("" ::: "memory");
    }
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    for (std::thread &helper : helpers) helper.join();
    return seconds;
}
