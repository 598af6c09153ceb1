#include <metal_stdlib>
using namespace metal;

kernel void k(device const float* in [[buffer(0)]], device atomic_uint* out [[buffer(1)]], uint i [[thread_position_in_grid]]) {
    atomic_fetch_add_explicit(out + i % 4, uint(in[i]), memory_order_relaxed);
}
