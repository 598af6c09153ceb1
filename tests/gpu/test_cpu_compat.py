"""The Metal kernels' own text, compiled as C++ through the compatibility header and run on the CPU with a fiber for
each thread: every kernel and every launch against float64. Not Metal, and no measure of speed."""

import functools
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
import check_cpu
import kernel_cases
import launch
import msl

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++")

CASES = {}
for _case in kernel_cases.every():
    _o = _case.operation
    CASES.setdefault((_o.which + ("_documented" if _o.documented else ""), _o.design), []).append(_case)


@pytest.fixture(scope="module")
def kernels():
    return msl.cpu(msl.load())


@pytest.mark.parametrize(("which", "design"), CASES, ids=map("-".join, CASES))
def test_against_float64(which, design, kernels, record_property):
    errors = {c: check_cpu.check(functools.partial(check_cpu.run, kernels), c) for c in CASES[which, design]}
    for dtype in ("float", "half", "bfloat"):
        found = [e for c, e in errors.items() if c.operation.dtype == dtype]
        if found:
            record_property(f"worst error {dtype}", f"{max(found):.2e}")
    wrong = [f"{case}: error {e:.2e}" for case, e in errors.items() if not e <= check_cpu.tolerance(case)]
    assert not wrong, "\n".join(wrong)


def test_every_kernel_of_odd_windows_is_launched():
    launched = set()
    for case in kernel_cases.every():
        if case.operation.dtype != "bfloat":
            strides = [view.strides for _, view in kernel_cases.random_arrays(case)]
            strides = strides[: case.operation.images]
            launched.update(launch.make_launch(case.operation, case.shape, strides).names)
    known = {i.name for i in msl.load().instances}
    assert launched <= known
    words = ("_simd_float_", "_strip_float_", "_interleaved_float_", "_planes_float_", "_columns_float_")
    words += ("_interleaved_half_3_", "_interleaved_half_5_")
    assert {n for n in known if any(w in n for w in words)} - launched == set()


PLANTED = [
    ("interleaved", "a missing barrier", "threadgroup_barrier(mem_flags::mem_threadgroup);", ""),
    ("interleaved", "windows one row too low", "row + half_k - newest", "row + half_k + 1 - newest"),
    ("interleaved", "an output not written", "row + i / V < place.last", "row + i / V < 3"),
    ("planes", "a missing barrier", "threadgroup_barrier(mem_flags::mem_threadgroup);", ""),
    ("planes", "windows one sample too short", "right += v[(N - 1 - i) * STEP];", "right += 0.0f;"),
    ("columns", "windows one sample too short", "left += v[i * STEP];", "left += 0.0f;"),
    ("planes", "elements after the last vector not written", "to[i] = T(", "if (i < 0) to[i] = T("),
]


@pytest.mark.parametrize(("design", "what", "text", "instead"), PLANTED, ids=[f"{d}: {w}" for d, w, _, _ in PLANTED])
def test_planted_errors_are_found(design, what, text, instead):
    """The first case of the design that is in float, takes 5 x 5 windows and vectors, and ends beside a vector."""
    name, whole = {
        "interleaved": ("interleaved_float_5_4", 4),
        "planes": ("planes_float_5_7", 7),
        "columns": ("columns_float_5_2", 2),
    }[design]
    case = next(
        c
        for c in CASES["forward", design]
        if c.operation.dtype == "float" and c.shape[3] % whole == 0 and c.operation.kernel == (5, 5)
    )
    library = msl.load()
    assert text in library.text
    broken = msl.Library(library.text.replace(text, instead), library.instances)
    names = [f"spatial_forward_{name}"]
    assert check_cpu.check(functools.partial(check_cpu.run, msl.cpu(library, names)), case) < 2e-6
    assert not check_cpu.check(functools.partial(check_cpu.run, msl.cpu(broken, names)), case) < 1e-3


@pytest.mark.parametrize(
    ("shape", "kernel", "edge"),
    [((2, 3, 7, 8), (5, 5), "zero"), ((2, 3, 7, 7), (9, 9), "zero"), ((2, 3, 7, 7), (5, 5), "clamp")],
)
def test_planes_of_other_sizes_are_refused(shape, kernel, edge):
    operation = launch.Operation("gradient", kernel, edge=edge, design="planes")
    images = kernel_cases.random_arrays(kernel_cases.Case(operation, shape))
    with pytest.raises(ValueError, match="no kernel of the asked design takes this window, pass and size"):
        launch.make_launch(operation, shape, [view.strides for _, view in images])


@pytest.mark.parametrize(
    ("k", "dtype", "near", "far", "name"),
    [
        (63, "float", 1 << 22, 1 << 25, "spatial_gradient_strip_float_63_1"),
        (15, "float", (1 << 29) - 1, 1 << 29, "spatial_gradient_strip_float_15_1"),
        (15, "half", (1 << 30) - 1, 1 << 30, "spatial_gradient_strip_half_15_2"),
    ],
)
def test_far_rows_go_to_another_kernel(k, dtype, near, far, name):
    """Gradients in strips count the bytes from row to row by 32 bits, long walks the distances between many rows."""
    operation = launch.Operation("gradient", (k, k), design="automatic", dtype=dtype)
    shape, size = (1, 1, 100, 100), 4 if dtype == "float" else 2

    def kernels(row):
        dense = tuple(size * n for n in (shape[2] * row, shape[2] * row, row, 1))
        return launch.make_launch(operation, shape, [dense] * 3).names

    assert kernels(near) == kernels(-near) == [name]
    for row in (far, -far - 1):
        assert f"spatial_gradient_general_{dtype}" in kernels(row)


@pytest.mark.parametrize("which", ["forward", "gradient"])
def test_planes_have_the_same_bits_in_every_layout(which, kernels):
    operation = launch.Operation(which, (5, 5), 1.3, 0.75, design="planes")
    found = []
    for layout in ("nchw", "odd", "nhwc", "reversed", "strided", "transposed", "padded"):
        for aligned in (False, True) if layout == "nchw" else (False,):
            case = kernel_cases.Case(operation.with_(aligned=aligned), (3, 11, 7, 7), layout)
            found.append(check_cpu.check(functools.partial(check_cpu.run, kernels), case, want_output=True)[1])
    assert all(np.array_equal(found[0], other) for other in found[1:])
