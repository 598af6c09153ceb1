// error: pointer type must have explicit address space qualifier
#include <metal_stdlib>
using namespace metal;

template <typename T> T f(const T* p) { return p[0]; }

kernel void k(device float* out [[buffer(0)]], uint i [[thread_position_in_grid]]) {
    float x = 1;
    out[i] = f(&x);
}
