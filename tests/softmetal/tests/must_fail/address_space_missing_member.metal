// error: pointer type must have explicit address space qualifier
#include <metal_stdlib>
using namespace metal;

struct P { float* a; };

kernel void k(device float* out [[buffer(0)]], uint i [[thread_position_in_grid]]) {
    P p;
    p.a = 0;
    out[i] = 1;
}
