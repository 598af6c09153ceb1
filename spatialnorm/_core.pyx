# cython: language_level=3, freethreading_compatible=True, auto_pickle=False
"""Buffers to C arrays, statuses to exceptions, and the global lock. No formula and no shape rule.

A call goes: `take` views every operand in place, `find_plan` or `make_plan` gives the plan for these shapes,
strides and types, the plan runs, `release` gives the buffers back. Nothing is ever copied. NumPy's own arrays
need no `release`, and go by a shorter way (`take_plain`).
"""

cimport cython
from cpython.buffer cimport PyBUF_RECORDS_RO, PyBuffer_Release, PyObject_CheckBuffer, PyObject_GetBuffer
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from cpython.pycapsule cimport PyCapsule_GetPointer, PyCapsule_IsValid, PyCapsule_New
from cpython.ref cimport Py_DECREF, Py_INCREF, PyObject
from libc.stdint cimport INT64_MAX, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

import sys

import numpy

cdef extern from *:
    """
    /* A type's calls go to the function whose address stands `offset` bytes into the object (PEP 590). */
    static void sn_use_vectorcall(PyObject *type, Py_ssize_t offset) {
        ((PyTypeObject *)type)->tp_vectorcall_offset = offset;
        ((PyTypeObject *)type)->tp_flags |= Py_TPFLAGS_HAVE_VECTORCALL;
        PyType_Modified((PyTypeObject *)type);
    }
    """
    void sn_use_vectorcall(object, Py_ssize_t offset)
    ctypedef PyObject *(*vectorcallfunc)(PyObject *, PyObject *const *, size_t, PyObject *)
    Py_ssize_t PyVectorcall_NARGS(size_t)

cdef enum:
    MAX_AXES = 64  # NumPy's own limit, and the native core's
    MAX_OPERANDS = 3
    # Below this many samples (a few microseconds) giving up the global lock costs more than it frees.
    RELEASE_FROM = 8192
    # Plans that one object keeps; the oldest goes first.
    KEPT_PLANS = 8
    # device="auto" takes Metal from this many samples on. A choice, not a measurement: no Mac has run it.
    METAL_FROM = 1 << 20
    AUTO = -1


cdef int fail(sn_status status) except -1:
    message = sn_last_error().decode("utf-8", "replace")
    if status == SN_INVALID_ARGUMENT:
        raise ValueError(message)
    if status == SN_INVALID_TYPE:
        raise TypeError(message)
    if status == SN_OUT_OF_MEMORY:
        raise MemoryError(message)
    raise RuntimeError(message)


cdef class Operation:
    """An operation with its parameters, and the plans that were made for it. Abstract."""

    cdef vectorcallfunc vectorcall  # the first field, and no C methods: sn_use_vectorcall relies on it
    cdef const sn_params *params  # of the subclass
    cdef sn_device device
    cdef int axis_height, axis_width  # as given: negative ones count from the end
    cdef list plans
    cdef object __weakref__


include "_operands.pxi"
include "_dlpack.pxi"
include "_plans.pxi"
include "_bound.pxi"


cdef inline object forward(Spatial spatial, object x, object out):
    cdef PyObject *objects[2]
    objects[0], objects[1] = <PyObject *>x, <PyObject *>out
    return apply(spatial, SN_FORWARD, 2, objects)


cdef inline object product(Spatial spatial, sn_pass which, object a, object b, object out):
    cdef PyObject *objects[3]
    objects[0], objects[1], objects[2] = <PyObject *>a, <PyObject *>b, <PyObject *>out
    return apply(spatial, which, 3, objects)


cdef object call(Spatial spatial, PyObject *const *args, size_t n, PyObject *keywords):
    """Call by PEP 590, without a tuple: `norm(x)`, `norm(x, out)`, `norm(x, out=out)`."""
    n = PyVectorcall_NARGS(n)
    if keywords == NULL:
        if n == 2:
            return forward(spatial, <object>args[0], <object>args[1])
        if n == 1:
            return forward(spatial, <object>args[0], None)
    elif n == 1 and len(<tuple>keywords) == 1 and (<tuple>keywords)[0] == "out":
        return forward(spatial, <object>args[0], <object>args[1])
    names = () if keywords == NULL else <tuple>keywords
    positional = [<object>args[i] for i in range(n)]
    named = {name: <object>args[n + i] for i, name in enumerate(names)}
    return Spatial.__call__(spatial, *positional, **named)


cdef class Spatial(Operation):
    """Spatial normalization with fixed parameters, as the native core takes them.

    The base of `spatialnorm.SpatialNorm`, which converts and documents the arguments.
    """

    cdef sn_spatial_params spatial_params
    cdef readonly object arguments  # as given, in the form that `_arguments.Arguments` gives them

    def __cinit__(self, arguments, sn_edge edge, sn_gradient gradient, sn_device device):
        cdef int64_t one[2]
        cdef int64_t strides[2]
        cdef sn_array a[2]
        cdef sn_plan *plan = NULL
        cdef sn_spatial_params *params = &self.spatial_params
        self.vectorcall = <vectorcallfunc>call
        self.params = &params.header
        self.arguments = arguments
        params.header.size = sizeof(sn_spatial_params)
        params.header.operation = SN_SPATIAL
        (params.kernel_height, params.kernel_width), params.alpha, params.beta, params.delta, axes = arguments[:5]
        params.edge, params.gradient = edge, gradient
        self.axis_height, self.axis_width = axes
        self.device = device
        self.plans = []
        # The native core knows the rules: a plan for one sample tells whether the parameters keep them.
        one[0] = one[1] = 1
        strides[0] = strides[1] = 4
        a[0].data, a[0].shape, a[0].strides, a[0].ndim, a[0].dtype = NULL, one, strides, 2, SN_FLOAT32
        a[1] = a[0]
        status = sn_plan_create_nd(self.params, SN_FORWARD, SN_DEVICE_CPU if device == AUTO else device,
                                   a, 2, 0, 1, &plan)
        if status != SN_OK:
            fail(status)
        sn_plan_destroy(plan)

    def __call__(self, x, out=None):
        """Normalize: ``y = x * T^-beta``.

        Parameters
        ----------
        x : array, at least 2-D
            float16, bfloat16, float32 or float64; any strides, never copied. Any object with the
            buffer protocol, or with ``__dlpack__`` in the CPU's memory.
        out : array, optional
            Writable, with the shape and dtype of `x`, any strides; may be `x` itself.

        Returns
        -------
        array
            `out`, or a new `numpy.ndarray` in C order.

        Raises
        ------
        TypeError
            `x` or `out` has no buffer, or a dtype that is not taken, or the two differ in dtype.
        ValueError
            Shapes differ, `out` is read-only or overlaps `x` in part, `axes` are not those of `x`.
        """
        return forward(self, x, out)

    def gradient(self, grad_y, x, out=None):
        """Vector-Jacobian product: the gradient with respect to `x`.

        ``exact``: ``dx = dy T^-beta - 2 alpha beta/N x A(dy x T^(-beta-1))`` with A the transpose of the
        window sum. ``documented``: the formula printed in the header of Apple's MPSCNNNormalization.h.

        Parameters
        ----------
        grad_y : array, at least 2-D
            Gradient with respect to the result; as `x`.
        x : array
            Input of the forward pass, with the shape and dtype of `grad_y`, any strides.
        out : array, optional
            Writable, same shape and dtype, any strides; may be `grad_y` or `x` itself.

        Returns
        -------
        array
            `out`, or a new `numpy.ndarray` in C order.

        Raises
        ------
        TypeError, ValueError
            As for a call.
        """
        return product(self, SN_GRADIENT, grad_y, x, out)

    def jvp(self, x, dx, out=None):
        """Jacobian-vector product (forward mode): the change of the result for a change `dx` of `x`.

        ``dy = T^-beta dx - 2 alpha beta/N x T^(-beta-1) S(x dx)`` with S the window sum.

        Parameters
        ----------
        x : array, at least 2-D
            Point of linearization.
        dx : array
            Tangent, with the shape and dtype of `x`, any strides.
        out : array, optional
            Writable, same shape and dtype, any strides; may be `x` or `dx` itself.

        Returns
        -------
        array
            `out`, or a new `numpy.ndarray` in C order.

        Raises
        ------
        TypeError, ValueError
            As for a call.
        """
        return product(self, SN_JVP, x, dx, out)

    def bind(self, x, out=None):
        """Bind a call to its arrays, for fixed buffers: calling the result costs least.

        Parameters
        ----------
        x, out : array
            As for a call; without `out` a new array is made.

        Returns
        -------
        Bound
            To be called without arguments: computes anew from what `x` holds by then, and returns `out`,
            which is also its attribute. It keeps both arrays alive, and their buffers lent.

        Raises
        ------
        TypeError, ValueError
            As for a call; but an `out` that overlaps `x` in part is found when the result is called. So is
            a NumPy array that was resized, reshaped or made read-only in the meantime (ValueError).

        Examples
        --------
        >>> import numpy as np
        >>> import spatialnorm as sn
        >>> x = np.zeros((4, 4), np.float32)
        >>> step = sn.SpatialNorm(3).bind(x)
        >>> x[:] = 1
        >>> step() is step.out
        True
        """
        return Bound(self, SN_FORWARD, (x,), out)

    def bind_gradient(self, grad_y, x, out=None):
        """Bind a call of `gradient` to its arrays.

        Parameters
        ----------
        grad_y, x, out : array
            As for `gradient`; without `out` a new array is made.

        Returns
        -------
        Bound
            As for `bind`.

        Raises
        ------
        TypeError, ValueError
            As for `bind`.
        """
        return Bound(self, SN_GRADIENT, (grad_y, x), out)

    def parameter_gradients(self, grad_y, x):
        """Gradients with respect to alpha, beta and delta, for learnable normalization.

        Sums over all samples, in float64: ``d_alpha = sum dy x (-beta) T^(-beta-1) S/N``,
        ``d_beta = sum dy x (-log T) T^-beta``, ``d_delta = sum dy x (-beta) T^(-beta-1)``.

        Parameters
        ----------
        grad_y : array, at least 2-D
            Gradient with respect to the result.
        x : array
            Input of the forward pass, with the shape and dtype of `grad_y`.

        Returns
        -------
        (float, float, float)
            ``(d_alpha, d_beta, d_delta)``.

        Raises
        ------
        TypeError, ValueError
            As for a call.
        """
        cdef sn_array a[MAX_OPERANDS]
        cdef Hold hold[2]
        cdef double values[3]
        cdef int64_t three = 3, eight = 8
        cdef int i, taken = 0
        a[2].data, a[2].shape, a[2].strides, a[2].ndim, a[2].dtype = values, &three, &eight, 1, SN_FLOAT64
        try:
            take(grad_y, "grad_y", False, &a[0], &hold[0])
            taken += 1
            take(x, "x", False, &a[1], &hold[1])
            taken += 1
            look_again(grad_y, "grad_y", False, &a[0])
            look_again(x, "x", False, &a[1])
            run(self, SN_PARAMETER_GRADIENTS, a, 2, 3)
        finally:
            for i in range(taken):
                release(&hold[i])
        return values[0], values[1], values[2]


sn_use_vectorcall(Spatial, sizeof(PyObject))


def use_vectorcall(type cls):
    """Call objects of a class written in Python as fast as `Spatial`; Python 3.12 and later do so unasked."""
    if cls.__call__ is Spatial.__call__:
        sn_use_vectorcall(cls, sizeof(PyObject))
    return cls


include "_elementwise.pxi"
include "_library.pxi"
include "_sequence.pxi"
