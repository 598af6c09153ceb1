// error: no matching function for call to 'atomic_fetch_add_explicit'
#include <metal_stdlib>
using namespace metal;

kernel void k(device float* out [[buffer(0)]], uint i [[thread_position_in_grid]]) {
    atomic_uint a;
    out[i] = float(atomic_fetch_add_explicit(&a, 1u, memory_order_relaxed));
}
