// error: lambda expressions are not supported in Metal
#include <metal_stdlib>
using namespace metal;

kernel void k(device float* out [[buffer(0)]], uint i [[thread_position_in_grid]]) {
    auto f = [](float x) { return x; };
    out[i] = f(1.0);
}
