#include <metal_stdlib>
using namespace metal;

// Metal copies a struct between address spaces; clang's C++ does not, which must not be held against the source.
struct P {
    float a;
    uint n;
};

kernel void k(device P* out [[buffer(0)]], constant P& p [[buffer(1)]], uint i [[thread_position_in_grid]]) {
    P q = p;
    q.n += i;
    out[i] = q;
}
