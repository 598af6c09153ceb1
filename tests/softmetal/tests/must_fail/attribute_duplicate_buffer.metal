// error: 'buffer' attribute parameter 1 is already used by 'a'
#include <metal_stdlib>
using namespace metal;

kernel void k(device float* a [[buffer(1)]], device float* b [[buffer(1)]], uint i [[thread_position_in_grid]]) {
    a[i] = b[i];
}
