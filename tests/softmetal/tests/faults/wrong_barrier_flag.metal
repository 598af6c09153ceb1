// report: data race: read of offset \d+ in threadgroup memory 'tile' and a write by another thread with no barrier between
// mode: checked
#include <metal_stdlib>
using namespace metal;

kernel void k(device const float* in [[buffer(0)]], device float* out [[buffer(1)]], uint i [[thread_position_in_grid]],
              uint t [[thread_position_in_threadgroup]]) {
    threadgroup float tile[64];
    tile[t] = in[i];
    threadgroup_barrier(mem_flags::mem_device);
    out[i] = tile[63 - t];
}
