# Calls bound to their operands.

@cython.final
cdef class Bound:
    """A call bound to its arrays: made by `SpatialNorm.bind` and `SpatialNorm.bind_gradient`.

    Calling it, without arguments, computes anew from what the inputs hold by then, and returns `out`. It keeps
    its arrays alive. Memory that other objects lend by the buffer protocol stays lent as long as the bound call
    lives, so that its owner cannot resize it. A NumPy array that was given another shape, stride, type or place
    in memory since makes the call a ValueError.

    Attributes
    ----------
    out : array
        The output.
    """

    cdef vectorcallfunc vectorcall  # the first field, and no C methods: sn_use_vectorcall relies on it
    cdef Spatial spatial
    cdef Plan plan
    cdef tuple operands  # kept alive, and given again by borrowed references
    cdef PyObject *objects[MAX_OPERANDS]
    cdef int n, taken
    cdef bint moves[MAX_OPERANDS]  # a NumPy array, whose memory and shape can be changed in place
    cdef void *data[MAX_OPERANDS]
    cdef sn_array a[MAX_OPERANDS]
    cdef Hold hold[MAX_OPERANDS]

    def __cinit__(self, Spatial spatial not None, sn_pass which, tuple inputs not None, out):
        cdef int i, n = len(inputs) + 1
        names = names_of(which)
        if len(inputs) != len(names):
            raise TypeError(f"pass {which} takes {len(names)} inputs, not {len(inputs)}")
        self.vectorcall = <vectorcallfunc>call_bound
        self.spatial = spatial
        self.n = n
        for i, name in enumerate(names):
            take(inputs[i], name, False, &self.a[i], &self.hold[i])
            self.taken += 1
        if out is None:
            out = new_array(inputs[0], &self.a[0])
        take(out, "out", True, &self.a[n - 1], &self.hold[n - 1])
        self.taken += 1
        self.operands = (*inputs, out)
        for i in range(n):
            look_again(self.operands[i], names[i] if i < n - 1 else "out", i == n - 1, &self.a[i])
        for i in range(n):
            self.objects[i] = <PyObject *>self.operands[i]
            self.moves[i] = isinstance(self.operands[i], ndarray)
            self.data[i] = self.a[i].data
        self.plan = find_plan(spatial, which, self.a, n)
        if self.plan is None:
            self.plan = make_plan(spatial, which, self.a, n, n, spatial.device)

    def __call__(self):
        """Compute, and return `out`."""
        return run_bound(self)

    @property
    def out(self):
        """The output."""
        return self.operands[self.n - 1]

    def __dealloc__(self):
        for i in range(self.taken):
            release(&self.hold[i])


cdef inline object run_bound(Bound bound):
    cdef Plan plan = bound.plan
    cdef sn_array a[MAX_OPERANDS]  # of this call: others may run at once
    cdef bint same = True
    cdef int i, last = bound.n - 1
    for i in range(bound.n):
        a[i] = bound.a[i]
        if bound.moves[i]:
            a[i].dtype = dtype_of(sn_ndarray_number(<object>bound.objects[i]))
            sn_ndarray_view(<object>bound.objects[i], &a[i])
            same = same and a[i].data == bound.data[i]
    same = same and fits(plan, plan.which, a, bound.n)
    if not same or (bound.moves[last] and not sn_ndarray_writeable(<object>bound.objects[last])):
        raise ValueError("an array was resized, reshaped or made read-only after it was bound; bind it again")
    status = run_plan(plan, bound.data, bound.n)
    if status != SN_OK:
        run_again(bound.spatial, plan, status, a, bound.data, bound.n)
    return <object>bound.objects[last]


cdef object call_bound(Bound bound, PyObject *const *args, size_t n, PyObject *keywords):
    if PyVectorcall_NARGS(n) or keywords != NULL:
        raise TypeError("a bound call takes no arguments: its arrays were given to bind")
    return run_bound(bound)


sn_use_vectorcall(Bound, sizeof(PyObject))
