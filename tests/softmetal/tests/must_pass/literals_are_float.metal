#include <metal_stdlib>
using namespace metal;

kernel void k(device float* out [[buffer(0)]], uint i [[thread_position_in_grid]]) {
    static_assert(sizeof(1.0) == 4, "a literal without suffix is float");
    out[i] = 0.1 * out[i];
}
