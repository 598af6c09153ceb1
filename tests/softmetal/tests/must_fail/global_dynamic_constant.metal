// error: program scope constructors are not supported in Metal
#include <metal_stdlib>
using namespace metal;

float slow(float x) { return x * 2; }
constant float b = slow(3.0);

kernel void k(device float* out [[buffer(0)]], uint i [[thread_position_in_grid]]) {
    out[i] = b;
}
