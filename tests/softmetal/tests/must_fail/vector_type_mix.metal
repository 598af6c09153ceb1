// error: from incompatible type 'vec<int, \[...\]>'
#include <metal_stdlib>
using namespace metal;

kernel void k(device float4* out [[buffer(0)]], uint i [[thread_position_in_grid]]) {
    int4 a = int4(1);
    out[i] = a;
}
