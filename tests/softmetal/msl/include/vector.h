// clang-format off: the macro tables below are read by column
// Vector types and their constructors.
#pragma once
#include "base.h"

namespace metal {
template <class T, int N> using vec = T __attribute__((ext_vector_type(N)));
}

namespace sm {
using metal::vec;

template <class T> struct arity { static constexpr int value = 1; };
template <class T, int N> struct arity<vec<T, N>> { static constexpr int value = N; };
template <class... A> struct total;
template <> struct total<> { static constexpr int value = 0; };
template <class H, class... R> struct total<H, R...> { static constexpr int value = arity<H>::value + total<R...>::value; };

template <class V, class E, class U> inline void put(V& v, int& i, U x) { v[i++] = (E)x; }
template <class V, class E, class U, int M> inline void put(V& v, int& i, vec<U, M> x) {
    for (int j = 0; j < M; j++) v[i++] = (E)x[j];
}

// From a mixture of scalars and vectors, or from one vector of another element type.
template <class V, class E, int N, bool all_scalars> struct build {
    template <class... A> static inline V make(A... a) {
        static_assert(total<A...>::value == N, "wrong number of components in a vector constructor");
        V r;
        int i = 0;
        int order[] = {(put<V, E>(r, i, a), 0)...};
        (void)order;
        return r;
    }
    template <class U> static inline V make(vec<U, N> u) { return __builtin_convertvector(u, V); }
};
// From scalars only: usable in constant expressions.
template <class V, class E, int N> struct build<V, E, N, true> {
    template <class... A> static constexpr V make(A... a) {
        static_assert(sizeof...(A) == N, "wrong number of components in a vector constructor");
        return V{(E)a...};
    }
    template <class U> static constexpr V make(U a) { return (V)(E)a; }
    static constexpr V make() { return (V)(E)0; }
};
template <class E, int N, class... A> constexpr inline vec<E, N> construct(A... a) {
    return build<vec<E, N>, E, N, total<A...>::value == sizeof...(A)>::make(a...);
}
} // namespace sm

#define SM_VECTORS(E)               \
    typedef metal::vec<E, 2> E##2;  \
    typedef metal::vec<E, 3> E##3;  \
    typedef metal::vec<E, 4> E##4;
SM_VECTORS(float)
SM_VECTORS(half)
SM_VECTORS(int)
SM_VECTORS(uint)
SM_VECTORS(short)
SM_VECTORS(ushort)
SM_VECTORS(char)
SM_VECTORS(uchar)
SM_VECTORS(long)
SM_VECTORS(ulong)
SM_VECTORS(bool)
#if __METAL_VERSION__ >= 310
SM_VECTORS(bfloat)
#endif
#undef SM_VECTORS

// Three elements without padding. Metal converts them by itself in any address space; here only by value.
#define SM_PACKED(E)                                                              \
    struct packed_##E##3 {                                                        \
        E x, y, z;                                                                \
        packed_##E##3() = default;                                                \
        packed_##E##3(E##3 v) : x(v.x), y(v.y), z(v.z) {}                         \
        operator E##3() const { return E##3{x, y, z}; }                           \
    };
SM_PACKED(float)
SM_PACKED(half)
SM_PACKED(int)
SM_PACKED(uint)
#undef SM_PACKED

template <class T, class U> inline T as_type(U u) {
    static_assert(sizeof(T) == sizeof(U), "as_type between types of different sizes");
    return __builtin_bit_cast(T, u);
}

// float4(a, b.xy, c) is a function-like macro, so that the name of the type itself stays usable.
#define float2(...) sm::construct<float, 2>(__VA_ARGS__)
#define float3(...) sm::construct<float, 3>(__VA_ARGS__)
#define float4(...) sm::construct<float, 4>(__VA_ARGS__)
#define half2(...) sm::construct<half, 2>(__VA_ARGS__)
#define half3(...) sm::construct<half, 3>(__VA_ARGS__)
#define half4(...) sm::construct<half, 4>(__VA_ARGS__)
#define bfloat2(...) sm::construct<bfloat, 2>(__VA_ARGS__)
#define bfloat3(...) sm::construct<bfloat, 3>(__VA_ARGS__)
#define bfloat4(...) sm::construct<bfloat, 4>(__VA_ARGS__)
#define int2(...) sm::construct<int, 2>(__VA_ARGS__)
#define int3(...) sm::construct<int, 3>(__VA_ARGS__)
#define int4(...) sm::construct<int, 4>(__VA_ARGS__)
#define uint2(...) sm::construct<uint, 2>(__VA_ARGS__)
#define uint3(...) sm::construct<uint, 3>(__VA_ARGS__)
#define uint4(...) sm::construct<uint, 4>(__VA_ARGS__)
#define short2(...) sm::construct<short, 2>(__VA_ARGS__)
#define short4(...) sm::construct<short, 4>(__VA_ARGS__)
#define ushort2(...) sm::construct<ushort, 2>(__VA_ARGS__)
#define ushort3(...) sm::construct<ushort, 3>(__VA_ARGS__)
#define ushort4(...) sm::construct<ushort, 4>(__VA_ARGS__)
#define uchar4(...) sm::construct<uchar, 4>(__VA_ARGS__)
#define bool2(...) sm::construct<bool, 2>(__VA_ARGS__)
#define bool3(...) sm::construct<bool, 3>(__VA_ARGS__)
#define bool4(...) sm::construct<bool, 4>(__VA_ARGS__)
