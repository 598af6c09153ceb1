// error: unknown attribute 'max_threads' on a kernel
#include <metal_stdlib>
using namespace metal;

[[max_threads(64)]] kernel void k(device float* out [[buffer(0)]], uint i [[thread_position_in_grid]]) {
    out[i] = 1;
}
