// Addition, and conversion to another type: one thread for each element. Metal Shading Language.
#include <metal_stdlib>
#include "elementwise_params.h"
using namespace metal;

// Where element `index` of an operand lies, in elements from the operand's lowest. 64-bit division is slow, and few
// images need it.
METAL_FUNC long operand_offset(constant ElementwiseParams &p, int operand, ulong index) {
    long offset = p.origin[operand];
    for (int axis = ELEMENTWISE_AXES - 1; axis > 0; --axis) {
        const ulong size = ulong(p.size[axis]);
        if (size == 1) continue;
        const ulong quotient = (index | size) <= 0xfffffffful ? ulong(uint(index) / uint(size)) : index / size;
        offset += long(index - quotient * size) * p.stride[operand][axis];
        index = quotient;
    }
    return offset + long(index) * p.stride[operand][0];
}

// The sum is made in float, and rounded once.
template <typename T>
kernel void elementwise_add(device const T *a [[buffer(0)]], device const T *b [[buffer(1)]],
                            device T *out [[buffer(2)]], constant ElementwiseParams &p [[buffer(3)]],
                            uint group [[threadgroup_position_in_grid]], uint lane [[thread_index_in_threadgroup]]) {
    const ulong index = ulong(group) * ELEMENTWISE_THREADS + lane;
    if (index >= ulong(p.elements)) return;
    out[operand_offset(p, 2, index)] = T(float(a[operand_offset(p, 0, index)]) + float(b[operand_offset(p, 1, index)]));
}

template <typename From, typename To>
kernel void elementwise_convert(device const From *x [[buffer(0)]], device To *out [[buffer(1)]],
                                constant ElementwiseParams &p [[buffer(2)]],
                                uint group [[threadgroup_position_in_grid]],
                                uint lane [[thread_index_in_threadgroup]]) {
    const ulong index = ulong(group) * ELEMENTWISE_THREADS + lane;
    if (index >= ulong(p.elements)) return;
    out[operand_offset(p, 1, index)] = To(float(x[operand_offset(p, 0, index)]));
}

// An entry point under the name that the host asks for.
#define ELEMENTWISE_ENTRY(name, ...) template [[host_name(name)]] [[kernel]] decltype(__VA_ARGS__) __VA_ARGS__;
#define ELEMENTWISE_ADD(type) ELEMENTWISE_ENTRY("elementwise_add_" #type, elementwise_add<type>)
#define ELEMENTWISE_CONVERT(from, to) \
    ELEMENTWISE_ENTRY("elementwise_convert_" #from "_" #to, elementwise_convert<from, to>)

ELEMENTWISE_ADD(float)
ELEMENTWISE_ADD(half)
ELEMENTWISE_CONVERT(float, float)
ELEMENTWISE_CONVERT(float, half)
ELEMENTWISE_CONVERT(half, float)
ELEMENTWISE_CONVERT(half, half)
#if __METAL_VERSION__ >= 310
ELEMENTWISE_ADD(bfloat)
ELEMENTWISE_CONVERT(float, bfloat)
ELEMENTWISE_CONVERT(half, bfloat)
ELEMENTWISE_CONVERT(bfloat, float)
ELEMENTWISE_CONVERT(bfloat, half)
ELEMENTWISE_CONVERT(bfloat, bfloat)
#endif
