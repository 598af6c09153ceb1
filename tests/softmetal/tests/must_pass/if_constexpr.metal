#include <metal_stdlib>
using namespace metal;

template <typename T> T f(T x) {
    if constexpr (sizeof(T) == 2) return x;
    else return x + x;
}

kernel void k(device float* out [[buffer(0)]], uint i [[thread_position_in_grid]]) {
    out[i] = f(1.0f);
}
