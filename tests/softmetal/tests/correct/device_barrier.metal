#include <metal_stdlib>
using namespace metal;

kernel void k(device const float* in [[buffer(0)]], device float* out [[buffer(1)]], uint i [[thread_position_in_grid]],
              uint t [[thread_position_in_threadgroup]]) {
    out[i] = in[i];
    threadgroup_barrier(mem_flags::mem_device);
    float x = out[i ^ 1];
    threadgroup_barrier(mem_flags::mem_device);
    out[i] = x;
}
