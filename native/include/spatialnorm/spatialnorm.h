/* spatialnorm: spatial (within-channel local response, divisive) normalization and its gradient.
 *
 * The C interface: plain C11, no other header, append-only. Every function may be called from any
 * thread. A call that fails returns a status other than SN_OK, writes to no operand, and leaves one
 * sentence for the calling thread in sn_last_error().
 *
 *     sn_spatial_params p = SN_SPATIAL_PARAMS_INIT;      // window 5 x 5, alpha 1, beta 5, delta 1
 *     sn_tensor x = {NULL, {1, 1, h, w}, {h * w, h * w, w, 1}, SN_FLOAT32};
 *     sn_tensor operands[2] = {x, x};                    // x, y
 *     sn_plan *plan = NULL;
 *     if (sn_plan_create(&p.header, SN_FORWARD, SN_DEVICE_CPU, operands, 2, &plan) != SN_OK)
 *         return puts(sn_last_error());
 *     void *data[2] = {input, output};
 *     sn_plan_run(plan, data, 2);
 *     sn_plan_destroy(plan);
 */
#ifndef SPATIALNORM_SPATIALNORM_H
#define SPATIALNORM_SPATIALNORM_H

#include <stdint.h>

/* Raised when a symbol or a structure is added; the library's file name changes when one is broken. */
#define SN_ABI_VERSION 1

#if defined(_WIN32)
#  if defined(SN_BUILD)
#    define SN_API __declspec(dllexport)
#  else
#    define SN_API __declspec(dllimport)
#  endif
#else
#  define SN_API __attribute__((visibility("default")))
#endif

/* A fixed width keeps the structures' layout the same in C and C++. */
#if defined(__cplusplus)
#  define SN_ENUM(name) enum name : int32_t
extern "C" {
#else
#  define SN_ENUM(name)     \
      typedef int32_t name; \
      enum
#endif

SN_ENUM(sn_status) {
    SN_OK = 0,
    SN_INVALID_ARGUMENT = 1, /* a value breaks a rule: ValueError in Python */
    SN_INVALID_TYPE = 2,     /* a dtype that the operation or device cannot take: TypeError */
    SN_UNSUPPORTED = 3,      /* right in itself, but not on this device or machine: RuntimeError */
    SN_OUT_OF_MEMORY = 4,    /* MemoryError */
    SN_DEVICE_ERROR = 5,     /* the device failed, with the system's words: RuntimeError */
    SN_INTERNAL_ERROR = 6    /* a defect of this library: RuntimeError */
};

SN_ENUM(sn_dtype) { SN_FLOAT16 = 1, SN_BFLOAT16 = 2, SN_FLOAT32 = 3, SN_FLOAT64 = 4 };

/* What stands outside the image: zeros, or the nearest edge sample. */
SN_ENUM(sn_edge) {
    SN_EDGE_ZERO = 0,
    SN_EDGE_CLAMP = 1
};

/* The exact vector-Jacobian product, or the formula that Apple's header prints (zero edge only),
 * which is not the derivative of the forward pass. */
SN_ENUM(sn_gradient) {
    SN_GRADIENT_EXACT = 0,
    SN_GRADIENT_DOCUMENTED = 1
};

/* Passes and their operands, in order. The last operand is the output, the others are inputs. */
SN_ENUM(sn_pass) {
    SN_FORWARD = 0,            /* x, y                                                             */
    SN_GRADIENT = 1,           /* grad_y, x, grad_x                                                */
    SN_JVP = 2,                /* x, tangent, y_tangent                                            */
    SN_PARAMETER_GRADIENTS = 3 /* grad_y, x, out: three float64 (d_alpha, d_beta, d_delta), dense  */
};

SN_ENUM(sn_operation) {
    SN_SPATIAL = 1,
    SN_ADD = 2,    /* a, b, out: out = a + b. 16-bit sums are made in float32 and rounded once.       */
    SN_CONVERT = 3 /* x, out: out = x in the dtype of out, rounded to nearest, ties to even; infinities
                      and NaNs stay what they are, and what is too large becomes an infinity           */
};

#if defined(__cplusplus)
#  undef SN_ENUM
#endif

/* A device: SN_DEVICE_CPU, or SN_DEVICE_METAL + i for the i-th Metal device. */
typedef int32_t sn_device;
#define SN_DEVICE_CPU ((sn_device)0)
#define SN_DEVICE_METAL ((sn_device)256)

/* N, C, H, W; strides in elements, of any sign, zero for inputs only. A layout is its strides:
 * NHWC data has stride 1 in C. `data` is not read by sn_plan_create. */
typedef struct sn_tensor {
    void *data;
    int64_t shape[4];
    int64_t strides[4];
    sn_dtype dtype;
} sn_tensor;

/* The same for any number of axes, with strides in bytes. */
typedef struct sn_array {
    void *data;
    const int64_t *shape;
    const int64_t *strides;
    int32_t ndim;
    sn_dtype dtype;
} sn_array;

/* Every operation's parameters begin with this. Those of SN_ADD and SN_CONVERT are no more than this; they
 * have the pass SN_FORWARD only, with the operands named above, and treat both axes of images like the others. */
typedef struct sn_params {
    uint32_t size; /* of the whole structure, in bytes */
    sn_operation operation;
} sn_params;

/* y = x * T^-beta, T = delta + alpha / (kernel_height * kernel_width) * sum of x^2 over the window,
 * rows i - floor(kernel_height/2) .. i + floor((kernel_height-1)/2), columns likewise. */
typedef struct sn_spatial_params {
    sn_params header;
    int64_t kernel_height, kernel_width; /* >= 1 */
    double alpha, beta, delta;           /* finite, alpha >= 0 */
    sn_edge edge;
    sn_gradient gradient;
} sn_spatial_params;

#define SN_SPATIAL_PARAMS_INIT \
    {{(uint32_t)sizeof(sn_spatial_params), SN_SPATIAL}, 5, 5, 1.0, 5.0, 1.0, SN_EDGE_ZERO, SN_GRADIENT_EXACT}

/* A kernel chosen for one problem on one device: immutable, usable from many threads at once. */
typedef struct sn_plan sn_plan;

SN_API sn_status sn_plan_create(const sn_params *params, sn_pass pass, sn_device device, const sn_tensor *operands,
                                int32_t n_operands, sn_plan **plan);

/* The same for arrays of 2 or more axes, of which axis_height and axis_width (from 0) are spatial. */
SN_API sn_status sn_plan_create_nd(const sn_params *params, sn_pass pass, sn_device device, const sn_array *operands,
                                   int32_t n_operands, int32_t axis_height, int32_t axis_width, sn_plan **plan);

/* Runs the plan on operands that start at data[i] (element 0, 0, ...). The output may be an input
 * exactly (same start, same strides, same itemsize); any other overlap of the output with an input is an error. */
SN_API sn_status sn_plan_run(const sn_plan *plan, void *const *data, int32_t n_data);

/* One run of a plan, for sn_plans_run. */
typedef struct sn_run {
    const sn_plan *plan;
    void *const *data; /* as for sn_plan_run */
    int32_t n_data;
} sn_run;

/* Runs plans one after another, as sn_plan_run would; a later one may read what an earlier one wrote.
 * Everything is checked before anything runs. Plans of a Metal device that follow each other share one
 * command buffer and one wait, so long as all their operands can be used where they lie: an operand
 * that must be copied and that an earlier plan of the sequence writes ends the command buffer. */
SN_API sn_status sn_plans_run(const sn_run *runs, int32_t n_runs);

SN_API void sn_plan_destroy(sn_plan *plan); /* NULL is allowed */

/* One sentence on the calling thread's last failure, never NULL; valid until its next failure. */
SN_API const char *sn_last_error(void);

SN_API uint32_t sn_abi_version(void);
SN_API const char *sn_version(void); /* "0.1.0" */

/* The CPU instruction set in use: "scalar", "avx2", "avx512", "neon"; "" if SPATIALNORM_ISA names
 * one that cannot run here (sn_last_error says why). */
SN_API const char *sn_isa(void);

/* Threads that one run may use, itself included: n >= 1; 0 restores the default, which is
 * SPATIALNORM_NUM_THREADS or what affinity and control groups allow. */
SN_API sn_status sn_set_num_threads(int32_t n);
SN_API int32_t sn_get_num_threads(void);

typedef struct sn_device_info {
    sn_device device;
    int32_t available; /* 0: named, but cannot run; the description says why */
    const char *kind;  /* "cpu", "metal" */
    const char *name;
    const char *description; /* the strings live as long as the library */
} sn_device_info;

SN_API int32_t sn_device_count(void); /* including those that cannot run */
SN_API sn_status sn_get_device_info(int32_t index, sn_device_info *info);

/* What the Metal devices did in this process; all zero where there are none. */
typedef struct sn_metal_stats {
    uint32_t size; /* of the structure as the caller knows it, in bytes: set before the call */
    uint32_t reserved;
    int64_t runs;               /* that completed */
    int64_t command_buffers;    /* committed */
    int64_t wrapped_buffers;    /* operands used where they lie, without a copy */
    int64_t staged_buffers;     /* operands copied to or from memory of Metal's, for one of these reasons: */
    int64_t refused_buffers;    /*   the system refused to wrap their pages */
    int64_t misaligned_buffers; /*  their address or strides are no multiples of their itemsize */
    int64_t in_place_buffers;   /*   outputs that are an input too */
    int64_t staged_bytes;       /* in all those copies */
    int64_t allocated_buffers;  /* for scratch and copies; later runs use them again */
    int64_t pipelines;          /* compiled */
} sn_metal_stats;

SN_API void sn_get_metal_stats(sn_metal_stats *stats);

#if defined(__cplusplus)
}
#else
#  undef SN_ENUM
#endif
#endif
