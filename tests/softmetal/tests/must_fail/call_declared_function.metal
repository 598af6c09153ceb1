// error: call of 'expm1f', which Metal does not have
#include <metal_stdlib>
using namespace metal;

extern "C" float expm1f(float x);

kernel void k(device float* out [[buffer(0)]], uint i [[thread_position_in_grid]]) {
    out[i] = expm1f(out[i]);
}
