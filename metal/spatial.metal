// Spatial normalization and its derivatives, all kernels. Metal Shading Language.
#include "spatial_plain.h"
#include "spatial_parameter_gradients.h"
#include "spatial_general.h"
#include "spatial_simd.h"
#include "spatial_strip.h"

// An entry point under the name that the host asks for.
#define SPATIAL_ENTRY(name, ...) \
    template [[host_name(name)]] [[kernel]] decltype(__VA_ARGS__) __VA_ARGS__;

#define SPATIAL_ANY_WINDOW(type)                                                                        \
    SPATIAL_ENTRY("spatial_forward_plain_" #type, spatial_forward_plain<type>)                          \
    SPATIAL_ENTRY("spatial_gradient_terms_plain_" #type, spatial_gradient_terms_plain<type>)            \
    SPATIAL_ENTRY("spatial_gradient_plain_" #type, spatial_gradient_plain<type>)                        \
    SPATIAL_ENTRY("spatial_gradient_documented_plain_" #type, spatial_gradient_documented_plain<type>)  \
    SPATIAL_ENTRY("spatial_jvp_plain_" #type, spatial_jvp_plain<type>)                                  \
    SPATIAL_ENTRY("spatial_parameter_gradients_plain_" #type, spatial_parameter_gradients_plain<type>)  \
    SPATIAL_ENTRY("spatial_square_sums_" #type, spatial_square_sums<type>)                              \
    SPATIAL_ENTRY("spatial_product_sums_" #type, spatial_product_sums<type>)                            \
    SPATIAL_ENTRY("spatial_square_sums_plain_" #type, spatial_square_sums_plain<type>)                  \
    SPATIAL_ENTRY("spatial_product_sums_plain_" #type, spatial_product_sums_plain<type>)                \
    SPATIAL_ENTRY("spatial_forward_general_" #type, spatial_forward_general<type>)                      \
    SPATIAL_ENTRY("spatial_gradient_terms_" #type, spatial_gradient_terms<type>)                        \
    SPATIAL_ENTRY("spatial_gradient_general_" #type, spatial_gradient_general<type>)                    \
    SPATIAL_ENTRY("spatial_gradient_documented_general_" #type, spatial_gradient_documented_general<type>) \
    SPATIAL_ENTRY("spatial_jvp_general_" #type, spatial_jvp_general<type>)                              \
    SPATIAL_ENTRY("spatial_parameter_gradients_" #type, spatial_parameter_gradients<type>)

// Windows of k x k: rows of a step, forward and gradient.
#define SPATIAL_SIMD(type, k, forward_rows, gradient_rows)                                              \
    SPATIAL_ENTRY("spatial_forward_simd_" #type "_" #k, spatial_forward_simd<type, k, forward_rows>)    \
    SPATIAL_ENTRY("spatial_gradient_simd_" #type "_" #k, spatial_gradient_simd<type, k, gradient_rows>)

// Windows of k x k: rows of a step, columns and interleaved channels of a strip. The host asks for them by name.
#define SPATIAL_STRIP(pass, type, k, rows, width, channels)                                             \
    SPATIAL_ENTRY("spatial_" #pass "_strip_" #type "_" #k "_" #rows "x" #width "x" #channels,           \
                  spatial_##pass##_strip<type, k, rows, width, channels>)

#define SPATIAL_STRIPS(type)                       \
    SPATIAL_STRIP(forward, type, 31, 8, 256, 1)    \
    SPATIAL_STRIP(forward, type, 63, 8, 448, 1)    \
    SPATIAL_STRIP(gradient, type, 11, 8, 256, 1)   \
    SPATIAL_STRIP(gradient, type, 13, 8, 256, 1)   \
    SPATIAL_STRIP(gradient, type, 15, 8, 256, 1)   \
    SPATIAL_STRIP(gradient, type, 31, 8, 448, 1)   \
    SPATIAL_STRIP(gradient, type, 63, 8, 384, 1)   \
    SPATIAL_INTERLEAVED(type, 3, 2)                \
    SPATIAL_INTERLEAVED(type, 5, 4)                \
    SPATIAL_INTERLEAVED(type, 7, 4)                \
    SPATIAL_INTERLEAVED(type, 9, 4)                \
    SPATIAL_INTERLEAVED(type, 11, 4)               \
    SPATIAL_INTERLEAVED(type, 13, 4)               \
    SPATIAL_INTERLEAVED(type, 15, 4)

#define SPATIAL_INTERLEAVED(type, k, rows)             \
    SPATIAL_STRIP(forward, type, k, rows, 64, 8)       \
    SPATIAL_STRIP(gradient, type, k, rows, 64, 8)

#define SPATIAL_ALL(type)          \
    SPATIAL_ANY_WINDOW(type)       \
    SPATIAL_SIMD(type, 3, 2, 2)    \
    SPATIAL_SIMD(type, 5, 4, 4)    \
    SPATIAL_SIMD(type, 7, 4, 2)    \
    SPATIAL_SIMD(type, 9, 4, 2)    \
    SPATIAL_SIMD(type, 11, 4, 2)   \
    SPATIAL_SIMD(type, 13, 4, 2)   \
    SPATIAL_SIMD(type, 15, 4, 2)   \
    SPATIAL_STRIPS(type)

SPATIAL_ALL(float)
SPATIAL_ALL(half)
#if __METAL_VERSION__ >= 310
SPATIAL_ALL(bfloat)
#endif
