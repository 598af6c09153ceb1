// error: recursive call of '[fg]\(unsigned int\)' is not supported in Metal
#include <metal_stdlib>
using namespace metal;

float g(uint n);
float f(uint n) { return n == 0 ? 1.0 : g(n - 1); }
float g(uint n) { return n == 0 ? 2.0 : f(n - 1); }

kernel void k(device float* out [[buffer(0)]], uint i [[thread_position_in_grid]]) {
    out[i] = f(i);
}
