// error: Threadgroup memory size \(65536\) exceeds the maximum threadgroup memory allowed \(32768\)
#include <metal_stdlib>
using namespace metal;

kernel void k(device float* out [[buffer(0)]], uint i [[thread_position_in_threadgroup]]) {
    threadgroup float t[16384];
    t[i] = 1;
    out[i] = t[i];
}
