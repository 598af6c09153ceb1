"""Arrays and parameters that every kernel is checked on, and how far it may be from float64."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from launch import Operation, make_launch

# Largest error over largest magnitude. A 16-bit result is rounded once more.
TOLERANCE = {"float": 2e-6, "half": 6e-4, "bfloat": 4.5e-3}
POISON = 1e30
STORAGE = {"float": np.float32, "half": np.float16, "bfloat": np.uint16}


def store(values, dtype):
    """float values as the dtype's storage; bfloat16 is kept in uint16."""
    if dtype != "bfloat":
        with np.errstate(over="ignore"):
            return np.asarray(values).astype(STORAGE[dtype])
    bits = np.asarray(values, np.float32).view(np.uint32).astype(np.uint64)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)


def load(stored, dtype):
    if dtype != "bfloat":
        return np.asarray(stored, np.float64)
    return (np.asarray(stored).astype(np.uint32) << 16).view(np.float32).astype(np.float64)


def layout(shape, name, dtype):
    """Return (whole memory, view of `shape`) for images of shape (n, c, h, w) laid out as `name`."""
    n, c, h, w = shape
    storage = STORAGE[dtype]
    if name == "nchw":
        base = np.empty(shape, storage)
        return base, base
    if name == "nhwc":
        base = np.empty((n, h, w, c), storage)
        return base, base.transpose(0, 3, 1, 2)
    if name == "transposed":
        base = np.empty((n, c, w, h), storage)
        return base, base.transpose(0, 1, 3, 2)
    if name == "reversed":
        base = np.empty(shape, storage)
        return base, base[:, ::-1, ::-1, ::-1]
    if name == "strided":
        base = np.empty((n, c, 2 * h, 3 * w), storage)
        return base, base[:, :, ::2, ::3]
    if name == "padded":  # rows that start at multiples of 16 bytes, longer than the image
        base = np.empty((n, c, h, (w + 15) // 8 * 8), storage)
        return base, base[..., :w]
    if name == "odd":  # nothing aligned
        base = np.empty(n * c * (h * w + 1) + 1, storage)
        step = base.itemsize
        return base, np.lib.stride_tricks.as_strided(
            base[1:], shape, (c * (h * w + 1) * step, (h * w + 1) * step, w * step, step)
        )
    raise ValueError(f"no layout {name}")


@dataclass(frozen=True)
class Case:
    operation: Operation
    shape: tuple[int, int, int, int]
    layout: str = "nchw"
    values: str = "normal"  # "zeros": rows and columns of zeros; "nonfinite": a nan and infinities here and there

    def __str__(self):
        o = self.operation
        which = o.which + ("_documented" if o.documented else "")
        numbers = f"beta {o.beta} delta {o.delta} {self.values}"
        return f"{which} {o.design} {o.dtype} {self.shape} {self.layout} {o.kernel} {o.edge} {numbers}"


WHICH = [("forward", False), ("gradient", False), ("gradient", True), ("jvp", False), ("parameter_gradients", False)]

# Shapes and windows: odd, even, flat, larger than the image, single rows and columns, several planes.
SMALL = [
    ((2, 3, 13, 17), (1, 1)),
    ((1, 2, 13, 37), (3, 5)),
    ((1, 1, 40, 70), (5, 5)),
    ((2, 1, 9, 7), (4, 2)),
    ((1, 1, 5, 6), (9, 11)),
    ((1, 2, 33, 50), (8, 6)),
    ((1, 1, 30, 90), (2, 3)),
    ((2, 3, 1, 1), (5, 5)),
    ((1, 1, 1, 40), (3, 7)),
    ((1, 3, 40, 1), (7, 3)),
    ((3, 2, 2, 2), (2, 2)),
    ((1, 1, 12, 150), (1, 31)),
]
EDGES = ["zero", "clamp"]


def any_window(designs=("plain", "general"), shapes=SMALL):
    """Kernels that take every window, over every pass, edge, dtype and layout."""
    layouts = itertools.cycle(["nchw", "nhwc", "reversed", "strided", "odd", "transposed", "padded"])
    dtypes = itertools.cycle(["float", "half", "float", "bfloat", "float"])
    betas = itertools.cycle([(0.75, 1.1), (5.0, 1.0), (-1.5, 2.0), (0.5, 0.3), (1.0, 1.0)])
    for (shape, kernel), edge, (which, documented), design in itertools.product(shapes, EDGES, WHICH, designs):
        if documented and edge == "clamp":
            continue
        beta, delta = next(betas)
        operation = Operation(which, kernel, 1.3, beta, delta, edge, documented, next(dtypes), design)
        yield Case(operation, shape, next(layouts))


def simd():
    """Kernels for odd square windows: narrow and wide planes, whole vectors and single elements, several segments."""
    shapes = [
        (1, 2, 40, 64),
        (2, 7, 14, 14),
        (1, 11, 7, 7),
        (1, 5, 23, 56),
        (1, 1, 37, 300),
        (1, 1, 5, 131),
        (1, 2, 1, 1),
        (2, 2, 90, 12),
    ]
    dtypes = itertools.cycle(["float", "half", "float", "bfloat", "float"])
    layouts = itertools.cycle(["nchw", "padded", "odd", "nchw", "reversed", "nhwc", "padded"])
    betas = itertools.cycle([(0.75, 1.1), (5.0, 1.0), (-1.5, 2.0), (0.5, 0.3)])
    for k, which, shape in itertools.product((3, 5, 7, 9, 11, 13, 15), ("forward", "gradient"), shapes):
        beta, delta = next(betas)
        name = next(layouts)
        if which == "gradient" and k > 7:
            continue
        aligned = name in ("nchw", "padded")
        operation = Operation(
            which, (k, k), 1.3, beta, delta, dtype=next(dtypes), design="simd", aligned=aligned, concurrency=128
        )
        yield Case(operation, shape, name)


def strips():
    """Kernels for larger windows and for interleaved channels."""
    dtypes = itertools.cycle(["float", "half", "float", "bfloat", "float"])
    betas = itertools.cycle([(0.75, 1.1), (5.0, 1.0), (-1.5, 2.0), (0.5, 0.3)])
    wide = [
        ("gradient", 9),
        ("gradient", 11),
        ("gradient", 13),
        ("gradient", 15),
        ("forward", 31),
        ("gradient", 31),
        ("forward", 63),
        ("gradient", 63),
    ]
    table = [(which, k, shape, "nchw") for which, k in wide for shape in ((1, 2, 50, 40), (1, 1, 70, 600))]
    table += [
        (which, k, shape, "nhwc")
        for k in (3, 5, 7, 9, 11, 13, 15)
        for which in ("forward", "gradient")
        for shape in ((2, 12, 30, 20), (1, 3, 17, 100), (1, 9, 70, 64), (2, 16, 11, 37))
    ]
    table += [("gradient", k, (2, 8, 21, 58), "nhwc") for k in (3, 5) for _ in range(5)]
    for which, k, shape, name in table:
        beta, delta = next(betas)
        yield Case(
            Operation(
                which,
                (k, k),
                1.3,
                beta,
                delta,
                dtype=next(dtypes),
                design="interleaved" if name == "nhwc" else "strip",
                aligned=name == "nhwc" and shape[1] % 4 == 0,
                concurrency=4096,
            ),
            shape,
            name,
        )


def narrow():
    """The gradient's kernels for 16-bit elements, and tall images, most of whose rows are far from an edge."""
    dtypes, layouts = itertools.cycle(["half", "bfloat"]), itertools.cycle(["nchw", "padded", "odd"])
    shapes = [(1, 2, 75, 120), (2, 1, 90, 604), (1, 1, 40, 301)]
    for k, shape in itertools.product((3, 5, 7, 9, 11, 13, 15), shapes):
        design, name = "simd" if k < 9 else "strip", next(layouts)
        yield Case(
            Operation(
                "gradient",
                (k, k),
                1.3,
                0.75,
                1.1,
                dtype=next(dtypes),
                design=design,
                aligned=name != "odd",
                concurrency=1024,
            ),
            shape,
            name,
        )
    for k, dtype, beta in itertools.product((15, 31, 63), ("float", "half"), (0.75, -1.0)):
        name = next(layouts)
        yield Case(
            Operation(
                "gradient",
                (k, k),
                1.3,
                beta,
                1.1,
                dtype=dtype,
                design="strip",
                aligned=name != "odd",
                concurrency=2048,
            ),
            (1, 1, 250, 420),
            name,
        )


def wide():
    """The gradient of large windows in strips whose margins are whole simdgroups, narrower and wider images; then
    tall ones of several planes, of which scratch takes one at a time."""
    layouts = itertools.cycle(["nchw", "padded", "odd", "strided"])
    betas = itertools.cycle([(0.75, 1.1), (5.0, 1.0), (-1.0, 2.0), (0.5, 0.3)])
    for k, width in itertools.product((31, 63), (256, 320, 322, 323, 354, 355, 641, 1001)):
        (beta, delta), name = next(betas), next(layouts)
        operation = Operation(
            "gradient", (k, k), 1.3, beta, delta, design="strip", aligned=name != "odd", concurrency=4096
        )
        yield Case(operation, (1, 1, 75, width), name)
    for dtype, limit in (("float", 0), ("half", 0), ("half", 1), ("bfloat", 1)):
        operation = Operation("gradient", (63, 63), 1.3, 0.75, 1.1, dtype=dtype, design="strip", scratch_limit=limit)
        yield Case(operation, (1, 3, 300, 300), next(layouts))


def inner():
    """The gradient of strips with many steps inside the image: in whole vectors and not, in one segment and several."""
    layouts = itertools.cycle(["nchw", "padded", "nchw", "strided", "reversed"])
    betas = itertools.cycle([(0.75, 1.1), (5.0, 1.0), (-1.0, 2.0), (0.5, 0.3)])
    images = (((1, 2, 101, 304), 128), ((1, 1, 97, 64), 4096), ((1, 1, 75, 301), 128))
    for k, dtype, (shape, concurrency) in itertools.product((9, 11, 13, 15, 31), ("float", "half", "bfloat"), images):
        (beta, delta), name = next(betas), next(layouts)
        aligned = name in ("nchw", "padded") and shape[3] % 4 == 0
        operation = Operation(
            "gradient", (k, k), 1.3, beta, delta, dtype=dtype, design="strip", aligned=aligned, concurrency=concurrency
        )
        yield Case(operation, shape, name)


def small():
    """Small planes, several to a threadgroup, with every window, edge and pass that they take."""
    table = [
        ((3, 9, 7, 7), (5, 5)),
        ((2, 5, 14, 14), (4, 3)),
        ((40, 3, 2, 3), (9, 2)),
        ((1, 2, 32, 32), (31, 6)),
        ((5, 1, 1, 1), (3, 3)),
        ((2, 1, 30, 17), (64, 64)),
    ]
    dtypes = itertools.cycle(["float", "half", "float", "bfloat", "float"])
    layouts = itertools.cycle(["nchw", "odd", "reversed"])
    for (shape, kernel), edge, (which, documented) in itertools.product(table, EDGES, WHICH[:4]):
        if not (documented and edge == "clamp"):
            yield Case(
                Operation(which, kernel, 1.3, 0.75, 1.1, edge, documented, next(dtypes), "small"), shape, next(layouts)
            )


def planes():
    """Planes of a known size, in one run and apart: fewer than a threadgroup takes, as many, and some more."""
    layouts = itertools.cycle(["odd", "nhwc", "reversed", "strided", "transposed", "padded"])
    counts = itertools.cycle([(1, 5), (8, 4), (3, 11), (1, 1), (5, 13)])
    dtypes = itertools.cycle(["float", "half", "bfloat"])
    betas = itertools.cycle([(0.75, 1.1), (5.0, 1.0), (-1.5, 2.0), (0.5, 0.3)])
    for k, which, aligned, _ in itertools.product((3, 5, 7), ("forward", "gradient"), (True, False), range(3)):
        beta, delta = next(betas)
        operation = Operation(which, (k, k), 1.3, beta, delta, dtype=next(dtypes), design="planes", aligned=aligned)
        yield Case(operation, (*next(counts), 7, 7))
        if not aligned:
            yield Case(operation, (*next(counts), 7, 7), next(layouts))


def columns():
    """Planes of known heights: whole columns in registers."""
    layouts = itertools.cycle(["nchw", "nchw", "odd", "nhwc", "padded", "reversed", "strided"])
    shapes = itertools.cycle([(1, 5, 14, 14), (2, 13, 14, 14), (1, 3, 14, 13), (3, 3, 14, 28), (1, 1, 14, 1)])
    dtypes = itertools.cycle(["float", "half", "bfloat", "float"])
    betas = itertools.cycle([(0.75, 1.1), (5.0, 1.0), (-1.5, 2.0), (0.5, 0.3)])
    for k, which, _ in itertools.product((3, 5, 7), ("forward", "gradient"), range(9)):
        beta, delta = next(betas)
        name = next(layouts)
        aligned = name in ("nchw", "padded")
        operation = Operation(which, (k, k), 1.3, beta, delta, dtype=next(dtypes), design="columns", aligned=aligned)
        yield Case(operation, next(shapes), name)


def special():
    """T at and below zero, exponents of zero, inputs that are not finite: nan and inf where IEEE pow has them, and
    nowhere else."""
    numbers = [
        (1.3, 3.0, -0.7),
        (1.3, 2.0, -0.7),
        (1.3, 0.75, -0.7),
        (1.3, 0.0, -0.7),
        (1.3, -1.0, 0.0),
        (1.3, -2.0, -0.7),
        (1.3, 0.75, 0.0),
        (1.3, 5.0, 0.0),
        (0.0, 2.0, 0.0),
        (0.0, 0.75, 1.5),
        (0.0, 1.0, -2.0),
    ]
    designs = itertools.cycle(["plain", "general", "automatic"])
    for (alpha, beta, delta), which in itertools.product(numbers, ("forward", "gradient", "jvp")):
        for _ in range(3):
            operation = Operation(which, (3, 3), alpha, beta, delta, design=next(designs), aligned=True)
            yield Case(operation, (1, 2, 24, 40), values="zeros")
    sizes = [
        ("plain", 5, "nchw"),
        ("general", 6, "nchw"),
        ("automatic", 5, "nchw"),
        ("automatic", 9, "nchw"),
        ("automatic", 31, "nchw"),
        ("automatic", 5, "nhwc"),
    ]
    for (design, k, name), which, edge in itertools.product(sizes, ("forward", "gradient", "jvp"), EDGES):
        shape = (2, 16, 30, 70) if name == "nhwc" else (2, 3, 90, 150) if design != "plain" else (2, 2, 30, 40)
        yield Case(
            Operation(which, (k, k), 1.3, 0.75, 1.1, edge, design=design, aligned=name == "nchw"),
            shape,
            name,
            "nonfinite",
        )


def large():
    """For a GPU: what the library chooses by itself, on images of real sizes."""
    shapes = [(2, 3, 301, 517), (4, 16, 56, 56), (1, 1, 1000, 1024), (1, 3, 270, 480), (64, 5, 7, 7), (16, 7, 14, 14)]
    for shape, k, which, dtype in itertools.product(
        shapes, (3, 5, 9, 15, 31, 63, 33), ("forward", "gradient"), ("float", "half")
    ):
        aligned = shape[3] % 4 == 0
        yield Case(Operation(which, (k, k), 1.3, 0.75 if k % 4 == 1 else 5.0, 1.1, dtype=dtype, aligned=aligned), shape)
    for shape, k, which, dtype in itertools.product(
        shapes[1:2] + shapes[4:], (3, 5, 9), ("forward", "gradient"), ("float", "half", "bfloat")
    ):
        yield Case(Operation(which, (k, k), 1.3, 0.75, 1.1, dtype=dtype), shape, "nhwc")


def random_arrays(case, seed=0):
    """(memory, view) for each image, inputs filled, the output poisoned."""
    random = np.random.default_rng(seed)
    dtype, images = case.operation.dtype, []
    inputs = 2 if case.operation.which != "forward" else 1
    for _ in range(inputs):
        base, view = layout(case.shape, case.layout, dtype)
        base[...] = store(np.full(base.shape, POISON, np.float32), dtype)
        values = random.standard_normal(case.shape)
        h, w = case.shape[2:]
        if case.values == "zeros":
            values[..., h // 4 : h // 4 + h // 2, :] = 0.0
            values[..., w // 3 : w // 3 + w // 2] = 0.0
        if case.values == "nonfinite":
            values[0, 0, h // 3, w // 4] = np.nan
            values[0, -1, h // 2, w - 1] = np.inf
            values[-1, 0, h - 1, w // 2] = -np.inf
        view[...] = store(values, dtype)
        images.append((base, view))
    if case.operation.which != "parameter_gradients":
        base, view = layout(case.shape, case.layout, dtype)
        base[...] = store(np.full(base.shape, POISON, np.float32), dtype)
        images.append((base, view))
    return images


def split(case, views):
    """Return x and the other input (or None) as float64, whichever order the pass takes them in."""
    values = [load(v, case.operation.dtype) for v in views]
    if case.operation.which == "forward":
        return values[0], None
    return (values[0], values[1]) if case.operation.which == "jvp" else (values[1], values[0])


def error(out, ref):
    """Largest error over largest magnitude; infinite where non-finite values disagree."""
    finite = np.isfinite(ref)
    if not np.array_equal(np.isnan(out), np.isnan(ref)) or not np.array_equal(
        out[~finite & ~np.isnan(ref)], ref[~finite & ~np.isnan(ref)]
    ):
        return np.inf
    if not finite.any():
        return 0.0
    return float(np.max(np.abs(out[finite] - ref[finite])) / max(np.max(np.abs(ref[finite])), 1e-300))


def cut():
    """Problems cut into several dispatches by a small scratch, and windows that no tile holds."""
    for (which, documented), name in itertools.product(WHICH, ("nchw", "nhwc", "reversed")):
        operation = Operation(
            which, (4, 5), 1.3, 0.75, 1.1, documented=documented, design="general", scratch_limit=20000
        )
        yield Case(operation, (3, 6, 17, 23), name)
    for which, edge in itertools.product(("forward", "gradient"), EDGES):
        yield Case(Operation(which, (1, 4300), 1.3, 0.75, 1.1, edge, design="general"), (1, 1, 2, 2200))


def kernels(chosen):
    """Names of the kernels that the cases need."""
    found = set()
    for case in chosen:
        strides = [layout(case.shape, case.layout, case.operation.dtype)[1].strides] * case.operation.images
        found.update(make_launch(case.operation, case.shape, strides).names)
    return found


def every():
    yield from any_window()
    yield from cut()
    yield from simd()
    yield from strips()
    yield from wide()
    yield from inner()
    yield from narrow()
    yield from small()
    yield from planes()
    yield from columns()
    yield from special()
