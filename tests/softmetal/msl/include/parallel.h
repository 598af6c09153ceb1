// clang-format off: the macro tables below are read by column
// Barriers, SIMD-group functions and atomics.
#pragma once
#include "../../exec/kernel_abi.h"
#include "math.h"

// What follows touches the emulator's own memory, which checked mode does not watch.
#pragma clang attribute push(__attribute__((no_sanitize("thread"))), apply_to = function)
#define SM_LINE int line = __builtin_LINE()

namespace metal {
enum class mem_flags { mem_none = 0, mem_device = 1, mem_threadgroup = 2, mem_texture = 4 };
constexpr mem_flags operator|(mem_flags a, mem_flags b) { return (mem_flags)((int)a | (int)b); }
inline void threadgroup_barrier(mem_flags f, SM_LINE) { sm_threadgroup_barrier((unsigned)f, line); }
inline void simdgroup_barrier(mem_flags f, SM_LINE) { sm_simdgroup_barrier((unsigned)f, line); }
} // namespace metal

namespace sm {
template <class T> struct Lanes {  // every lane's value
    const char* slots;
    inline T operator[](unsigned i) const {
        T v;
        __builtin_memcpy(&v, slots + i * SM_SLOT_BYTES, sizeof(T));
        return v;
    }
};
template <class T> inline Lanes<T> exchange(T v, int line) {
    static_assert(sizeof(T) <= SM_SLOT_BYTES, "a SIMD-group function takes at most 16 bytes");
    return {(const char*)sm_simd_exchange(&v, sizeof(T), line)};
}
template <class T, class F> inline T reduce(T v, unsigned begin, unsigned end, int line, F combine) {
    auto lanes = exchange(v, line);
    if (end > sm_simd_lanes()) end = sm_simd_lanes();
    T r = lanes[begin];
    for (unsigned i = begin + 1; i < end; i++) r = combine(r, lanes[i]);
    return r;
}
// A lane that does not exist gives an undefined value; here, the caller's own.
template <class T> inline T lane_value(T v, unsigned lane, int line) {
    auto lanes = exchange(v, line);
    return lane < sm_simd_lanes() ? lanes[lane] : v;
}
struct Add { template <class T> T operator()(T a, T b) const { return a + b; } };
struct Multiply { template <class T> T operator()(T a, T b) const { return a * b; } };
struct Least { template <class T> T operator()(T a, T b) const { return metal::min(a, b); } };
struct Greatest { template <class T> T operator()(T a, T b) const { return metal::max(a, b); } };
struct And { template <class T> T operator()(T a, T b) const { return a & b; } };
struct Or { template <class T> T operator()(T a, T b) const { return a | b; } };
struct Xor { template <class T> T operator()(T a, T b) const { return a ^ b; } };
} // namespace sm

namespace metal {
#define SM_REDUCTION(name, combine)                                                                                                                           \
    template <class T> inline T simd_##name(T v, SM_LINE) { return sm::reduce(v, 0, ~0u, line, sm::combine()); }                                              \
    template <class T> inline T quad_##name(T v, SM_LINE) {                                                                                                   \
        unsigned first = sm_simd_lane() & ~3u;                                                                                                                \
        return sm::reduce(v, first, first + 4, line, sm::combine());                                                                                          \
    }
SM_REDUCTION(sum, Add) SM_REDUCTION(product, Multiply) SM_REDUCTION(min, Least) SM_REDUCTION(max, Greatest)
SM_REDUCTION(and, And) SM_REDUCTION(or, Or) SM_REDUCTION(xor, Xor)
#undef SM_REDUCTION
template <class T> inline T simd_prefix_inclusive_sum(T v, SM_LINE) { return sm::reduce(v, 0, sm_simd_lane() + 1, line, sm::Add()); }
template <class T> inline T simd_prefix_inclusive_product(T v, SM_LINE) { return sm::reduce(v, 0, sm_simd_lane() + 1, line, sm::Multiply()); }
template <class T> inline T simd_prefix_exclusive_sum(T v, SM_LINE) {
    T r = sm::reduce(v, 0, sm_simd_lane(), line, sm::Add());
    return sm_simd_lane() ? r : (T)0;
}
template <class T> inline T simd_prefix_exclusive_product(T v, SM_LINE) {
    T r = sm::reduce(v, 0, sm_simd_lane(), line, sm::Multiply());
    return sm_simd_lane() ? r : (T)1;
}
template <class T> inline T simd_shuffle(T v, ushort lane, SM_LINE) { return sm::lane_value(v, lane, line); }
template <class T> inline T simd_shuffle_down(T v, ushort d, SM_LINE) { return sm::lane_value(v, sm_simd_lane() + d, line); }
template <class T> inline T simd_shuffle_up(T v, ushort d, SM_LINE) { return sm::lane_value(v, sm_simd_lane() - d, line); }
template <class T> inline T simd_shuffle_xor(T v, ushort mask, SM_LINE) { return sm::lane_value(v, sm_simd_lane() ^ mask, line); }
template <class T> inline T simd_shuffle_rotate_down(T v, ushort d, SM_LINE) { return sm::lane_value(v, (sm_simd_lane() + d) % sm_simd_lanes(), line); }
template <class T> inline T simd_shuffle_rotate_up(T v, ushort d, SM_LINE) {
    return sm::lane_value(v, (sm_simd_lane() + sm_simd_lanes() - d % sm_simd_lanes()) % sm_simd_lanes(), line);
}
template <class T> inline T simd_shuffle_and_fill_down(T v, T fill, ushort d, SM_LINE) {
    unsigned lane = sm_simd_lane() + d, lanes = sm_simd_lanes();
    auto values = sm::exchange(v, line), fills = sm::exchange(fill, line + 0);
    return lane < lanes ? values[lane] : fills[(lane - lanes) % lanes];
}
template <class T> inline T simd_broadcast(T v, ushort lane, SM_LINE) { return sm::lane_value(v, lane, line); }
template <class T> inline T simd_broadcast_first(T v, SM_LINE) { return sm::lane_value(v, 0, line); }
template <class T> inline T quad_broadcast(T v, ushort lane, SM_LINE) { return sm::lane_value(v, (sm_simd_lane() & ~3u) + lane % 4, line); }
template <class T> inline T quad_shuffle(T v, ushort lane, SM_LINE) { return sm::lane_value(v, (sm_simd_lane() & ~3u) + lane % 4, line); }
template <class T> inline T quad_shuffle_xor(T v, ushort mask, SM_LINE) { return sm::lane_value(v, sm_simd_lane() ^ (mask & 3), line); }
inline bool simd_all(bool b, SM_LINE) { return sm::reduce((uint)b, 0, ~0u, line, sm::And()) != 0; }
inline bool simd_any(bool b, SM_LINE) { return sm::reduce((uint)b, 0, ~0u, line, sm::Or()) != 0; }
inline bool simd_is_first() { return sm_simd_lane() == 0; }
struct simd_vote {
    typedef ulong vote_t;
    vote_t bits;
    explicit constexpr simd_vote(vote_t v = 0) : bits(v) {}
    explicit constexpr operator vote_t() const { return bits; }
    inline bool all() const { return bits == (~0ul >> (64 - sm_simd_lanes())); }
    constexpr bool any() const { return bits != 0; }
};
inline simd_vote simd_ballot(bool b, SM_LINE) {
    return simd_vote(sm::reduce((ulong)b << sm_simd_lane(), 0, ~0u, line, sm::Or()));
}
inline simd_vote simd_active_threads_mask(SM_LINE) { return simd_ballot(true, line); }

// Atomics. One thread runs at a time, so plain operations are atomic; only the bounds are checked.
enum memory_order { memory_order_relaxed };
template <class T> struct atomic {
    static_assert(is_same<T, int>::value || is_same<T, uint>::value || is_same<T, float>::value || is_same<T, bool>::value || is_same<T, ulong>::value,
                  "atomic takes int, uint, float, bool or ulong");
    T value;
};
typedef atomic<int> atomic_int;
typedef atomic<uint> atomic_uint;
typedef atomic<float> atomic_float;
typedef atomic<bool> atomic_bool;
typedef atomic<ulong> atomic_ulong;
} // namespace metal

namespace sm {
template <class T> inline T* atomic_cell(const volatile void* p, int write, int line) {
    sm_atomic_access(p, sizeof(T), write, line);
    return (T*)p;
}
template <class T> struct same_type { typedef T type; };  // takes part in no deduction
} // namespace sm

// Atomics live in device or threadgroup memory, and nowhere else.
#define SM_ATOMICS(space)                                                                                                                                     \
    template <class T> inline T atomic_load_explicit(volatile const space atomic<T>* a, memory_order, SM_LINE) {                                              \
        return *sm::atomic_cell<T>((const volatile void*)a, 0, line);                                                                                         \
    }                                                                                                                                                         \
    template <class T> inline void atomic_store_explicit(volatile space atomic<T>* a, typename sm::same_type<T>::type v, memory_order, SM_LINE) {             \
        *sm::atomic_cell<T>((volatile void*)a, 1, line) = v;                                                                                                  \
    }                                                                                                                                                         \
    template <class T> inline T atomic_exchange_explicit(volatile space atomic<T>* a, typename sm::same_type<T>::type v, memory_order, SM_LINE) {             \
        T* p = sm::atomic_cell<T>((volatile void*)a, 1, line);                                                                                                \
        T old = *p;                                                                                                                                           \
        *p = v;                                                                                                                                               \
        return old;                                                                                                                                           \
    }                                                                                                                                                         \
    template <class T> inline bool atomic_compare_exchange_weak_explicit(volatile space atomic<T>* a, thread T* expected,                                     \
                                                                         typename sm::same_type<T>::type v, memory_order, memory_order, SM_LINE) {            \
        T* p = sm::atomic_cell<T>((volatile void*)a, 1, line);                                                                                                \
        bool equal = !__builtin_memcmp(p, expected, sizeof(T));                                                                                               \
        if (equal) *p = v;                                                                                                                                    \
        else *expected = *p;                                                                                                                                  \
        return equal;                                                                                                                                         \
    }                                                                                                                                                         \
    SM_FETCH(space, add, old + v) SM_FETCH(space, sub, old - v) SM_FETCH(space, min, v < old ? v : old)                                                       \
    SM_FETCH(space, max, v > old ? v : old) SM_FETCH(space, and, old & v) SM_FETCH(space, or, old | v) SM_FETCH(space, xor, old ^ v)
#define SM_FETCH(space, name, e)                                                                                                                              \
    template <class T> inline T atomic_fetch_##name##_explicit(volatile space atomic<T>* a, typename sm::same_type<T>::type v, memory_order, SM_LINE) {       \
        T* p = sm::atomic_cell<T>((volatile void*)a, 1, line);                                                                                                \
        T old = *p;                                                                                                                                           \
        *p = (T)(e);                                                                                                                                          \
        return old;                                                                                                                                           \
    }
namespace metal {
#ifdef SM_CHECK
SM_ATOMICS(device)
SM_ATOMICS(threadgroup)
#else
SM_ATOMICS()
#endif
} // namespace metal
#undef SM_ATOMICS
#undef SM_FETCH
#undef SM_LINE

using metal::atomic_bool;
using metal::atomic_float;
using metal::atomic_int;
using metal::atomic_uint;
using metal::atomic_ulong;
#pragma clang attribute pop
