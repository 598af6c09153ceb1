# Operands: NumPy arrays by their struct, everything else by its buffer; DLPack is next door.

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
    """
    enum:
        NPY_HALF
        NPY_FLOAT
        NPY_DOUBLE

    int sn_ndarray_number(object)
    bint sn_ndarray_writeable(object)
    void sn_ndarray_view(object, sn_array *)

cdef type ndarray = numpy.ndarray
cdef object empty_array = numpy.empty
cdef int bfloat16_number = -2  # NumPy numbers the type when ml_dtypes registers it
cdef extern from *:
    sn_dtype UNKNOWN "(sn_dtype)0"
cdef bint little_endian = sys.byteorder == "little"


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
    return SN_BFLOAT16 if number == bfloat16_number else UNKNOWN


cdef inline bint take_plain(PyObject *o, bint writable, sn_array *a) noexcept:
    """View an operand that is NumPy's own array of a known type: nothing has to be given back."""
    if type(<object>o) is not ndarray:
        return False
    a.dtype = dtype_of(sn_ndarray_number(<object>o))
    sn_ndarray_view(<object>o, a)
    return a.dtype != UNKNOWN and (not writable or sn_ndarray_writeable(<object>o))


cdef inline int take(object o, str name, bint writable, sn_array *a, Hold *hold) except -1:
    """View an operand in place; `release` must follow."""
    hold.exported = False
    hold.capsule = NULL
    return 0 if take_plain(<PyObject *>o, writable, a) else take_other(o, name, writable, a, hold)


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
    if a.dtype == UNKNOWN and o.dtype.name == "bfloat16" and o.dtype.itemsize == 2:
        bfloat16_number = number
        a.dtype = SN_BFLOAT16
    if a.dtype == UNKNOWN:
        raise wrong_dtype(name, writable, o.dtype, f"{name}.astype(numpy.float32)")
    if writable and not sn_ndarray_writeable(o):
        raise read_only(name)
    sn_ndarray_view(o, a)
    return 0


cdef int look_again(object o, str name, bint writable, sn_array *a) except -1:
    """View a NumPy array anew after all operands were taken: the owner of a later one may have changed it meanwhile.

    No code of theirs runs here. Other objects' memory stays as it is while it is lent.
    """
    if not isinstance(o, ndarray):
        return 0
    if dtype_of(sn_ndarray_number(o)) != a.dtype or (writable and not sn_ndarray_writeable(o)):
        raise ValueError(f"{name} must stay as it is during the call, but another operand's code changed it")
    sn_ndarray_view(o, a)
    return 0


cdef int take_buffer(object o, str name, bint writable, sn_array *a, Hold *hold) except -1:
    cdef Py_buffer *b = &hold.buffer
    PyObject_GetBuffer(o, b, PyBUF_RECORDS_RO)
    try:
        if (b.shape == NULL and b.ndim != 0) or b.suboffsets != NULL:
            raise BufferError(f"{name} must lend its buffer with a shape and without suboffsets")
        text = "B" if b.format == NULL else b.format.decode("utf-8", "replace")
        a.dtype = dtype_of_format(text, b.itemsize)
        if a.dtype == UNKNOWN:
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
    return UNKNOWN


cdef int c_strides(str name, sn_array *a, int64_t itemsize, Hold *hold) except -1:
    if a.ndim > MAX_AXES:
        raise ValueError(f"{name} must have at most {MAX_AXES} axes, not {a.ndim}")
    for k in range(a.ndim - 1, -1, -1):
        hold.strides[k] = itemsize
        itemsize *= max(a.shape[k], 1)
    a.strides = hold.strides
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
