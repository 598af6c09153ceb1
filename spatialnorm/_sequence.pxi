# Several calls run as one by the native core: on Metal with one command buffer and one wait.

cdef int run_each_on_cpu(list plans, void **data, object steps) except -1:
    """After a failure of a device that was not asked for by name."""
    cdef sn_array a[MAX_OPERANDS]
    cdef Plan plan
    cdef int i, k = 0
    for step, _, operands in steps:
        plan = plans[k]
        for i in range(plan.images):
            take_ndarray(operands[i], "an image", i == plan.images - 1, &a[i])
        plan = make_plan(step, plan.which, a, plan.images, plan.images, SN_DEVICE_CPU)
        status = run_plan(plan, data + MAX_OPERANDS * k, plan.images)
        if status != SN_OK:
            fail(status)
        k += 1
    return 0


def run_sequence(list steps):
    """Run calls one after another: for each its `Operation`, whether the gradient is meant, and its NumPy arrays."""
    cdef sn_array a[MAX_OPERANDS]
    cdef Operation operation
    cdef Plan plan
    cdef int i, n, k = 0, n_steps = len(steps)
    cdef bint automatic = False
    cdef sn_status status
    cdef list plans = []  # what keeps them alive meanwhile
    cdef sn_run *runs = <sn_run *>PyMem_Malloc(max(n_steps, 1) * sizeof(sn_run))
    cdef void **data = <void **>PyMem_Malloc(max(n_steps, 1) * MAX_OPERANDS * sizeof(void *))
    try:
        if runs == NULL or data == NULL:
            raise MemoryError
        for step, gradient, operands in steps:
            operation, n = step, len(operands)
            which = SN_GRADIENT if gradient else SN_FORWARD
            for i in range(n):
                take_ndarray(operands[i], "an image", i == n - 1, &a[i])
                data[MAX_OPERANDS * k + i] = a[i].data
            plan = find_plan(operation, which, a, n)
            if plan is None:
                plan = make_plan(operation, which, a, n, n, operation.device)
            automatic |= operation.device == AUTO and plan.device != SN_DEVICE_CPU
            plans.append(plan)
            runs[k].plan, runs[k].data, runs[k].n_data = plan.plan, data + MAX_OPERANDS * k, n
            k += 1
        with nogil:
            status = sn_plans_run(runs, n_steps)
        if automatic and status in (SN_DEVICE_ERROR, SN_OUT_OF_MEMORY):
            run_each_on_cpu(plans, data, steps)
        elif status != SN_OK:
            fail(status)
    finally:
        PyMem_Free(runs)
        PyMem_Free(data)
