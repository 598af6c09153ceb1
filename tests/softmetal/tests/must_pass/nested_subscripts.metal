#include <metal_stdlib>
using namespace metal;

kernel void k(device float* out [[buffer(0)]], device const uint* index [[buffer(1)]], uint i [[thread_position_in_grid]]) {
    out[index[index[i]]] = 1;
}
