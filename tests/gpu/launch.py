"""The library's own launch arithmetic (native/src/metal/launch*.cpp), called from Python."""

from __future__ import annotations

import ctypes
import functools
import hashlib
from dataclasses import dataclass, replace

import msl

NATIVE = msl.ROOT / "native"
PASSES = {"forward": 0, "gradient": 1, "jvp": 2, "parameter_gradients": 3}
DTYPES = {"half": 1, "bfloat": 2, "float": 3}
ITEMSIZE = {"half": 2, "bfloat": 2, "float": 4}
DESIGNS = ("automatic", "plain", "general", "simd", "strip", "interleaved", "small", "planes", "columns")


@dataclass(frozen=True)
class Operation:
    """One pass of one operation: what a problem is made of, beside its arrays."""

    which: str = "forward"
    kernel: tuple[int, int] = (5, 5)
    alpha: float = 1.0
    beta: float = 5.0
    delta: float = 1.0
    edge: str = "zero"
    documented: bool = False
    dtype: str = "float"
    design: str = "automatic"
    aligned: bool = False
    scratch_limit: int = 0
    concurrency: int = 0
    tile: tuple[int, ...] = (0, 0, 0, 0, 0)
    groups_at_once: int = 0

    def with_(self, **changes) -> Operation:
        return replace(self, **changes)

    @property
    def images(self) -> int:
        return 2 if self.which in ("forward", "parameter_gradients") else 3


class Params(ctypes.Structure):
    _fields_ = [
        ("size", ctypes.c_uint32),
        ("operation", ctypes.c_int32),
        ("kernel", ctypes.c_int64 * 2),
        ("alpha", ctypes.c_double),
        ("beta", ctypes.c_double),
        ("delta", ctypes.c_double),
        ("edge", ctypes.c_int32),
        ("gradient", ctypes.c_int32),
    ]


class Array(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("ndim", ctypes.c_int32),
        ("dtype", ctypes.c_int32),
    ]


class Binding(ctypes.Structure):
    _fields_ = [("kind", ctypes.c_int32), ("index", ctypes.c_int32), ("offset", ctypes.c_int64)]


@functools.cache
def library():
    src = NATIVE / "src"
    files = [
        *sorted(src.glob("*.cpp")),
        *sorted((src / "ops").glob("*.cpp")),
        *sorted((src / "metal").glob("launch*.cpp")),
        msl.HERE / "native" / "launch_table.cpp",
    ]
    files = [f for f in files if f.name not in ("c_api.cpp", "device.cpp")]
    headers = [*src.glob("*.h"), *(src / "metal").glob("*.h"), *msl.METAL.glob("*.h")]
    stamp = "".join(f"// {hashlib.sha256(f.read_bytes()).hexdigest()}\n" for f in [*files, *headers])
    command = [
        "g++",
        "-O1",
        "-std=c++17",
        "-shared",
        "-fPIC",
        "-w",
        f"-I{NATIVE / 'include'}",
        f"-I{src}",
        f"-I{msl.METAL}",
        *map(str, files),
    ]
    lib = ctypes.CDLL(str(msl.compiled(stamp, command, ".so")[0]))
    lib.launch_table_create.restype = ctypes.c_void_p
    lib.launch_table_create.argtypes = [
        ctypes.c_void_p,
        ctypes.c_int32,
        ctypes.c_void_p,
        ctypes.c_int32,
        ctypes.c_int32,
        ctypes.c_int32,
        ctypes.c_int32,
        ctypes.c_int32,
        ctypes.c_int64,
        ctypes.c_int64,
        ctypes.c_int32,
        ctypes.c_int32,
        ctypes.c_int32,
        ctypes.c_int32,
        ctypes.c_int32,
        ctypes.c_int64,
    ]
    for name in ("destroy", "error", "scratch_bytes", "result_offset", "size"):
        getattr(lib, f"launch_table_{name}").argtypes = [ctypes.c_void_p]
    lib.launch_table_error.restype = ctypes.c_char_p
    lib.launch_table_scratch_bytes.restype = lib.launch_table_result_offset.restype = ctypes.c_int64
    lib.launch_table_at.argtypes = [ctypes.c_void_p, ctypes.c_int32]
    size = lib.launch_table_params_size()

    class Dispatch(ctypes.Structure):
        _fields_ = [
            ("kernel", ctypes.c_char * 64),
            ("n_bindings", ctypes.c_int32),
            ("bindings", Binding * 5),
            ("params", ctypes.c_uint64 * (size // 8)),
            ("groups", ctypes.c_uint32),
            ("threads", ctypes.c_uint32),
        ]

    lib.launch_table_at.restype = ctypes.POINTER(Dispatch)
    lib.Dispatch = Dispatch
    return lib


@dataclass
class Launch:
    dispatches: list
    scratch_bytes: int
    result_offset: int

    @property
    def names(self) -> list[str]:
        return [d.kernel.decode() for d in self.dispatches]


def strides_of(shape, dtype, nhwc=False):
    """Byte strides of an image of shape (n, c, h, w) that lies densely, rows or channels innermost."""
    _, c, h, w = shape
    strides = (h * w * c, 1, w * c, c) if nhwc else (c * h * w, h * w, w, 1)
    return tuple(s * ITEMSIZE[dtype] for s in strides)


def plan(shape, dtype, nhwc, which, k, beta=0.75, **options) -> Launch:
    """Build the launch of a k x k window over dense images that start at multiples of 16 bytes."""
    operation = Operation(which, (k, k), 1.0, beta, 1.0, dtype=dtype, aligned=True, **options)
    return make_launch(operation, shape, [strides_of(shape, dtype, nhwc)] * operation.images)


def make_launch(operation: Operation, shape, strides, axes=(-2, -1)) -> Launch:
    """Build the launch for images of `shape`; `strides` holds one tuple of byte strides for each image."""
    lib = library()
    ndim = len(shape)
    params = Params(
        ctypes.sizeof(Params),
        1,
        (ctypes.c_int64 * 2)(*operation.kernel),
        operation.alpha,
        operation.beta,
        operation.delta,
        1 if operation.edge == "clamp" else 0,
        int(operation.documented),
    )

    def integers(values):
        return (ctypes.c_int64 * len(values))(*values)

    arrays = [Array(None, integers(shape), integers(s), ndim, DTYPES[operation.dtype]) for s in strides]
    if operation.which == "parameter_gradients":
        arrays.append(Array(None, integers((3,)), integers((8,)), 1, 4))
    operands = (Array * len(arrays))(*arrays)
    table = lib.launch_table_create(
        ctypes.byref(params),
        PASSES[operation.which],
        operands,
        len(arrays),
        axes[0] % ndim,
        axes[1] % ndim,
        DESIGNS.index(operation.design),
        int(operation.aligned),
        operation.scratch_limit,
        operation.concurrency,
        *operation.tile,
        operation.groups_at_once,
    )
    try:
        error = lib.launch_table_error(table).decode()
        if error:
            raise ValueError(error)
        dispatches = [
            lib.Dispatch.from_buffer_copy(lib.launch_table_at(table, i).contents)
            for i in range(lib.launch_table_size(table))
        ]
        return Launch(dispatches, lib.launch_table_scratch_bytes(table), lib.launch_table_result_offset(table))
    finally:
        lib.launch_table_destroy(table)
