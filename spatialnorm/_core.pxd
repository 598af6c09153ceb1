"""The public C interface, for `cimport`; spatialnorm.h says what each name means."""

from libc.stdint cimport int32_t, int64_t, uint32_t

cdef extern from "spatialnorm/spatialnorm.h" nogil:
    const uint32_t SN_ABI_VERSION

    ctypedef enum sn_status:
        SN_OK
        SN_INVALID_ARGUMENT
        SN_INVALID_TYPE
        SN_UNSUPPORTED
        SN_OUT_OF_MEMORY
        SN_DEVICE_ERROR
        SN_INTERNAL_ERROR

    ctypedef enum sn_dtype:
        SN_FLOAT16
        SN_BFLOAT16
        SN_FLOAT32
        SN_FLOAT64

    ctypedef enum sn_edge:
        SN_EDGE_ZERO
        SN_EDGE_CLAMP

    ctypedef enum sn_gradient:
        SN_GRADIENT_EXACT
        SN_GRADIENT_DOCUMENTED

    ctypedef enum sn_pass:
        SN_FORWARD
        SN_GRADIENT
        SN_JVP
        SN_PARAMETER_GRADIENTS

    ctypedef enum sn_operation:
        SN_SPATIAL
        SN_ADD
        SN_CONVERT

    ctypedef int32_t sn_device
    const sn_device SN_DEVICE_CPU
    const sn_device SN_DEVICE_METAL

    ctypedef struct sn_tensor:
        void *data
        int64_t shape[4]
        int64_t strides[4]
        sn_dtype dtype

    ctypedef struct sn_array:
        void *data
        const int64_t *shape
        const int64_t *strides
        int32_t ndim
        sn_dtype dtype

    ctypedef struct sn_params:
        uint32_t size
        sn_operation operation

    ctypedef struct sn_spatial_params:
        sn_params header
        int64_t kernel_height
        int64_t kernel_width
        double alpha
        double beta
        double delta
        sn_edge edge
        sn_gradient gradient

    ctypedef struct sn_plan:
        pass

    ctypedef struct sn_device_info:
        sn_device device
        int32_t available
        const char *kind
        const char *name
        const char *description

    sn_status sn_plan_create(const sn_params *params, sn_pass which, sn_device device, const sn_tensor *operands,
                             int32_t n_operands, sn_plan **plan)
    sn_status sn_plan_create_nd(const sn_params *params, sn_pass which, sn_device device, const sn_array *operands,
                                int32_t n_operands, int32_t axis_height, int32_t axis_width, sn_plan **plan)
    sn_status sn_plan_run(const sn_plan *plan, void *const *data, int32_t n_data)
    ctypedef struct sn_run:
        const sn_plan *plan
        void **data
        int32_t n_data

    sn_status sn_plans_run(const sn_run *runs, int32_t n_runs)
    void sn_plan_destroy(sn_plan *plan)
    const char *sn_last_error()
    uint32_t sn_abi_version()
    const char *sn_version()
    const char *sn_isa()
    sn_status sn_set_num_threads(int32_t n)
    int32_t sn_get_num_threads()
    int32_t sn_device_count()
    sn_status sn_get_device_info(int32_t index, sn_device_info *info)

    ctypedef struct sn_metal_stats:
        uint32_t size
        int64_t runs
        int64_t command_buffers
        int64_t wrapped_buffers
        int64_t staged_buffers
        int64_t refused_buffers
        int64_t misaligned_buffers
        int64_t in_place_buffers
        int64_t staged_bytes
        int64_t allocated_buffers
        int64_t pipelines

    void sn_get_metal_stats(sn_metal_stats *stats)
