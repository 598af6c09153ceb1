// error: read-only variable is not assignable
#include <metal_stdlib>
using namespace metal;

kernel void k(constant float* c [[buffer(0)]], uint i [[thread_position_in_grid]]) {
    c[i] = 1;
}
