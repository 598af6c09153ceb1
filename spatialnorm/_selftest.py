"""The self-test: a device against the NumPy reference, over a table of awkward cases."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spatialnorm import reference
from spatialnorm._devices import config, device_number
from spatialnorm.spatial import SpatialNorm

Array = NDArray[Any]

SHAPES = [(2, 3, 17, 23), (1, 1, 70, 130), (3, 7, 7, 5), (1, 2, 1, 40), (0, 2, 8, 8)]
WINDOWS = [1, 3, 4, (5, 2), 9, (1, 16), 31, (64, 3)]
PARAMETERS = [(1.0, 5.0, 1.0), (1e-4, 0.75, 1.0), (0.7, 0.5, 0.1), (2.0, -0.5, 1.0)]  # alpha, beta, delta

# Largest error allowed: of the largest value, but for 16-bit results, where it is in units of their last place.
ALLOWED = {
    ("float32", "cpu"): 2e-6,
    ("float64", "cpu"): 2e-14,
    ("float16", "cpu"): 1.0,
    ("bfloat16", "cpu"): 1.0,
    ("float32", "metal"): 1e-5,
    ("float16", "metal"): 1.0,
    ("bfloat16", "metal"): 1.0,
}


@dataclass
class Row:
    """What became of one pass in one dtype."""

    operation: str
    dtype: str
    cases: int
    worst: float
    allowed: float
    unit: str
    case: str

    @property
    def passed(self) -> bool:
        """Whether the worst error is allowed; an error that is no number is not."""
        return self.worst <= self.allowed


def selftest(device: str, as_json: bool) -> int:
    """Run the self-test and print its table.

    Parameters
    ----------
    device : str
        "cpu" or "metal".
    as_json : bool
        Print one JSON object rather than text.

    Returns
    -------
    int
        0 if every row passed, else 1.
    """
    if device not in ("cpu", "metal"):
        raise ValueError(f"device must be 'cpu' or 'metal', not {device!r}")
    device_number(device)
    rows = list(run(device))
    more: dict[str, Any] = {}
    if device == "metal":
        from spatialnorm._selftest_metal import throughput, zero_copy

        more = {"zero_copy": zero_copy(), "throughput": throughput()}
    passed = all(row.passed for row in rows) and more.get("zero_copy", {"passed": True})["passed"]
    if as_json:
        table = [{**asdict(row), "passed": row.passed} for row in rows]
        print(json.dumps({"device": device, "config": config(), "rows": table, **more, "passed": passed}, indent=2))
        return 0 if passed else 1
    for name, value in config().items():
        print(f"{name:>16}  {value}")
    print(f"\ndevice {device!r} against NumPy in float64:")
    for row in rows:
        verdict = "passed" if row.passed else f"FAILED at {row.case}"
        figures = f"worst {row.worst:.2g}, allowed {row.allowed:.2g} {row.unit}"
        print(f"  {row.operation:<28} {row.dtype:<9} {row.cases:4} cases  {figures}: {verdict}")
    for title, facts in more.items():
        print(f"{title.replace('_', ' ')}:")
        for name, value in facts.items():
            print(f"  {name}: {value}")
    print("passed" if passed else "FAILED")
    return 0 if passed else 1


def dtypes(device: str) -> list[np.dtype[Any]]:
    """List what the device takes, bfloat16 only with ml_dtypes."""
    found = [np.dtype(name) for name in ("float32", "float64", "float16") if (name, device) in ALLOWED]
    try:
        from ml_dtypes import bfloat16
    except ImportError:
        return found
    return [*found, np.dtype(bfloat16)]


def run(device: str) -> Iterator[Row]:
    """Run every pass in every dtype."""
    operations: dict[str, Callable[..., tuple[Array, Array]]] = {
        "spatial_forward": forward,
        "spatial_gradient": partial(gradient, "exact"),
        "spatial_gradient documented": partial(gradient, "documented"),
        "spatial_jvp": jvp,
        "spatial_parameter_gradients": parameter_gradients,
    }
    for dtype, (name, operation) in itertools.product(dtypes(device), operations.items()):
        worst, where, count = 0.0, "", 0
        sums = operation is parameter_gradients
        halves = dtype.itemsize == 2 and not sums
        for case in cases("documented" in name):
            result, expected = operation(device, dtype, **case)
            error = units(result, expected, dtype) if halves else relative(result, expected)
            count += 1
            if not error <= worst:
                worst, where = error, str(case)
        allowed = 2e-5 if sums and dtype.itemsize < 8 else ALLOWED[dtype.name, device]
        unit = f"units in the last place of {dtype.name}" if halves else "of the largest value"
        yield Row(name, dtype.name, count, worst, allowed, unit, where)


def cases(documented: bool) -> Iterator[dict[str, Any]]:
    """Combine shapes and windows fully, with parameters, edges and layouts taking turns."""
    turn = itertools.count()
    for shape, window in itertools.product(SHAPES, WINDOWS):
        k = next(turn)
        edge = "zero" if documented or k % 3 else "clamp"
        yield {
            "shape": shape,
            "window": window,
            "parameters": PARAMETERS[k % len(PARAMETERS)],
            "edge": edge,
            "layout": ("NCHW", "NHWC", "reversed")[k // 2 % 3],
        }


def make(shape: tuple[int, ...], layout: str, dtype: np.dtype[Any], seed: int) -> Array:
    """Make an array whose axes are always N, C, H, W, laid out in memory as named."""
    values = np.random.default_rng(seed).normal(size=shape)
    if layout == "NHWC":
        return np.ascontiguousarray(values.transpose(0, 2, 3, 1).astype(dtype)).transpose(0, 3, 1, 2)
    if layout == "reversed":
        return np.ascontiguousarray(values[..., ::-1, ::-1].astype(dtype))[..., ::-1, ::-1]
    return values.astype(dtype)


def relative(result: Array, expected: Array) -> float:
    """Measure the largest error in parts of the largest expected value."""
    if expected.size == 0:
        return 0.0
    scale = float(np.abs(expected).max()) or 1.0
    return float(np.abs(result.astype(np.float64) - expected).max() / scale)


def units(result: Array, expected: Array, dtype: np.dtype[Any]) -> float:
    """Measure the largest error in units in the last place, with room for the float32 arithmetic before it."""
    if expected.size == 0:
        return 0.0
    digits, smallest = (7, 2.0**-133) if dtype.name == "bfloat16" else (10, 2.0**-24)
    magnitude = np.maximum(np.abs(expected), np.finfo(np.float64).tiny)
    spacing = np.maximum(2.0 ** (np.floor(np.log2(magnitude)) - digits), smallest)
    room = 2e-6 * float(np.abs(expected).max())
    error = np.maximum(np.abs(result.astype(np.float64) - expected) - room, 0)
    return float((error / spacing).max())


def forward(
    device: str,
    dtype: np.dtype[Any],
    shape: tuple[int, ...],
    window: Any,
    parameters: tuple[float, float, float],
    edge: Any,
    layout: str,
) -> tuple[Array, Array]:
    """Normalize in place."""
    x = make(shape, layout, dtype, 1)
    expected = reference.spatial_forward(x, window, *parameters, edge=edge)
    return SpatialNorm(window, *parameters, edge=edge, device=device)(x, x), expected


def gradient(
    formula: Any,
    device: str,
    dtype: np.dtype[Any],
    shape: tuple[int, ...],
    window: Any,
    parameters: tuple[float, float, float],
    edge: Any,
    layout: str,
) -> tuple[Array, Array]:
    """Differentiate into a new array, from two layouts."""
    x, grad_y = make(shape, layout, dtype, 1), make(shape, "NCHW", dtype, 2)
    expected = reference.spatial_gradient(grad_y, x, window, *parameters, edge=edge, gradient=formula)
    norm = SpatialNorm(window, *parameters, edge=edge, gradient=formula, device=device)
    return norm.gradient(grad_y, x), expected


def jvp(
    device: str,
    dtype: np.dtype[Any],
    shape: tuple[int, ...],
    window: Any,
    parameters: tuple[float, float, float],
    edge: Any,
    layout: str,
) -> tuple[Array, Array]:
    """Push a tangent forward, into a given array."""
    x, dx = make(shape, layout, dtype, 1), make(shape, layout, dtype, 2)
    expected = reference.spatial_jvp(x, dx, window, *parameters, edge=edge)
    out = np.full_like(x, np.nan)
    return SpatialNorm(window, *parameters, edge=edge, device=device).jvp(x, dx, out), expected


def parameter_gradients(
    device: str,
    dtype: np.dtype[Any],
    shape: tuple[int, ...],
    window: Any,
    parameters: tuple[float, float, float],
    edge: Any,
    layout: str,
) -> tuple[Array, Array]:
    """Sum up the gradients of alpha, beta and delta."""
    x, grad_y = make(shape, layout, dtype, 1), make(shape, layout, dtype, 2)
    expected = reference.spatial_parameter_gradients(grad_y, x, window, *parameters, edge=edge)
    norm = SpatialNorm(window, *parameters, edge=edge, device=device)
    return np.array(norm.parameter_gradients(grad_y, x)), np.array(expected)
