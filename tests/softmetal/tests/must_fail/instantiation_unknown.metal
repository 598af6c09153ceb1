// error: explicit instantiation of 'g', which is not a kernel template declared above
#include <metal_stdlib>
using namespace metal;

template <typename T> void g(device T* out, uint i) { out[i] = 1; }
template [[host_name("g_float")]] kernel void g<float>(device float* out, uint i);
