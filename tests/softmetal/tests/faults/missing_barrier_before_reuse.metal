// report: data race: write of offset \d+ in threadgroup memory 'tile' and a read by another thread with no barrier between at program_source:\d+|data race: read of offset
// mode: checked
#include <metal_stdlib>
using namespace metal;

kernel void k(device const float* in [[buffer(0)]], device float* out [[buffer(1)]], uint i [[thread_position_in_grid]],
              uint t [[thread_position_in_threadgroup]]) {
    threadgroup float tile[64];
    float sum = 0;
    for (uint r = 0; r < 3; r++) {
        tile[t] = in[i] + r;
        threadgroup_barrier(mem_flags::mem_threadgroup);
        sum += tile[(t + 1) % 64];
    }
    out[i] = sum;
}
