// report: out-of-bounds write, 0 bytes past the end of buffer 'out' \(index 1\)
// mode: checked
#include <metal_stdlib>
using namespace metal;

kernel void k(device const float* in [[buffer(0)]], device atomic_uint* out [[buffer(1)]], uint i [[thread_position_in_grid]]) {
    atomic_fetch_add_explicit(out + i + 1, uint(in[i]), memory_order_relaxed);
}
