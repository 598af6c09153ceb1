#include <metal_stdlib>
using namespace metal;

template <typename T, int N> struct Ring {
    T items[N];
    void push(T x) {
        for (int j = N - 1; j > 0; j--) items[j] = items[j - 1];
        items[0] = x;
    }
    T sum() const {
        T s = 0;
        for (int j = 0; j < N; j++) s += items[j];
        return s;
    }
};

kernel void k(device float* out [[buffer(0)]], uint i [[thread_position_in_grid]]) {
    Ring<float, 3> ring = {{0, 0, 0}};
    ring.push(out[i]);
    out[i] = ring.sum();
}
