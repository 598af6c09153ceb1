// error: 'virtual' is not supported in Metal
#include <metal_stdlib>
using namespace metal;

struct A {
    virtual float f() { return 1; }
};

kernel void k(device float* out [[buffer(0)]], uint i [[thread_position_in_grid]]) {
    A a;
    out[i] = a.f();
}
