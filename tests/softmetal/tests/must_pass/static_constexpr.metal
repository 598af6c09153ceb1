#include <metal_stdlib>
using namespace metal;

struct Tile {
    static constexpr constant int SIZE = 8;
};

kernel void k(device float* out [[buffer(0)]], uint i [[thread_position_in_grid]]) {
    constexpr int twice = 2 * Tile::SIZE;
    float a[twice];
    for (int j = 0; j < twice; j++) a[j] = float(j);
    out[i] = a[i % 16];
}
