// report: data race: (read|write) of offset 0 in buffer 'out' \(index 1\)
// mode: checked
#include <metal_stdlib>
using namespace metal;

kernel void k(device const float* in [[buffer(0)]], device atomic_uint* out [[buffer(1)]], uint i [[thread_position_in_grid]]) {
    atomic_fetch_add_explicit(out, 1u, memory_order_relaxed);
    device uint* plain = (device uint*)out;
    plain[0] = uint(in[i]);
}
