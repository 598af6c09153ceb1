"""Write the table of cases that run_cases.cpp reads: awkward problems, with the reference's results.

    python make_cases.py TABLE

The table is the same on every machine: run_cases prints one hash over all results of a table, and the
hashes of AVX2, AVX-512 and NEON must be equal.
"""

from __future__ import annotations

import itertools
import struct
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import ml_dtypes
import numpy as np

from spatialnorm import reference

# Codes of spatialnorm.h
DTYPES = {"float16": 1, "bfloat16": 2, "float32": 3, "float64": 4}
EDGES = {"zero": 0, "clamp": 1}
GRADIENTS = {"exact": 0, "documented": 1}
PASSES = {"spatial_forward": 0, "spatial_gradient": 1, "spatial_jvp": 2, "spatial_parameter_gradients": 3}

NUMPY_DTYPES = {name: np.dtype(getattr(ml_dtypes, name, name)) for name in DTYPES}


@dataclass
class View:
    """A strided view of N, C, H, W elements in a buffer of one axis."""

    buffer: np.ndarray
    first: int
    strides: tuple[int, ...]  # in elements
    shape: tuple[int, ...]

    @property
    def array(self) -> np.ndarray:
        step = self.buffer.itemsize
        strides = tuple(step * s for s in self.strides)
        return np.lib.stride_tricks.as_strided(self.buffer[self.first :], self.shape, strides)


def dense(shape: tuple[int, ...], order: tuple[int, ...]) -> tuple[int, ...]:
    """Return strides for axes stored in this order, the last one innermost."""
    strides, step = [0] * 4, 1
    for axis in reversed(order):
        strides[axis] = step
        step *= shape[axis]
    return tuple(strides)


def nchw(shape):
    return dense(shape, (0, 1, 2, 3)), 0


def nhwc(shape):
    return dense(shape, (0, 2, 3, 1)), 0


def transposed(shape):
    """Columns are stored one after the other."""
    return dense(shape, (0, 1, 3, 2)), 0


def channel_last_of_batch(shape):
    return dense(shape, (2, 1, 3, 0)), 0


def padded(shape):
    """Rows end in samples of others, and the buffer starts with three."""
    n, c, h, w = shape
    return dense((n, c, h, w + 5), (0, 1, 2, 3)), 3


def flipped(shape):
    """Both image axes run backwards."""
    n, c, h, w = shape
    return (c * h * w, h * w, -w, -1), h * w - 1


def every_third(shape):
    n, c, h, w = shape
    return tuple(3 * s for s in dense(shape, (0, 1, 2, 3))), 1


def broadcast(shape):
    """All planes of the batch are the same one."""
    n, c, h, w = shape
    return (0, h * w, w, 1), 0


Layout = Callable[[tuple[int, ...]], tuple[tuple[int, ...], int]]
LAYOUTS: list[Layout] = [nchw, nhwc, padded, flipped, transposed, every_third, channel_last_of_batch]


def allocate(shape: tuple[int, ...], dtype: str, layout: Layout) -> View:
    strides, first = layout(shape)
    last = first + sum(max(0, s) * (n - 1) for s, n in zip(strides, shape, strict=True))
    return View(np.zeros(last + 1, NUMPY_DTYPES[dtype]), first, strides, shape)


@dataclass
class Case:
    operation: str
    dtype: str
    kernel_size: tuple[int, int]
    shape: tuple[int, ...]
    layouts: tuple[Layout, ...]  # of the inputs, then of the output
    edge: str = "zero"
    gradient: str = "exact"
    beta: float = 0.75
    alpha: float = 1.0
    delta: float = 1.0
    in_place: int = -1
    special: float | None = None  # one sample of the last input
    inputs: list[View] = field(default_factory=list)

    @property
    def name(self) -> str:
        layouts = ",".join(layout.__name__ for layout in self.layouts)
        words = [self.operation, self.dtype, self.edge, self.gradient, self.kernel_size, self.shape, layouts]
        words += [f"beta={self.beta}", f"in_place={self.in_place}", f"special={self.special}"]
        return " ".join(map(str, words))

    def fill(self, random: np.random.Generator) -> None:
        """Make the inputs: for forward x; for the gradients grad_y and x; for the product x and its tangent."""
        for layout in self.layouts[:-1]:
            view = allocate(self.shape, self.dtype, layout)
            view.buffer[:] = random.standard_normal(view.buffer.size).astype(view.buffer.dtype)
            self.inputs.append(view)
        if self.special is not None:
            n, c, h, w = self.shape
            self.inputs[-1].array[n - 1, c - 1, h // 2, w // 3] = self.special

    def expected(self) -> np.ndarray:
        with np.errstate(all="ignore"):
            return self.reference([view.array for view in self.inputs])

    def reference(self, inputs: list[np.ndarray]) -> np.ndarray:
        function = getattr(reference, self.operation)
        options = {"alpha": self.alpha, "beta": self.beta, "delta": self.delta, "edge": self.edge}
        # The oracle of float64 has more bits, where the machine has such a type.
        options["dtype"] = np.longdouble if self.dtype == "float64" else np.float64
        if self.operation == "spatial_gradient":
            options["gradient"] = self.gradient
        return np.asarray(function(*inputs, self.kernel_size, **options), dtype=np.float64)

    def tolerance(self, expected: np.ndarray) -> tuple[float, float]:
        """Return ulps of the result, and a constant beside them.

        An ulp more than is promised: tests/test_precision.py holds the promise, this table finds wrong results.
        """
        wide = self.dtype == "float64"
        if self.operation == "spatial_parameter_gradients":
            # A sum of terms of both signs: the promise is about the sum of their magnitudes.
            with np.errstate(all="ignore"):
                terms = self.reference([np.abs(view.array) for view in self.inputs])
            return 0.0, float((1e-14 if wide else 2e-6) * np.max(np.abs(terms)))
        half = 1.0 if NUMPY_DTYPES[self.dtype].itemsize == 2 else 0.0
        if self.operation == "spatial_forward":
            return half or (4 if wide else 2) + 4 * abs(self.beta) + 1, 0.0
        # Two terms are subtracted; in a small image they may cancel in every sample.
        first, second = (view.array.astype(np.float64) for view in self.inputs)
        change, x = (first, second) if self.operation == "spatial_gradient" else (second, first)
        energy = reference.local_energy(x, self.kernel_size, self.alpha, self.delta, edge=self.edge)
        terms = np.abs(change * energy**-self.beta)
        largest = max(np.max(np.abs(a), where=np.isfinite(a), initial=0.0) for a in (expected, terms))
        return half, float((1e-14 if wide else 2e-6) * largest)

    def operands(self) -> Iterator[bytes]:
        for view in self.inputs:
            data = view.buffer.tobytes()
            yield operand(self.dtype, view.shape, view.strides, view.first, view.buffer.size, data)
        if self.operation == "spatial_parameter_gradients":
            yield operand("float64", (1, 1, 1, 3), (3, 3, 3, 1), 0, 3, b"")
            return
        output = (
            self.inputs[self.in_place] if self.in_place >= 0 else allocate(self.shape, self.dtype, self.layouts[-1])
        )
        yield operand(self.dtype, output.shape, output.strides, output.first, output.buffer.size, b"")

    def record(self, random: np.random.Generator) -> bytes:
        self.fill(random)
        expected = self.expected()
        name = self.name.encode()
        operands = list(self.operands())
        numbers = [self.alpha, self.beta, self.delta]
        codes = [EDGES[self.edge], GRADIENTS[self.gradient], PASSES[self.operation], self.in_place]
        return b"".join(
            [
                integers(len(name)) + name,
                integers(*self.kernel_size) + reals(*numbers) + integers(*codes),
                reals(*self.tolerance(expected)),
                integers(len(operands)) + b"".join(operands),
                integers(expected.size) + np.ascontiguousarray(expected, "<f8").tobytes(),
            ]
        )


def integers(*values: int) -> bytes:
    return struct.pack(f"<{len(values)}q", *values)


def reals(*values: float) -> bytes:
    return struct.pack(f"<{len(values)}d", *values)


def operand(dtype: str, shape, strides, first: int, length: int, data: bytes) -> bytes:
    return integers(DTYPES[dtype], *shape, *strides, first, length, len(data)) + data


KERNEL_SIZES = [(1, 1), (2, 2), (3, 3), (5, 5), (4, 7), (8, 3), (9, 9), (16, 15), (31, 31), (3, 40), (65, 64)]
SHAPES = [(1, 1, 1, 1), (2, 3, 7, 7), (1, 2, 17, 33), (2, 5, 6, 70), (1, 1, 64, 129), (1, 33, 9, 14), (1, 2, 40, 1)]
BETAS = [0.75, 5.0, 0.5, 1.0, -0.5, 0.3]
# operation, gradient, number of inputs
KINDS = [
    ("spatial_forward", "exact", 1),
    ("spatial_gradient", "exact", 2),
    ("spatial_gradient", "documented", 2),
    ("spatial_jvp", "exact", 2),
    ("spatial_parameter_gradients", "exact", 2),
]


def all_cases() -> Iterator[Case]:
    """Every operation, dtype, edge and window; shapes, layouts and parameters take turns."""
    layouts = itertools.cycle([*LAYOUTS, broadcast, *LAYOUTS[:3]])
    outputs = itertools.cycle(LAYOUTS)
    shapes, betas = itertools.cycle(SHAPES), itertools.cycle(BETAS)
    alphas, deltas = itertools.cycle([1.0, 0.25, 0.0, 2.0, 1e-4]), itertools.cycle([1.0, 0.5, 2.0, 1.0])

    def case(operation, gradient, n, dtype, kernel_size, shape, edge, **options) -> Case:
        chosen = tuple(next(layouts) for _ in range(n)) + (next(outputs),)
        values = {"layouts": chosen, "beta": next(betas), "alpha": next(alphas), "delta": next(deltas)}
        return Case(operation, dtype, kernel_size, shape, edge=edge, gradient=gradient, **{**values, **options})

    for (operation, gradient, n), dtype, edge in itertools.product(KINDS, DTYPES, EDGES):
        if gradient == "documented" and edge == "clamp":
            continue
        for kernel_size in KERNEL_SIZES:
            yield case(operation, gradient, n, dtype, kernel_size, next(shapes), edge)
        # Strips of one plane for seven threads; blocks of channels.
        if dtype == "float32" and edge == "zero":
            yield case(operation, gradient, n, dtype, (5, 5), (1, 1, 300, 777), edge, layouts=(nchw,) * (n + 1))
        yield case(operation, gradient, n, dtype, (6, 9), (1, 70, 34, 30), edge, layouts=(nhwc,) * (n + 1))
        if operation == "spatial_parameter_gradients":
            continue
        for in_place in range(n):
            chosen = [((7, 4), next(shapes), next(outputs))]
            if dtype in ("float32", "float16"):  # strips by several threads; channels in groups
                chosen += [((7, 4), (1, 2, 137, 251), nchw), ((7, 4), (1, 2, 251, 137), nhwc)]
                chosen += [((3, 75), (1, 70, 66, 24), nhwc)]
            for kernel_size, shape, layout in chosen:
                layouts_of_all = (layout,) * (n + 1)
                yield case(
                    operation, gradient, n, dtype, kernel_size, shape, edge, in_place=in_place, layouts=layouts_of_all
                )
        for special in (np.nan, np.inf, -np.inf):
            yield case(operation, gradient, n, dtype, (5, 6), (1, 2, 20, 40), edge, special=special, beta=0.75)


def main() -> None:
    random = np.random.default_rng(20240)
    cases = list(all_cases())
    with open(Path(sys.argv[1]), "wb") as file:
        file.write(b"SNCASES1" + integers(len(cases)))
        for case in cases:
            file.write(case.record(random))
    print(f"{len(cases)} cases")


if __name__ == "__main__":
    main()
