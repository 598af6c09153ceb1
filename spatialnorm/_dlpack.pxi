# Operands that come by DLPack, in the CPU's memory.

cdef extern from *:
    """
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
    a.dtype = UNKNOWN
    if tensor.dtype.lanes == 1 and tensor.dtype.code == 2:
        a.dtype = {16: SN_FLOAT16, 32: SN_FLOAT32, 64: SN_FLOAT64}.get(tensor.dtype.bits, UNKNOWN)
    elif tensor.dtype.lanes == 1 and tensor.dtype.code == 4 and tensor.dtype.bits == 16:
        a.dtype = SN_BFLOAT16
    if a.dtype == UNKNOWN:
        kinds = {0: "int", 1: "uint", 2: "float", 4: "bfloat", 5: "complex", 6: "bool"}
        dtype = f"{kinds.get(tensor.dtype.code, f'DLPack type {tensor.dtype.code} of bits ')}{tensor.dtype.bits}"
        raise wrong_dtype(name, writable, dtype, "its own library, to float32")
    if flags & 2:
        raise BufferError(f"{name} must be shared as it is, but its owner exports a copy")
    if writable and flags & 1:
        raise read_only(name)
    a.data = <char *>tensor.data + tensor.byte_offset if tensor.data != NULL else NULL
    if tensor.ndim < 0 or (tensor.ndim > 0 and tensor.shape == NULL):
        raise BufferError(f"{name} must export a shape of as many sizes as it has axes")
    a.ndim = tensor.ndim
    a.shape = tensor.shape
    itemsize = {SN_FLOAT32: 4, SN_FLOAT64: 8}.get(a.dtype, 2)
    c_strides(name, a, itemsize, hold)
    if tensor.strides != NULL:
        for k in range(a.ndim):
            if not -(INT64_MAX // 8) <= tensor.strides[k] <= INT64_MAX // 8:
                raise ValueError(f"stride {k} of {name} must fit 64 bits in bytes, but is {tensor.strides[k]} elements")
            hold.strides[k] = tensor.strides[k] * itemsize
    Py_INCREF(capsule)
    hold.capsule = <PyObject *>capsule
    return 0
