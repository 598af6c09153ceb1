// error: no matching constructor|program scope constructors are not supported
#include <metal_stdlib>
using namespace metal;

float slow(float x) { return x * 2; }
struct B {
    float v;
    B() { v = slow(3.0); }
};
constant B b;

kernel void k(device float* out [[buffer(0)]], uint i [[thread_position_in_grid]]) {
    out[i] = b.v;
}
