# Element-wise operations, as steps of graphs.

@cython.final
cdef class Elementwise(Operation):
    """An element-wise operation of the native core, on NumPy arrays of at least 2 axes.

    Parameters
    ----------
    name : {"add", "convert"}
        The sum of two arrays, or the same array in the dtype of the output.
    device : int
        Number of the device.
    """

    cdef sn_params header
    cdef readonly str name

    def __cinit__(self, str name not None, sn_device device):
        if name not in ("add", "convert"):
            raise ValueError(f"name must be 'add' or 'convert', not {name!r}")
        self.vectorcall = <vectorcallfunc>call_elementwise
        self.name = name
        self.header.size = sizeof(sn_params)
        self.header.operation = SN_ADD if name == "add" else SN_CONVERT
        self.params = &self.header
        self.device = device
        self.axis_height, self.axis_width = -2, -1
        self.plans = []

    def __call__(self, *operands):
        """Compute, and return the output, which comes last."""
        return run_elementwise(self, operands)


cdef object run_elementwise(Elementwise operation, tuple operands):
    cdef sn_array a[MAX_OPERANDS]
    cdef int i, n = 3 if operation.header.operation == SN_ADD else 2
    cdef tuple names = ("a", "b", "out") if n == 3 else ("x", "out")
    if len(operands) != n:
        raise TypeError(f"{operation.name} takes {n} arrays, not {len(operands)}")
    for i in range(n):
        if not isinstance(operands[i], ndarray):
            raise TypeError(f"{names[i]} must be a numpy.ndarray, not {type(operands[i]).__name__}")
    for i in range(n):
        take_ndarray(operands[i], names[i], i == n - 1, &a[i])
    run(operation, SN_FORWARD, a, n, n)
    return operands[n - 1]


cdef object call_elementwise(Elementwise operation, PyObject *const *args, size_t n, PyObject *keywords):
    """Call by PEP 590."""
    cdef Py_ssize_t i
    if keywords != NULL and len(<tuple>keywords):
        raise TypeError(f"{operation.name} takes no keywords")
    return run_elementwise(operation, tuple([<object>args[i] for i in range(PyVectorcall_NARGS(n))]))


sn_use_vectorcall(Elementwise, sizeof(PyObject))
