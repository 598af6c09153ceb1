#include <metal_stdlib>
using namespace metal;

float f(device const float* p) { return p[0]; }
float f(threadgroup const float* p) { return p[0]; }

kernel void k(device float* out [[buffer(0)]], uint i [[thread_position_in_grid]]) {
    threadgroup float t[4];
    t[i % 4] = 1;
    threadgroup_barrier(mem_flags::mem_threadgroup);
    out[i] = f(t) + f(out);
}
