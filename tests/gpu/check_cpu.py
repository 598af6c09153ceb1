"""The Metal kernels compiled by g++ and run on the CPU, a fiber to a thread, against float64.

    python tests/gpu/check_cpu.py [WORD ...]     only the cases whose names hold every word

Needs NumPy and g++ only.
"""

from __future__ import annotations

import ctypes
import functools
import sys
import time

import kernel_cases as cases
import msl
import numpy as np
import reference
from launch import make_launch


def run(library, case, images):
    """Run the case's launch; return the output's values in float64."""
    operation = case.operation
    launch = make_launch(operation, case.shape, [view.strides for _, view in images])
    guard = 64  # bytes on each side of scratch
    scratch = np.full(launch.scratch_bytes + 2 * guard, 0xA5, np.uint8)
    for dispatch in launch.dispatches:
        pointers = []
        for binding in dispatch.bindings[: dispatch.n_bindings]:
            start = images[binding.index][1].ctypes.data if binding.kind == 0 else scratch.ctypes.data + guard
            pointers.append(start + binding.offset)
        function = getattr(library, dispatch.kernel.decode())
        function(
            (ctypes.c_void_p * len(pointers))(*pointers),
            dispatch.params,
            ctypes.c_uint(dispatch.groups),
            ctypes.c_uint(dispatch.threads),
        )
    if not (np.all(scratch[:guard] == 0xA5) and np.all(scratch[-guard:] == 0xA5)):
        raise AssertionError(f"{case}: wrote outside scratch")
    if operation.which == "parameter_gradients":
        at = guard + launch.result_offset
        return scratch[at : at + 12].view(np.float32).astype(np.float64)
    return cases.load(images[-1][1], operation.dtype)


def check(run, case, seed=0, want_output=False):
    """Return the case's error (and its output); fail where anything but the output was written."""
    images = cases.random_arrays(case, seed)
    before = [base.copy() for base, _ in images]
    x, v = cases.split(case, [view for _, view in images])
    out = np.array(run(case, images))
    ref = reference.evaluate(case.operation, x, v)
    outputs = 0 if case.operation.which == "parameter_gradients" else 1
    for (base, _), old in list(zip(images, before, strict=True))[: len(images) - outputs]:
        assert np.array_equal(base.view(np.uint8), old.view(np.uint8)), f"{case}: an input was written"
    if outputs:
        base, view = images[-1]
        view[...] = cases.store(np.full(view.shape, cases.POISON, np.float32), case.operation.dtype)
        assert np.array_equal(base.view(np.uint8), before[-1].view(np.uint8)), (
            f"{case}: wrote between the output's elements"
        )
    return (error(case, out, ref), out) if want_output else error(case, out, ref)


def error(case, out, ref):
    if case.operation.which != "parameter_gradients":
        return cases.error(out, ref)
    return max(cases.error(out[i : i + 1], ref[i : i + 1]) for i in range(3))


def tolerance(case):
    # The sums of the parameter gradients cancel: terms of both signs, a result near zero. With delta < 0 it is T that
    # may come near zero; there it is the nan and inf that count, which must be exactly where they belong.
    if case.operation.which == "parameter_gradients":
        return 3e-4
    return (
        2e-3
        if case.operation.delta < 0
        else cases.TOLERANCE[case.operation.dtype] * max(1.0, abs(case.operation.beta) / 2)
    )


def main(words):
    library = msl.cpu(msl.load())
    began, worst, failures = time.time(), {}, 0
    for case in cases.every():
        if not all(word in str(case) for word in words):
            continue
        found = check(functools.partial(run, library), case)
        key = case.operation.which, case.operation.design, case.operation.dtype
        worst[key] = max(worst.get(key, 0.0), found)
        if not found <= tolerance(case):
            failures += 1
            print(f"FAIL {case}: error {found:.2e}")
    for key, found in sorted(worst.items()):
        print(f"{' '.join(key):45s} worst error {found:.2e}")
    print(f"{'FAILED' if failures else 'ok'}: {failures} failures, {time.time() - began:.0f} s")
    return failures > 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
