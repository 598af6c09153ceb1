// Spatial normalization and its derivatives, all kernels. Metal Shading Language.
#include "spatial_plain.h"
#include "spatial_parameter_gradients.h"
#include "spatial_general.h"
#include "spatial_small.h"
#include "spatial_planes.h"
#include "spatial_simd.h"
#include "spatial_interleaved.h"
#include "spatial_columns.h"
#include "spatial_strip.h"
#include "spatial_gradient_long.h"
#include "spatial_table.h"

// An entry point under the name that the host asks for.
#define SPATIAL_ENTRY(name, ...) template [[host_name(name)]] [[kernel]] decltype(__VA_ARGS__) __VA_ARGS__;

#define SPATIAL_ANY_WINDOW(type)                                                                           \
    SPATIAL_ENTRY("spatial_forward_plain_" #type, spatial_forward_plain<type>)                             \
    SPATIAL_ENTRY("spatial_gradient_terms_plain_" #type, spatial_gradient_terms_plain<type>)               \
    SPATIAL_ENTRY("spatial_gradient_plain_" #type, spatial_gradient_plain<type>)                           \
    SPATIAL_ENTRY("spatial_gradient_documented_plain_" #type, spatial_gradient_documented_plain<type>)     \
    SPATIAL_ENTRY("spatial_jvp_plain_" #type, spatial_jvp_plain<type>)                                     \
    SPATIAL_ENTRY("spatial_parameter_gradients_plain_" #type, spatial_parameter_gradients_plain<type>)     \
    SPATIAL_ENTRY("spatial_square_sums_" #type, spatial_square_sums<type>)                                 \
    SPATIAL_ENTRY("spatial_product_sums_" #type, spatial_product_sums<type>)                               \
    SPATIAL_ENTRY("spatial_square_sums_plain_" #type, spatial_square_sums_plain<type>)                     \
    SPATIAL_ENTRY("spatial_product_sums_plain_" #type, spatial_product_sums_plain<type>)                   \
    SPATIAL_ENTRY("spatial_forward_small_" #type, spatial_forward_small<type>)                             \
    SPATIAL_ENTRY("spatial_gradient_small_" #type, spatial_gradient_small<type>)                           \
    SPATIAL_ENTRY("spatial_gradient_documented_small_" #type, spatial_gradient_documented_small<type>)     \
    SPATIAL_ENTRY("spatial_jvp_small_" #type, spatial_jvp_small<type>)                                     \
    SPATIAL_ENTRY("spatial_forward_general_" #type, spatial_forward_general<type>)                         \
    SPATIAL_ENTRY("spatial_gradient_terms_" #type, spatial_gradient_terms<type>)                           \
    SPATIAL_ENTRY("spatial_gradient_general_" #type, spatial_gradient_general<type>)                       \
    SPATIAL_ENTRY("spatial_gradient_documented_general_" #type, spatial_gradient_documented_general<type>) \
    SPATIAL_ENTRY("spatial_jvp_general_" #type, spatial_jvp_general<type>)                                 \
    SPATIAL_ENTRY("spatial_parameter_gradients_" #type, spatial_parameter_gradients<type>)

// Windows of k x k, as spatial_table.h lists them.
#define SPATIAL_SIMD_ENTRY(type, pass, k, columns, rows) \
    SPATIAL_ENTRY("spatial_" #pass "_simd_" #type "_" #k "_" #columns, spatial_##pass##_simd<type, k, columns, rows>)
#define SPATIAL_STRIP_ENTRY(type, pass, k, columns, rows, width, each)  \
    SPATIAL_ENTRY("spatial_" #pass "_strip_" #type "_" #k "_" #columns, \
                  spatial_##pass##_strip<type, k, columns, rows, width, each>)
#define SPATIAL_LONG_ENTRY(type, pass, k, rows, width) \
    SPATIAL_ENTRY("spatial_" #pass "_strip_" #type "_" #k "_1", spatial_##pass##_long<type, k, rows, width>)
#define SPATIAL_LONG_ENTRY_16(type, pass, k, rows, width) \
    SPATIAL_ENTRY("spatial_" #pass "_strip_" #type "_" #k "_1", spatial_##pass##_long_16<type, k, rows, width>)
#define SPATIAL_INTERLEAVED_ENTRY(type, pass, k, columns, rows, channels, lanes, width) \
    SPATIAL_ENTRY("spatial_" #pass "_interleaved_" #type "_" #k "_" #columns,           \
                  spatial_##pass##_interleaved<type, k, columns, rows, channels, lanes, width>)

#define SPATIAL_PLANES_ENTRY(type, pass, k, side) \
    SPATIAL_ENTRY("spatial_" #pass "_planes_" #type "_" #k "_" #side, spatial_##pass##_planes<type, k, side>)

#define SPATIAL_COLUMNS_ENTRY(type, pass, k, columns, height)             \
    SPATIAL_ENTRY("spatial_" #pass "_columns_" #type "_" #k "_" #columns, \
                  spatial_##pass##_columns<type, k, columns, height>)

#define SPATIAL_ODD_WINDOW(type)                               \
    SPATIAL_SIMD_TABLE(SPATIAL_SIMD_ENTRY, type)               \
    SPATIAL_STRIP_TABLE(SPATIAL_STRIP_ENTRY, type)             \
    SPATIAL_INTERLEAVED_TABLE(SPATIAL_INTERLEAVED_ENTRY, type) \
    SPATIAL_PLANES_TABLE(SPATIAL_PLANES_ENTRY, type)           \
    SPATIAL_COLUMNS_TABLE(SPATIAL_COLUMNS_ENTRY, type)

#define SPATIAL_ODD_WINDOW_16(type)                \
    SPATIAL_SIMD_TABLE_16(SPATIAL_SIMD_ENTRY, type) \
    SPATIAL_STRIP_TABLE_16(SPATIAL_STRIP_ENTRY, type) \
    SPATIAL_LONG_TABLE(SPATIAL_LONG_ENTRY_16, type)

SPATIAL_ANY_WINDOW(float)
SPATIAL_ANY_WINDOW(half)
SPATIAL_ODD_WINDOW(float)
SPATIAL_LONG_TABLE(SPATIAL_LONG_ENTRY, float)
SPATIAL_ODD_WINDOW(half)
SPATIAL_ODD_WINDOW_16(half)
SPATIAL_INTERLEAVED_FLOAT_TABLE(SPATIAL_INTERLEAVED_ENTRY, float)
SPATIAL_INTERLEAVED_HALF_TABLE(SPATIAL_INTERLEAVED_ENTRY, half)
#if __METAL_VERSION__ >= 310
SPATIAL_ANY_WINDOW(bfloat)
SPATIAL_ODD_WINDOW(bfloat)
SPATIAL_ODD_WINDOW_16(bfloat)
SPATIAL_INTERLEAVED_HALF_TABLE(SPATIAL_INTERLEAVED_ENTRY, bfloat)
#endif
