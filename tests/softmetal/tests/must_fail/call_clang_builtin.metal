// error: '__builtin_expm1f' is not in the Metal specification
#include <metal_stdlib>
using namespace metal;

kernel void k(device float* out [[buffer(0)]], uint i [[thread_position_in_grid]]) {
    out[i] = __builtin_expm1f(out[i]);
}
