// report: data race: (read|write) of offset \d+ in threadgroup memory 'tile'.*thread with no barrier between at program_source:\d+|read of uninitialised threadgroup memory
// mode: checked
#include <metal_stdlib>
using namespace metal;

kernel void k(device const float* in [[buffer(0)]], device float* out [[buffer(1)]], uint i [[thread_position_in_grid]],
              uint t [[thread_position_in_threadgroup]]) {
    threadgroup float tile[64];
    tile[t] = in[i];
    out[i] = tile[63 - t];
}
