// error: cannot initialize a variable of type 'device float \*' with an lvalue of type 'constant float \*'
#include <metal_stdlib>
using namespace metal;

kernel void k(device float* out [[buffer(0)]], constant float* c [[buffer(1)]], uint i [[thread_position_in_grid]]) {
    device float* p = c;
    out[i] = p[i];
}
