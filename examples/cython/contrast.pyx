# cython: language_level=3, boundscheck=False, wraparound=False, freethreading_compatible=True
"""Local contrast of a grey image, x / sqrt(delta + mean of x^2 over the window), from Cython."""

from spatialnorm cimport (
    SN_DEVICE_CPU, SN_EDGE_CLAMP, SN_FLOAT32, SN_FORWARD, SN_GRADIENT_EXACT, SN_OK, SN_SPATIAL, sn_last_error, sn_plan,
    sn_plan_create, sn_plan_destroy, sn_plan_run, sn_spatial_params, sn_status, sn_tensor,
)


cdef class LocalContrast:
    """A plan for images of one size; may be called from many threads."""

    cdef sn_plan *plan
    cdef readonly Py_ssize_t height, width

    def __cinit__(self, Py_ssize_t height, Py_ssize_t width, int kernel_size, double delta):
        cdef sn_spatial_params params
        cdef sn_tensor operands[2]
        params.header.size, params.header.operation = sizeof(params), SN_SPATIAL
        params.kernel_height = params.kernel_width = kernel_size
        params.alpha, params.beta, params.delta = 1, 0.5, delta
        params.edge, params.gradient = SN_EDGE_CLAMP, SN_GRADIENT_EXACT
        operands[0].dtype = SN_FLOAT32
        operands[0].shape = [1, 1, height, width]
        operands[0].strides = [height * width, height * width, width, 1]
        operands[1] = operands[0]
        if sn_plan_create(&params.header, SN_FORWARD, SN_DEVICE_CPU, operands, 2, &self.plan) != SN_OK:
            raise ValueError(sn_last_error().decode())
        self.height, self.width = height, width

    def __dealloc__(self):
        sn_plan_destroy(self.plan)

    def __call__(self, const float[:, ::1] x, float[:, ::1] out):
        """Write the contrast of `x` into `out`."""
        cdef void *data[2]
        cdef sn_status status
        if x.shape[0] != self.height or x.shape[1] != self.width or out.shape[0] != self.height or \
                out.shape[1] != self.width:
            raise ValueError(f"x and out must be {self.height} x {self.width}")
        data[0], data[1] = <void *>&x[0, 0], &out[0, 0]
        with nogil:
            status = sn_plan_run(self.plan, data, 2)
        if status != SN_OK:
            raise ValueError(sn_last_error().decode())
