// Spatial normalization and its derivatives, all kernels. Metal Shading Language.
#include "spatial_plain.h"
#include "spatial_parameter_gradients.h"
#include "spatial_general.h"
#include "spatial_small.h"
#include "spatial_simd.h"
#include "spatial_interleaved.h"
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
    SPATIAL_ENTRY("spatial_forward_small_" #type, spatial_forward_small<type>)                          \
    SPATIAL_ENTRY("spatial_gradient_small_" #type, spatial_gradient_small<type>)                        \
    SPATIAL_ENTRY("spatial_gradient_documented_small_" #type, spatial_gradient_documented_small<type>)  \
    SPATIAL_ENTRY("spatial_jvp_small_" #type, spatial_jvp_small<type>)                                  \
    SPATIAL_ENTRY("spatial_forward_general_" #type, spatial_forward_general<type>)                      \
    SPATIAL_ENTRY("spatial_gradient_terms_" #type, spatial_gradient_terms<type>)                        \
    SPATIAL_ENTRY("spatial_gradient_general_" #type, spatial_gradient_general<type>)                    \
    SPATIAL_ENTRY("spatial_gradient_documented_general_" #type, spatial_gradient_documented_general<type>) \
    SPATIAL_ENTRY("spatial_jvp_general_" #type, spatial_jvp_general<type>)                              \
    SPATIAL_ENTRY("spatial_parameter_gradients_" #type, spatial_parameter_gradients<type>)

// Windows of k x k. The host asks for the strip kernels by name, with the rows of a step and the columns of a strip.
#define SPATIAL_SIMD(pass, type, k, rows) \
    SPATIAL_ENTRY("spatial_" #pass "_simd_" #type "_" #k, spatial_##pass##_simd<type, k, rows>)

#define SPATIAL_INTERLEAVED(pass, type, k, columns, rows, channels)      \
    SPATIAL_ENTRY("spatial_" #pass "_interleaved_" #type "_" #k "_" #columns "x" #channels, \
                  spatial_##pass##_interleaved<type, k, columns, rows, channels>)

#define SPATIAL_STRIP(pass, type, k, rows, width, each)                      \
    SPATIAL_ENTRY("spatial_" #pass "_strip_" #type "_" #k "_" #rows "x" #width, \
                  spatial_##pass##_strip<type, k, rows, width, each>)

#define SPATIAL_ODD_WINDOW(type)                         \
    SPATIAL_SIMD(forward, type, 3, 2)                    \
    SPATIAL_SIMD(forward, type, 5, 4)                    \
    SPATIAL_SIMD(forward, type, 7, 4)                    \
    SPATIAL_SIMD(forward, type, 9, 4)                    \
    SPATIAL_SIMD(forward, type, 11, 8)                   \
    SPATIAL_SIMD(forward, type, 13, 8)                   \
    SPATIAL_SIMD(forward, type, 15, 8)                   \
    SPATIAL_STRIP(forward, type, 31, 8, 256, 8)          \
    SPATIAL_STRIP(forward, type, 63, 8, 256, 16)         \
    SPATIAL_SIMD(gradient, type, 3, 2)                   \
    SPATIAL_SIMD(gradient, type, 5, 4)                   \
    SPATIAL_SIMD(gradient, type, 7, 2)                   \
    SPATIAL_STRIP(gradient, type, 9, 8, 128, 8)          \
    SPATIAL_STRIP(gradient, type, 11, 8, 128, 8)         \
    SPATIAL_STRIP(gradient, type, 13, 8, 256, 8)         \
    SPATIAL_STRIP(gradient, type, 15, 8, 256, 8)         \
    SPATIAL_STRIP(gradient, type, 31, 8, 384, 16)        \
    SPATIAL_STRIP(gradient, type, 63, 8, 384, 16)        \
    SPATIAL_INTERLEAVED(forward, type, 3, 4, 2, 16)      \
    SPATIAL_INTERLEAVED(forward, type, 5, 4, 4, 16)      \
    SPATIAL_INTERLEAVED(forward, type, 7, 4, 4, 16)      \
    SPATIAL_INTERLEAVED(forward, type, 9, 4, 4, 16)      \
    SPATIAL_INTERLEAVED(forward, type, 11, 4, 4, 16)     \
    SPATIAL_INTERLEAVED(forward, type, 13, 4, 4, 16)     \
    SPATIAL_INTERLEAVED(forward, type, 15, 4, 4, 16)     \
    SPATIAL_INTERLEAVED(gradient, type, 3, 2, 2, 8)      \
    SPATIAL_INTERLEAVED(gradient, type, 5, 2, 4, 8)      \
    SPATIAL_INTERLEAVED(gradient, type, 7, 2, 4, 8)      \
    SPATIAL_INTERLEAVED(gradient, type, 9, 2, 4, 8)      \
    SPATIAL_INTERLEAVED(gradient, type, 11, 2, 4, 8)     \
    SPATIAL_INTERLEAVED(gradient, type, 13, 2, 4, 8)     \
    SPATIAL_INTERLEAVED(gradient, type, 15, 2, 4, 8)

SPATIAL_ANY_WINDOW(float)
SPATIAL_ANY_WINDOW(half)
SPATIAL_ODD_WINDOW(float)
SPATIAL_ODD_WINDOW(half)
#if __METAL_VERSION__ >= 310
SPATIAL_ANY_WINDOW(bfloat)
SPATIAL_ODD_WINDOW(bfloat)
#endif
