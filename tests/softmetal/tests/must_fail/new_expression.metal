// error: 'new' is not supported in Metal
#include <metal_stdlib>
using namespace metal;

kernel void k(device float* out [[buffer(0)]], uint i [[thread_position_in_grid]]) {
    thread float* p = new float[3];
    out[i] = p[0];
}
