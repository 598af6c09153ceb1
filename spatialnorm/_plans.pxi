# Plans: found or made for the operands at hand, and run.

@cython.final
cdef class Plan:
    """A native plan and the shapes, strides and types that it is for."""

    cdef sn_plan *plan
    cdef sn_pass which
    cdef sn_device device
    cdef int images, ndim
    cdef bint brief  # the global lock is kept for its runs
    cdef sn_dtype dtypes[MAX_OPERANDS]
    cdef int64_t *layout  # for each operand its shape, then its strides

    def __dealloc__(self):
        sn_plan_destroy(self.plan)
        PyMem_Free(self.layout)


cdef extern from *:
    """
    /* Whether the array has this shape, and after it these strides; without a branch for each. */
    static inline int sn_has_layout(const sn_array *a, const int64_t *layout, int ndim) {
        int64_t different = 0;
        for (int k = 0; k < ndim; ++k) different |= (a->shape[k] ^ layout[k]) | (a->strides[k] ^ layout[ndim + k]);
        return different == 0;
    }
    """
    bint sn_has_layout(const sn_array *, const int64_t *, int) noexcept
    # Borrowed references, which Cython's own loop over a list does not use.
    Py_ssize_t PyList_GET_SIZE(PyObject *) noexcept
    PyObject *PyList_GET_ITEM(PyObject *, Py_ssize_t) noexcept


cdef inline bint fits(Plan plan, sn_pass which, const sn_array *a, int images) noexcept:
    cdef const int64_t *layout = plan.layout
    cdef int i, ndim = plan.ndim
    if plan.which != which:
        return False
    for i in range(images):
        if a[i].ndim != ndim or a[i].dtype != plan.dtypes[i] or not sn_has_layout(&a[i], layout, ndim):
            return False
        layout += 2 * ndim
    return True


cdef inline Plan find_plan(Operation operation, sn_pass which, const sn_array *a, int images):
    cdef Plan found = None
    cdef PyObject *plans
    cdef PyObject *plan
    cdef Py_ssize_t i
    with cython.critical_section(operation):
        plans = <PyObject *>operation.plans
        for i in range(PyList_GET_SIZE(plans)):
            plan = PyList_GET_ITEM(plans, i)
            if fits(<Plan>plan, which, a, images):
                found = <Plan>plan
                break
    return found


cdef Plan make_plan(Operation operation, sn_pass which, const sn_array *a, int images, int operands, sn_device device):
    cdef Plan plan = Plan.__new__(Plan)
    cdef int i, ndim = a[0].ndim, height = operation.axis_height, width = operation.axis_width
    cdef int64_t samples = 1
    if ndim < 2:
        height, width = 0, 1  # the native check on the shape comes first
    else:
        height += ndim if height < 0 else 0
        width += ndim if width < 0 else 0
        if not (0 <= height < ndim and 0 <= width < ndim and height != width):
            raise ValueError(f"axes must name two different ones of the array's {ndim} axes, "
                             f"not ({operation.axis_height}, {operation.axis_width})")
    for i in range(ndim):
        samples *= a[0].shape[i]
    plan.device = automatic_device(a[0].dtype, samples) if device == AUTO else device
    status = sn_plan_create_nd(operation.params, which, plan.device, a, operands, height, width, &plan.plan)
    if status == SN_UNSUPPORTED and device == AUTO and plan.device != SN_DEVICE_CPU:
        plan.device = SN_DEVICE_CPU
        status = sn_plan_create_nd(operation.params, which, plan.device, a, operands, height, width, &plan.plan)
    if status != SN_OK:
        fail(status)
    plan.layout = <int64_t *>PyMem_Malloc(images * 2 * ndim * sizeof(int64_t))
    if plan.layout == NULL:
        raise MemoryError
    plan.brief = plan.device == SN_DEVICE_CPU and samples < RELEASE_FROM
    plan.which, plan.images, plan.ndim = which, images, ndim
    for i in range(images):
        plan.dtypes[i] = a[i].dtype
        memcpy(plan.layout + 2 * ndim * i, a[i].shape, ndim * sizeof(int64_t))
        memcpy(plan.layout + 2 * ndim * i + ndim, a[i].strides, ndim * sizeof(int64_t))
    with cython.critical_section(operation):
        operation.plans.insert(0, plan)
        del operation.plans[KEPT_PLANS:]
    return plan


cdef sn_device automatic_device(sn_dtype dtype, int64_t samples):
    cdef sn_device_info info
    if dtype == SN_FLOAT64 or samples < METAL_FROM:
        return SN_DEVICE_CPU
    for index in range(sn_device_count()):
        if sn_get_device_info(index, &info) == SN_OK and info.available and info.device >= SN_DEVICE_METAL:
            return info.device
    return SN_DEVICE_CPU


cdef inline sn_status run_plan(Plan plan, void **data, int operands) noexcept:
    cdef sn_status status
    if plan.brief:
        return sn_plan_run(plan.plan, data, operands)
    with nogil:
        status = sn_plan_run(plan.plan, data, operands)
    return status


cdef inline int run(Operation operation, sn_pass which, const sn_array *a, int images, int operands) except -1:
    """Run a pass on `operands` views, of which the first `images` ones are images."""
    cdef void *data[MAX_OPERANDS]
    cdef int i
    cdef Plan plan = find_plan(operation, which, a, images)
    if plan is None:
        plan = make_plan(operation, which, a, images, operands, operation.device)
    for i in range(operands):
        data[i] = a[i].data
    status = run_plan(plan, data, operands)
    if status != SN_OK:
        run_again(operation, plan, status, a, data, operands)
    return 0


cdef int run_again(Operation operation, Plan plan, sn_status status, const sn_array *a, void **data,
                   int operands) except -1:
    """After a failure: where the device was not asked for by name, the CPU answers for it."""
    if status in (SN_DEVICE_ERROR, SN_OUT_OF_MEMORY) and operation.device == AUTO and plan.device != SN_DEVICE_CPU:
        plan = make_plan(operation, plan.which, a, plan.images, operands, SN_DEVICE_CPU)
        status = run_plan(plan, data, operands)
    return 0 if status == SN_OK else fail(status)


cdef tuple names_of(sn_pass which):
    """Name the inputs as the methods do."""
    if which == SN_FORWARD:
        return ("x",)
    return ("x", "dx") if which == SN_JVP else ("grad_y", "x")


cdef inline object apply(Spatial spatial, sn_pass which, int n, PyObject **objects):
    """Run a pass on `n` operands, the last of which is the output: an array or None."""
    cdef sn_array a[MAX_OPERANDS]
    cdef int i
    for i in range(n):
        if not take_plain(objects[i], i == n - 1, &a[i]):
            return apply_other(spatial, which, n, objects)
    run(spatial, which, a, n, n)
    return <object>objects[n - 1]


cdef object apply_other(Spatial spatial, sn_pass which, int n, PyObject **objects):
    """Do the same with operands of any kind."""
    cdef sn_array a[MAX_OPERANDS]
    cdef Hold hold[MAX_OPERANDS]
    cdef int i, taken = 0
    out = <object>objects[n - 1]
    names = names_of(which)
    try:
        for i in range(n - 1):
            take(<object>objects[i], names[i], False, &a[i], &hold[i])
            taken += 1
        if out is None:
            out = new_array(<object>objects[0], &a[0])
        take(out, "out", True, &a[n - 1], &hold[n - 1])
        taken += 1
        for i in range(n):
            look_again(<object>objects[i] if i < n - 1 else out, names[i] if i < n - 1 else "out", i == n - 1, &a[i])
        run(spatial, which, a, n, n)
    finally:
        for i in range(taken):
            release(&hold[i])
    return out
