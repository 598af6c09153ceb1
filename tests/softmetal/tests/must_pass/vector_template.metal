#include <metal_stdlib>
using namespace metal;

template <typename T> vec<T, 4> f(T x) { return vec<T, 4>(x, x, x, x); }

kernel void k(device float4* out [[buffer(0)]], uint i [[thread_position_in_grid]]) {
    out[i] = f(1.0f);
}
