// error: invalid type 'uint2' for attribute 'thread_index_in_threadgroup'
#include <metal_stdlib>
using namespace metal;

kernel void k(device float* out [[buffer(0)]], uint2 i [[thread_index_in_threadgroup]]) {
    out[i.x] = 1;
}
