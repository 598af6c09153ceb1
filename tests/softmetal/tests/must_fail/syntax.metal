// error: program_source:6:13: error: expected ';' after expression|error: expected ';' after expression
#include <metal_stdlib>
using namespace metal;

kernel void k(device float* out [[buffer(0)]], uint i [[thread_position_in_grid]]) {
    out[i] = 1
}
