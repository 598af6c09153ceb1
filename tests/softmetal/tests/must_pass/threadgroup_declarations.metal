#include <metal_stdlib>
using namespace metal;

template <typename T, int W> kernel void sums(device T* out [[buffer(0)]], uint i [[thread_position_in_threadgroup]]) {
    threadgroup float tile[W][W + 1], total;
    threadgroup float* row = tile[i % W];
    row[i % W] = float(i);
    if (i == 0) total = 1;
    threadgroup_barrier(mem_flags::mem_threadgroup);
    out[i] = T(tile[i % W][i % W] + total);
}
template [[host_name("sums_float_8")]] [[kernel]] void sums<float, 8>(device float* out [[buffer(0)]], uint i [[thread_position_in_threadgroup]]);
#define INSTANTIATE(name, T, W) template [[host_name(name)]] kernel decltype(sums<T, W>) sums<T, W>;
INSTANTIATE("sums_half_4", half, 4)
