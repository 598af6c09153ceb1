// error: use of undeclared identifier 'std'
#include <metal_stdlib>
using namespace metal;

kernel void k(device float* out [[buffer(0)]], uint i [[thread_position_in_grid]]) {
    out[i] = std::max(2.0f, 1.0f);
}
