// error: explicit instantiation of 'g' does not refer to a function template
#include <metal_stdlib>
using namespace metal;

template <typename T> kernel void g(device T* out [[buffer(0)]], uint i [[thread_position_in_grid]]) { out[i] = 1; }
template [[host_name("g_float")]] kernel void g<float>(device half* out [[buffer(0)]], uint i [[thread_position_in_grid]]);
