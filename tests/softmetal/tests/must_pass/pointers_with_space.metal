#include <metal_stdlib>
using namespace metal;

template <typename T> T load(device const T* p, thread const uint& at) { return p[at]; }
void swap(thread float& a, thread float& b) {
    float t = a;
    a = b;
    b = t;
}

kernel void k(device float* out [[buffer(0)]], uint i [[thread_position_in_grid]]) {
    float a = load(out, i), b = 2;
    swap(a, b);
    thread float* p = &a;
    device float* row = out + i;
    row[0] = *p + b;
}
