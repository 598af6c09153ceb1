"""The Metal kernels' own text, compiled as C++ through the compatibility header and run on the CPU with a fiber for
each thread: every kernel and every launch against float64. Not Metal, and no measure of speed."""

import functools
import shutil
import sys
from pathlib import Path

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


@pytest.mark.parametrize(("which", "design"), CASES, ids="-".join)
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
        if case.operation.dtype == "float":
            strides = [view.strides for _, view in kernel_cases.random_arrays(case)]
            strides = strides[: case.operation.images]
            launched.update(launch.make_launch(case.operation, case.shape, strides).names)
    known = {i.name for i in msl.load().instances}
    assert launched <= known
    words = ("_simd_float_", "_strip_float_", "_interleaved_float_")
    assert {n for n in known if any(w in n for w in words)} - launched == set()


@pytest.mark.parametrize(
    ("what", "text", "instead"),
    [
        ("a missing barrier", "threadgroup_barrier(mem_flags::mem_threadgroup);", ""),
        ("windows one row too low", "row + half_k - newest", "row + half_k + 1 - newest"),
        ("an output not written", "if (place.owned && row + r < place.last)", "if (place.owned && row + r < 3)"),
    ],
)
def test_planted_errors_are_found(what, text, instead):
    case = next(
        c
        for c in CASES["forward", "interleaved"]
        if c.operation.dtype == "float" and c.shape[3] % 4 == 0 and c.operation.kernel == (5, 5)
    )
    library = msl.load()
    assert text in library.text
    broken = msl.Library(library.text.replace(text, instead), library.instances)
    names = ["spatial_forward_interleaved_float_5_4"]
    assert check_cpu.check(functools.partial(check_cpu.run, msl.cpu(library, names)), case) < 2e-6
    assert not check_cpu.check(functools.partial(check_cpu.run, msl.cpu(broken, names)), case) < 1e-3
