# cython: language_level=3, freethreading_compatible=True, auto_pickle=False
"""Buffers to C arrays, statuses to exceptions, and the global lock. No formula and no shape rule.

A call goes: `take` views every operand in place, `Spatial` finds or makes the plan for these shapes,
strides and types, the plan runs, `release` gives the buffers back. Nothing is ever copied.
"""

cimport cython
from cpython.buffer cimport PyBUF_RECORDS_RO, PyBuffer_Release, PyObject_CheckBuffer, PyObject_GetBuffer
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from cpython.pycapsule cimport PyCapsule_GetPointer, PyCapsule_IsValid
from cpython.ref cimport Py_DECREF, Py_INCREF, PyObject
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

import sys

import numpy

cdef extern from *:
    """
    #ifndef NPY_NO_DEPRECATED_API
    #define NPY_NO_DEPRECATED_API NPY_1_25_API_VERSION
    #endif
    #include <numpy/ndarraytypes.h> /* struct layout and inline accessors only: no import_array() */

    _Static_assert(sizeof(npy_intp) == 8, "shapes and strides are passed on as they stand");

    /* The array's dtype number, -1 if it is byte-swapped. */
    static inline int sn_ndarray_number(PyObject *o) {
        PyArrayObject *a = (PyArrayObject *)o;
        return PyArray_DESCR(a)->byteorder == NPY_OPPBYTE ? -1 : PyArray_TYPE(a);
    }
    static inline int sn_ndarray_writeable(PyObject *o) {
        return (PyArray_FLAGS((PyArrayObject *)o) & NPY_ARRAY_WRITEABLE) != 0;
    }
    static inline void sn_ndarray_view(PyObject *o, sn_array *a) {
        PyArrayObject *x = (PyArrayObject *)o;
        a->data = PyArray_DATA(x);
        a->ndim = PyArray_NDIM(x);
        a->shape = (const int64_t *)PyArray_DIMS(x);
        a->strides = (const int64_t *)PyArray_STRIDES(x);
    }

    /* A type's calls go to the function whose address stands `offset` bytes into the object (PEP 590). */
    static void sn_use_vectorcall(PyObject *type, Py_ssize_t offset) {
        ((PyTypeObject *)type)->tp_vectorcall_offset = offset;
        ((PyTypeObject *)type)->tp_flags |= Py_TPFLAGS_HAVE_VECTORCALL;
        PyType_Modified((PyTypeObject *)type);
    }

    /* DLPack 1.0, as its specification lays it out. */
    typedef struct { int32_t device_type, device_id; } sn_dl_device;
    typedef struct { uint8_t code, bits; uint16_t lanes; } sn_dl_dtype;
    typedef struct {
        void *data;
        sn_dl_device device;
        int32_t ndim;
        sn_dl_dtype dtype;
        int64_t *shape, *strides; /* strides in elements, NULL for C order */
        uint64_t byte_offset;
    } sn_dl_tensor;
    typedef struct { sn_dl_tensor tensor; void *context; void (*deleter)(void *); } sn_dl_managed;
    typedef struct {
        uint32_t major, minor;
        void *context;
        void (*deleter)(void *);
        uint64_t flags; /* 1: read only, 2: a copy */
        sn_dl_tensor tensor;
    } sn_dl_managed_versioned;
    """
    enum:
        NPY_HALF
        NPY_FLOAT
        NPY_DOUBLE

    int sn_ndarray_number(object)
    bint sn_ndarray_writeable(object)
    void sn_ndarray_view(object, sn_array *)
    void sn_use_vectorcall(object, Py_ssize_t offset)

    ctypedef struct sn_dl_device:
        int32_t device_type
    ctypedef struct sn_dl_dtype:
        uint8_t code
        uint8_t bits
        uint16_t lanes
    ctypedef struct sn_dl_tensor:
        void *data
        sn_dl_device device
        int32_t ndim
        sn_dl_dtype dtype
        int64_t *shape
        int64_t *strides
        uint64_t byte_offset
    ctypedef struct sn_dl_managed:
        sn_dl_tensor tensor
    ctypedef struct sn_dl_managed_versioned:
        uint32_t major
        uint64_t flags
        sn_dl_tensor tensor

    ctypedef PyObject *(*vectorcallfunc)(PyObject *, PyObject *const *, size_t, PyObject *)
    Py_ssize_t PyVectorcall_NARGS(size_t)

cdef enum:
    MAX_AXES = 64  # NumPy's own limit, and the native core's
    MAX_OPERANDS = 3
    # Below this many samples (a few microseconds) giving up the global lock costs more than it frees.
    RELEASE_FROM = 4096
    # Plans that one object keeps; the oldest goes first.
    KEPT_PLANS = 8
    # device="auto" takes Metal from this many samples on. A choice, not a measurement: no Mac has run it.
    METAL_FROM = 1 << 20
    AUTO = -1

cdef type ndarray = numpy.ndarray
cdef object empty_array = numpy.empty
cdef int bfloat16_number = -2  # NumPy numbers the type when ml_dtypes registers it
cdef bint little_endian = sys.byteorder == "little"


# Statuses ----------------------------------------------------------------------------------------------------

cdef int fail(sn_status status) except -1:
    message = sn_last_error().decode("utf-8", "replace")
    if status == SN_INVALID_ARGUMENT:
        raise ValueError(message)
    if status == SN_INVALID_TYPE:
        raise TypeError(message)
    if status == SN_OUT_OF_MEMORY:
        raise MemoryError(message)
    raise RuntimeError(message)


# Operands ----------------------------------------------------------------------------------------------------

cdef struct Hold:  # what keeps an operand's memory in place
    bint exported
    PyObject *capsule
    Py_buffer buffer
    int64_t strides[MAX_AXES]  # in bytes, where the exporter counts otherwise


cdef inline sn_dtype dtype_of(int number) noexcept:
    if number == NPY_FLOAT:
        return SN_FLOAT32
    if number == NPY_DOUBLE:
        return SN_FLOAT64
    if number == NPY_HALF:
        return SN_FLOAT16
    return SN_BFLOAT16 if number == bfloat16_number else 0


cdef inline int take(object o, const char *name, bint writable, sn_array *a, Hold *hold) except -1:
    """View an operand in place; `release` must follow."""
    hold.exported = False
    hold.capsule = NULL
    if type(o) is ndarray:
        a.dtype = dtype_of(sn_ndarray_number(o))
        if a.dtype != 0 and (not writable or sn_ndarray_writeable(o)):
            sn_ndarray_view(o, a)
            return 0
    return take_other(o, name.decode(), writable, a, hold)


cdef inline void release(Hold *hold) noexcept:
    if hold.exported:
        PyBuffer_Release(&hold.buffer)
    if hold.capsule != NULL:
        Py_DECREF(<object>hold.capsule)  # nobody consumed it, so its own destructor gives the tensor back


cdef int take_other(object o, str name, bint writable, sn_array *a, Hold *hold) except -1:
    if isinstance(o, ndarray):
        return take_ndarray(o, name, writable, a)
    dlpack = hasattr(o, "__dlpack__")
    if PyObject_CheckBuffer(o):
        try:
            return take_buffer(o, name, writable, a, hold)
        except BufferError as error:
            if not dlpack:  # some exporters have no buffer format for bfloat16, but have DLPack
                raise BufferError(f"the buffer of {name} cannot be had: {error}") from error
    if dlpack:
        return take_dlpack(o, name, writable, a, hold)
    if writable:
        raise TypeError(f"{name} must be a writable array (an object with the buffer protocol or __dlpack__), "
                        f"not {type(o).__name__}")
    raise TypeError(f"{name} must be an array (an object with the buffer protocol or __dlpack__), "
                    f"not {type(o).__name__}; convert it with numpy.asarray({name}, dtype=numpy.float32)")


cdef object wrong_dtype(str name, bint writable, dtype, str advice):
    rule = f"{name} must be float16, bfloat16, float32 or float64, not {dtype}"
    return TypeError(rule if writable else f"{rule}; convert it with {advice}")


cdef object wrong_byte_order(str name, dtype):
    return TypeError(f"{name} must have this machine's byte order, not {dtype}; convert it with "
                     f"{name}.astype({name}.dtype.newbyteorder('='))")


cdef object read_only(str name):
    return ValueError(f"{name} must be writable, but is read-only")


cdef int take_ndarray(object o, str name, bint writable, sn_array *a) except -1:
    global bfloat16_number
    masked = sys.modules.get("numpy.ma")
    if masked is not None and isinstance(o, masked.MaskedArray):
        raise TypeError(f"{name} must not be a masked array, whose mask would be ignored; "
                        f"fill it with {name}.filled(0), or pass {name}.data")
    number = sn_ndarray_number(o)
    if number == -1:
        raise wrong_byte_order(name, repr(o.dtype.str)) if o.dtype.kind == "f" else \
            wrong_dtype(name, writable, o.dtype, f"{name}.astype(numpy.float32)")
    a.dtype = dtype_of(number)
    if a.dtype == 0 and o.dtype.name == "bfloat16" and o.dtype.itemsize == 2:
        bfloat16_number = number
        a.dtype = SN_BFLOAT16
    if a.dtype == 0:
        raise wrong_dtype(name, writable, o.dtype, f"{name}.astype(numpy.float32)")
    if writable and not sn_ndarray_writeable(o):
        raise read_only(name)
    sn_ndarray_view(o, a)
    return 0


cdef int take_buffer(object o, str name, bint writable, sn_array *a, Hold *hold) except -1:
    cdef Py_buffer *b = &hold.buffer
    PyObject_GetBuffer(o, b, PyBUF_RECORDS_RO)
    try:
        text = "B" if b.format == NULL else b.format.decode()
        a.dtype = dtype_of_format(text, b.itemsize)
        if a.dtype == 0:
            if text[:1] in ((">", "!") if little_endian else ("<",)) and text[1:] in ("e", "f", "d"):
                raise wrong_byte_order(name, f"format {text!r}")
            raise wrong_dtype(name, writable, format_name(text),
                              f"numpy.asarray({name}, dtype=numpy.float32), or give raw bytes their type with "
                              f"memoryview({name}).cast('f', shape)")
        if writable and b.readonly:
            raise read_only(name)
        a.data = b.buf
        a.ndim = b.ndim
        a.shape = <const int64_t *>b.shape
        a.strides = <const int64_t *>b.strides
        if b.strides == NULL and b.ndim > 0:  # ctypes leaves them out
            c_strides(name, a, b.itemsize, hold)
    except BaseException:
        PyBuffer_Release(b)
        raise
    hold.exported = True
    return 0


cdef str format_name(str text):
    try:
        return f"{numpy.dtype(text).name} (buffer format {text!r})"
    except (TypeError, ValueError):  # NumPy has no type of that format
        return f"buffer format {text!r}"


cdef sn_dtype dtype_of_format(str text, Py_ssize_t itemsize):
    if text[:1] in ("@", "=", "<" if little_endian else ">"):
        text = text[1:]
    if text == "e" and itemsize == 2:
        return SN_FLOAT16
    if text == "f" and itemsize == 4:
        return SN_FLOAT32
    if text == "d" and itemsize == 8:
        return SN_FLOAT64
    return 0


cdef int c_strides(str name, sn_array *a, int64_t itemsize, Hold *hold) except -1:
    if a.ndim > MAX_AXES:
        raise ValueError(f"{name} must have at most {MAX_AXES} axes, not {a.ndim}")
    for k in range(a.ndim - 1, -1, -1):
        hold.strides[k] = itemsize
        itemsize *= max(a.shape[k], 1)
    a.strides = hold.strides
    return 0


cdef int take_dlpack(object o, str name, bint writable, sn_array *a, Hold *hold) except -1:
    cdef sn_dl_tensor *tensor
    cdef sn_dl_managed_versioned *managed
    cdef uint64_t flags = 0
    kind = o.__dlpack_device__()[0]
    if kind not in (1, 3, 11):  # the CPU's memory: plain, pinned for CUDA, pinned for ROCm
        raise TypeError(f"{name} must be in the CPU's memory, not on DLPack device type {int(kind)}; "
                        f"move it there, for example with {name}.cpu()")
    try:
        capsule = o.__dlpack__(max_version=(1, 0))
    except TypeError:  # an exporter from before DLPack 1.0
        capsule = o.__dlpack__()
    if PyCapsule_IsValid(capsule, "dltensor_versioned"):
        managed = <sn_dl_managed_versioned *>PyCapsule_GetPointer(capsule, "dltensor_versioned")
        if managed.major != 1:
            raise BufferError(f"{name} must export DLPack version 1, not {managed.major}")
        flags = managed.flags
        tensor = &managed.tensor
    else:
        tensor = &(<sn_dl_managed *>PyCapsule_GetPointer(capsule, "dltensor")).tensor
    a.dtype = 0
    if tensor.dtype.lanes == 1 and tensor.dtype.code == 2:
        a.dtype = {16: SN_FLOAT16, 32: SN_FLOAT32, 64: SN_FLOAT64}.get(tensor.dtype.bits, 0)
    elif tensor.dtype.lanes == 1 and tensor.dtype.code == 4 and tensor.dtype.bits == 16:
        a.dtype = SN_BFLOAT16
    if a.dtype == 0:
        kinds = {0: "int", 1: "uint", 2: "float", 4: "bfloat", 5: "complex", 6: "bool"}
        dtype = f"{kinds.get(tensor.dtype.code, f'DLPack type {tensor.dtype.code} of bits ')}{tensor.dtype.bits}"
        raise wrong_dtype(name, writable, dtype, "its own library, to float32")
    if flags & 2:
        raise BufferError(f"{name} must be shared as it is, but its owner exports a copy")
    if writable and flags & 1:
        raise read_only(name)
    a.data = <char *>tensor.data + tensor.byte_offset if tensor.data != NULL else NULL
    a.ndim = tensor.ndim
    a.shape = tensor.shape
    itemsize = {SN_FLOAT32: 4, SN_FLOAT64: 8}.get(a.dtype, 2)
    c_strides(name, a, itemsize, hold)
    if tensor.strides != NULL:
        for k in range(a.ndim):
            hold.strides[k] = tensor.strides[k] * itemsize
    Py_INCREF(capsule)
    hold.capsule = <PyObject *>capsule
    return 0


cdef object new_array(object like, const sn_array *a):
    """Make an array in C order of the shape and dtype that `a`, the view of `like`, has."""
    if isinstance(like, ndarray):
        return empty_array((<object>like).shape, (<object>like).dtype)
    if a.dtype == SN_BFLOAT16:
        try:
            from ml_dtypes import bfloat16 as dtype
        except ImportError:
            raise ImportError("a new bfloat16 array needs the package ml_dtypes; install it or pass out") from None
    else:
        dtype = {SN_FLOAT16: "f2", SN_FLOAT32: "f4", SN_FLOAT64: "f8"}[a.dtype]
    return empty_array(tuple([a.shape[k] for k in range(a.ndim)]), dtype)


# Plans -------------------------------------------------------------------------------------------------------

@cython.final
cdef class Plan:
    """A native plan and the shapes, strides and types that it is for."""

    cdef sn_plan *plan
    cdef sn_pass which
    cdef sn_device device
    cdef int images, ndim
    cdef int64_t samples
    cdef sn_dtype dtypes[MAX_OPERANDS]
    cdef int64_t *layout  # for each operand its shape, then its strides

    def __dealloc__(self):
        sn_plan_destroy(self.plan)
        PyMem_Free(self.layout)


cdef inline bint fits(Plan plan, sn_pass which, const sn_array *a, int images) noexcept:
    cdef const int64_t *layout = plan.layout
    cdef int i, k, ndim = plan.ndim
    if plan.which != which:
        return False
    for i in range(images):
        if a[i].ndim != ndim or a[i].dtype != plan.dtypes[i]:
            return False
        for k in range(ndim):
            if a[i].shape[k] != layout[k] or a[i].strides[k] != layout[ndim + k]:
                return False
        layout += 2 * ndim
    return True


cdef inline Plan find_plan(Spatial spatial, sn_pass which, const sn_array *a, int images):
    cdef Plan plan, found = None
    with cython.critical_section(spatial):
        for plan in spatial.plans:
            if fits(plan, which, a, images):
                found = plan
                break
    return found


cdef Plan make_plan(Spatial spatial, sn_pass which, const sn_array *a, int images, int operands, sn_device device):
    cdef Plan plan = Plan.__new__(Plan)
    cdef int i, ndim = a[0].ndim, height = spatial.axis_height, width = spatial.axis_width
    if ndim < 2:
        height, width = 0, 1  # the native check on the shape comes first
    else:
        height += ndim if height < 0 else 0
        width += ndim if width < 0 else 0
        if not (0 <= height < ndim and 0 <= width < ndim and height != width):
            raise ValueError(f"axes must name two different ones of the array's {ndim} axes, "
                             f"not ({spatial.axis_height}, {spatial.axis_width})")
    plan.samples = 1
    for i in range(ndim):
        plan.samples *= a[0].shape[i]
    plan.device = device
    if device == AUTO:
        plan.device = automatic_device(a[0].dtype, plan.samples)
    status = sn_plan_create_nd(&spatial.params.header, which, plan.device, a, operands, height, width, &plan.plan)
    if status == SN_UNSUPPORTED and device == AUTO and plan.device != SN_DEVICE_CPU:
        plan.device = SN_DEVICE_CPU
        status = sn_plan_create_nd(&spatial.params.header, which, plan.device, a, operands, height, width, &plan.plan)
    if status != SN_OK:
        fail(status)
    plan.layout = <int64_t *>PyMem_Malloc(images * 2 * ndim * sizeof(int64_t))
    if plan.layout == NULL:
        raise MemoryError
    plan.which, plan.images, plan.ndim = which, images, ndim
    for i in range(images):
        plan.dtypes[i] = a[i].dtype
        memcpy(plan.layout + 2 * ndim * i, a[i].shape, ndim * sizeof(int64_t))
        memcpy(plan.layout + 2 * ndim * i + ndim, a[i].strides, ndim * sizeof(int64_t))
    with cython.critical_section(spatial):
        spatial.plans.insert(0, plan)
        del spatial.plans[KEPT_PLANS:]
    return plan


cdef sn_device automatic_device(sn_dtype dtype, int64_t samples):
    cdef sn_device_info info
    if dtype == SN_FLOAT64 or samples < METAL_FROM:
        return SN_DEVICE_CPU
    for index in range(sn_device_count()):
        if sn_get_device_info(index, &info) == SN_OK and info.available and info.device >= SN_DEVICE_METAL:
            return info.device
    return SN_DEVICE_CPU


cdef inline sn_status run_plan(Plan plan, void **data, int operands):
    cdef sn_status status
    if plan.samples < RELEASE_FROM:
        return sn_plan_run(plan.plan, data, operands)
    with nogil:
        status = sn_plan_run(plan.plan, data, operands)
    return status


cdef inline int run(Spatial spatial, sn_pass which, const sn_array *a, int images, int operands) except -1:
    """Run a pass on `operands` views, of which the first `images` ones are images."""
    cdef void *data[MAX_OPERANDS]
    cdef int i
    cdef Plan plan = find_plan(spatial, which, a, images)
    if plan is None:
        plan = make_plan(spatial, which, a, images, operands, spatial.device)
    for i in range(operands):
        data[i] = a[i].data
    status = run_plan(plan, data, operands)
    if status != SN_OK:
        if status == SN_DEVICE_ERROR and spatial.device == AUTO and plan.device != SN_DEVICE_CPU:
            status = run_plan(make_plan(spatial, which, a, images, operands, SN_DEVICE_CPU), data, operands)
        if status != SN_OK:
            fail(status)
    return 0


cdef inline object apply(Spatial spatial, sn_pass which, int n, PyObject **objects, const char **names):
    """Run a pass on `n` operands, the last of which is the output: an array or None."""
    cdef sn_array a[MAX_OPERANDS]
    cdef Hold hold[MAX_OPERANDS]
    cdef int i, taken = 0
    out = <object>objects[n - 1]
    try:
        for i in range(n - 1):
            take(<object>objects[i], names[i], False, &a[i], &hold[i])
            taken += 1
        if out is None:
            out = new_array(<object>objects[0], &a[0])
        take(out, "out", True, &a[n - 1], &hold[n - 1])
        taken += 1
        run(spatial, which, a, n, n)
    finally:
        for i in range(taken):
            release(&hold[i])
    return out


cdef inline object forward(Spatial spatial, object x, object out):
    cdef PyObject *objects[2]
    cdef const char *names[1]
    objects[0], objects[1] = <PyObject *>x, <PyObject *>out
    names[0] = "x"
    return apply(spatial, SN_FORWARD, 2, objects, names)


cdef inline object product(Spatial spatial, sn_pass which, const char *name0, const char *name1,
                           object a, object b, object out):
    cdef PyObject *objects[3]
    cdef const char *names[2]
    objects[0], objects[1], objects[2] = <PyObject *>a, <PyObject *>b, <PyObject *>out
    names[0], names[1] = name0, name1
    return apply(spatial, which, 3, objects, names)


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


cdef class Spatial:
    """Spatial normalization with fixed parameters, as the native core takes them.

    The base of `spatialnorm.SpatialNorm`, which converts and documents the arguments.
    """

    cdef vectorcallfunc vectorcall  # the first field, and no C methods: sn_use_vectorcall relies on it
    cdef sn_spatial_params params
    cdef sn_device device
    cdef int axis_height, axis_width  # as given: negative ones count from the end
    cdef list plans
    cdef readonly object arguments  # as given, in the form that `_arguments.Arguments` gives them
    cdef object __weakref__

    def __cinit__(self, arguments, sn_edge edge, sn_gradient gradient, sn_device device):
        cdef int64_t one[2]
        cdef int64_t strides[2]
        cdef sn_array a[2]
        cdef sn_plan *plan = NULL
        cdef sn_spatial_params *params = &self.params
        self.vectorcall = <vectorcallfunc>call
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
        status = sn_plan_create_nd(&self.params.header, SN_FORWARD, SN_DEVICE_CPU if device == AUTO else device,
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
        return product(self, SN_GRADIENT, "grad_y", "x", grad_y, x, out)

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
        return product(self, SN_JVP, "x", "dx", x, dx, out)

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
            run(self, SN_PARAMETER_GRADIENTS, a, 2, 3)
        finally:
            for i in range(taken):
                release(&hold[i])
        return values[0], values[1], values[2]


sn_use_vectorcall(Spatial, sizeof(PyObject))


# The library -------------------------------------------------------------------------------------------------

def version():
    """Version of the native core."""
    return sn_version().decode()


def isa():
    """CPU instruction set in use."""
    name = sn_isa().decode()
    if not name:
        fail(SN_UNSUPPORTED)
    return name


def set_num_threads(int32_t n):
    """Threads that one call may use, itself included; 0 restores the default."""
    status = sn_set_num_threads(n)
    if status != SN_OK:
        fail(status)


def get_num_threads():
    """Threads that one call may use, itself included."""
    return sn_get_num_threads()


def devices():
    """(number, available, kind, name, description) of each device, including those that cannot run."""
    cdef sn_device_info info
    result = []
    for index in range(sn_device_count()):
        status = sn_get_device_info(index, &info)
        if status != SN_OK:
            fail(status)
        result.append((info.device, bool(info.available), info.kind.decode(), info.name.decode(),
                       info.description.decode()))
    return result
