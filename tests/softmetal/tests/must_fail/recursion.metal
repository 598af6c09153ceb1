// error: recursive call of 'f\(unsigned int\)' is not supported in Metal
#include <metal_stdlib>
using namespace metal;

float f(uint n) { return n == 0 ? 1.0 : float(n) * f(n - 1); }

kernel void k(device float* out [[buffer(0)]], uint i [[thread_position_in_grid]]) {
    out[i] = f(i);
}
