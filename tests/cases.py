"""The one generator of awkward arrays and parameters, the tolerances, and the measures of error."""

import itertools
import os
from dataclasses import dataclass, replace

import numpy as np
import pytest

import spatialnorm as sn
from spatialnorm import reference

DEVICE = os.environ.get("SPATIALNORM_TEST_DEVICE", "cpu")  # "metal" runs the same suite there

try:
    from ml_dtypes import bfloat16
except ImportError:
    bfloat16 = None

FLOAT16, FLOAT32, FLOAT64 = np.dtype("f2"), np.dtype("f4"), np.dtype("f8")
BFLOAT16 = np.dtype(bfloat16) if bfloat16 else None


# What a device takes, and how far its results may be from the reference --------------------------------------


@dataclass(frozen=True)
class Tolerance:
    """Allowed errors on well-scaled data (spec: `docs/math.md`, precision)."""

    forward_ulp: tuple[float, float]  # constant, and times abs(beta): units in the last place of the result
    median_ulp: float
    normwise: float  # of derivatives: largest error in parts of the largest value
    sums: float  # of parameter gradients: error in parts of the sum of magnitudes


TOLERANCES = {
    ("cpu", "float32"): Tolerance((2, 4), 2, 2e-6, 1e-6),
    ("cpu", "float64"): Tolerance((4, 4), 2, 1e-14, 1e-14),
    # 16-bit results: the float32 result rounded once, so up to 1 unit, and 2^-11 or 2^-8 of the value.
    ("cpu", "float16"): Tolerance((1, 0), 0.51, 2.0**-11 + 2e-6, 1e-6),
    ("cpu", "bfloat16"): Tolerance((1, 0), 0.51, 2.0**-8 + 2e-6, 1e-6),
    ("metal", "float32"): Tolerance((8, 16), 8, 1e-5, 1e-5),
    ("metal", "float16"): Tolerance((2, 0), 0.51, 1.5e-3, 1e-5),
    ("metal", "bfloat16"): Tolerance((2, 0), 0.51, 2.0**-8 + 1e-5, 1e-5),
}


def tolerance(dtype):
    return TOLERANCES[DEVICE, np.dtype(dtype).name]


DTYPES = [
    dtype for dtype in (FLOAT32, FLOAT64, FLOAT16, BFLOAT16) if dtype is not None and (DEVICE, dtype.name) in TOLERANCES
]
if BFLOAT16 is None:  # so that the report names what is missing
    DTYPES.append(pytest.param(None, id="bfloat16", marks=pytest.mark.skip(reason="ml_dtypes is not installed")))


def each_dtype(function):
    """Run a test for every dtype that the device under test takes."""
    return pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: getattr(d, "name", None))(function)


needs_float64 = pytest.mark.skipif(DEVICE != "cpu", reason="float64 exists on the CPU only")
cpu_only = pytest.mark.skipif(DEVICE != "cpu", reason="about the CPU device")


# Measures of error --------------------------------------------------------------------------------------------


def ulp(result, expected):
    """Errors in units in the last place of the result's dtype, at the expected value."""
    bits, smallest = {"float16": (10, -24), "bfloat16": (7, -133), "float32": (23, -149), "float64": (52, -1074)}[
        result.dtype.name
    ]
    _, exponent = np.frexp(np.abs(expected))
    spacing = np.ldexp(np.ones_like(expected), np.maximum(exponent - 1 - bits, smallest))
    return np.abs(result.astype(expected.dtype) - expected) / spacing


def normwise(result, expected):
    """Largest error in parts of the largest expected value."""
    if expected.size == 0:
        return 0.0
    error = np.abs(result.astype(expected.dtype) - expected)
    return float(error.max() / max(np.abs(expected).max(), np.finfo(np.float64).tiny))


def assert_forward(result, expected, beta):
    assert result.shape == expected.shape
    constant, factor = tolerance(result.dtype).forward_ulp
    if result.size:
        worst = ulp(result, expected).max()
        assert worst <= constant + factor * abs(beta), f"{worst} ulp"


def assert_derivative(result, expected):
    assert result.shape == expected.shape
    assert normwise(result, expected) <= tolerance(result.dtype).normwise


# Cases --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """Shape and parameters of one problem."""

    shape: tuple = (2, 3, 13, 17)
    kernel_size: object = 5
    alpha: float = 0.7
    beta: float = 0.75
    delta: float = 1.0
    axes: tuple = (-2, -1)
    edge: str = "zero"
    gradient: str = "exact"

    def but(self, **changes):
        return replace(self, **changes)

    @property
    def numbers(self):
        return self.kernel_size, self.alpha, self.beta, self.delta

    def norm(self, device=DEVICE):
        return sn.SpatialNorm(*self.numbers, axes=self.axes, edge=self.edge, gradient=self.gradient, device=device)

    def values(self, dtype, seed=1):
        """Well-scaled random samples."""
        return np.random.default_rng(seed).normal(size=self.shape).astype(dtype)

    def forward(self, x):
        return reference.spatial_forward(x, *self.numbers, axes=self.axes, edge=self.edge, dtype=oracle(x))

    def vjp(self, grad_y, x):
        return reference.spatial_gradient(
            grad_y, x, *self.numbers, axes=self.axes, edge=self.edge, gradient=self.gradient, dtype=oracle(x)
        )

    def jvp(self, x, dx):
        return reference.spatial_jvp(x, dx, *self.numbers, axes=self.axes, edge=self.edge, dtype=oracle(x))

    def parameter_gradients(self, grad_y, x):
        return reference.spatial_parameter_gradients(
            grad_y, x, *self.numbers, axes=self.axes, edge=self.edge, dtype=oracle(x)
        )


def oracle(x):
    """The type to judge in: wider than the arithmetic."""
    return np.longdouble if np.asarray(x).dtype == FLOAT64 else np.float64


WINDOWS = [1, 2, 3, 4, 5, 8, 9, 11, 16, (2, 7), (7, 4), (1, 6), (9, 1), 31, (3, 40), (65, 2), (300, 1000)]
EDGES = ["zero", "clamp"]
BETAS = [0.3, 0.5, 0.75, 1, 5, -0.5]
SHAPES = [
    (1, 1),
    (1, 19),
    (23, 1),
    (4, 5),
    (7, 7),
    (3, 14, 14),
    (2, 3, 13, 17),
    (2, 1, 3, 9, 20),
    (1, 2, 40, 70),
    (33, 130),
]


def cases():
    """Every window with every edge, shapes and parameters taking turns."""
    turn = itertools.count()
    for kernel_size, edge in itertools.product(WINDOWS, EDGES):
        k = next(turn)
        yield Case(
            shape=SHAPES[k % len(SHAPES)],
            kernel_size=kernel_size,
            alpha=(1.0, 1e-4, 0.3)[k % 3],
            beta=BETAS[k % len(BETAS)],
            delta=(1.0, 0.5, 2.0)[k // 2 % 3],
            edge=edge,
        )
    for kernel_size in (3, (4, 7)):  # several tiles, strips and groups of channels
        yield Case(shape=(70, 5000), kernel_size=kernel_size)
        yield Case(shape=(700, 90), kernel_size=kernel_size, edge="clamp")
        yield Case(shape=(2, 20, 24, 70), kernel_size=kernel_size, axes=(1, 2))
        yield Case(shape=(1, 6, 150, 130), kernel_size=(3, 41), axes=(1, 2))
    yield Case(shape=(5, 6, 7), axes=(0, 1), kernel_size=(3, 2))
    yield Case(shape=(5, 6, 7), axes=(2, 0), kernel_size=(3, 2))  # height is the last axis
    yield Case(shape=(2, 5, 3, 6), axes=(-3, 3), kernel_size=4, edge="clamp")
    yield Case(shape=(0, 4)), Case(shape=(4, 0)), Case(shape=(0, 2, 3, 3))


CASES = [c for item in cases() for c in (item if isinstance(item, tuple) else (item,))]


def name_of(case):
    if not isinstance(case, Case):
        return None
    return f"{'x'.join(map(str, case.shape))}-k{case.kernel_size}-b{case.beta}-{case.edge}".replace(" ", "")


def each_case(function):
    return pytest.mark.parametrize("case", CASES, ids=name_of)(function)


# Layouts ------------------------------------------------------------------------------------------------------


def _block(shape, dtype, fill):
    return np.full(shape, fill, dtype)


def _inside(index, widen):
    """A layout that is a slice of a wider block."""

    def make(shape, dtype, fill):
        block = _block(shape[:-2] + tuple(widen(n) for n in shape[-2:]), dtype, fill)
        return block, block[(..., *index(shape))]

    return make


def _permuted(*order):
    """A layout whose last axes stand in memory in another order."""

    def make(shape, dtype, fill):
        n = len(shape)
        axes = [*range(n - len(order)), *(n - len(order) + k for k in order)] if n >= len(order) else [*range(n)]
        block = _block([shape[k] for k in axes], dtype, fill)
        return block, block.transpose(np.argsort(axes))

    return make


def _fortran(shape, dtype, fill):
    block = np.full(shape, fill, dtype, order="F")
    return block, block


def _shifted(n_bytes):
    """A layout that starts some bytes (None: one element) past where its dtype would like to."""

    def make(shape, dtype, fill):
        dtype = np.dtype(dtype)
        shift = dtype.itemsize if n_bytes is None else n_bytes
        count = int(np.prod(shape))
        raw = np.full(count + 2, fill, dtype).view(np.uint8)
        view = raw[shift : shift + count * dtype.itemsize].view(dtype).reshape(shape)
        return raw, view

    return make


LAYOUTS = {
    "C": lambda shape, dtype, fill: (block := _block(shape, dtype, fill), block),
    "Fortran": _fortran,
    "channels last": _permuted(1, 2, 0),
    "width first": _permuted(1, 0),
    "slice": _inside(lambda s: (slice(2, 2 + s[-2]), slice(3, 3 + s[-1])), lambda n: n + 5),
    "every third": _inside(lambda s: (slice(0, 3 * s[-2], 3), slice(1, 1 + 3 * s[-1], 3)), lambda n: 3 * n + 1),
    "every other column": _inside(lambda s: (slice(s[-2]), slice(0, 2 * s[-1], 2)), lambda n: 2 * n),
    "upside down": _inside(lambda s: (slice(None, None, -1), slice(None)), lambda n: n),
    "reversed": _inside(lambda s: (slice(None, None, -1), slice(None, None, -1)), lambda n: n),
    "off by one element": _shifted(None),
    "off by odd bytes": _shifted(1),
}


def lay_out(values, layout):
    """The values in the given layout."""
    _, view = LAYOUTS[layout](values.shape, values.dtype, 0)
    view[...] = values
    return view


class Blank:
    """An output in the given layout, in memory filled with one value."""

    def __init__(self, shape, dtype, layout, fill=-777.0):
        self.block, self.view = LAYOUTS[layout](shape, np.dtype(dtype), fill)
        self.view[...] = 0
        self.around = self.block.tobytes()
        self.view[...] = fill

    def assert_only_written(self):
        """The memory around the output is as it was; the output itself is lost."""
        self.view[...] = 0
        assert self.block.tobytes() == self.around
