"""The Metal kernels on an NVIDIA GPU through the compatibility header, against float64, outputs poisoned.

    python tests/gpu/check_gpu.py [--brief] [WORD ...]

Only the cases whose names hold every word; --brief takes every tenth (for compute-sanitizer).
"""

from __future__ import annotations

import sys
import time

import cases
import check_cpu
import gpu as cuda
import msl
import numpy as np
from launch import make_launch


class Runner:
    """Stands in for the CPU library in check_cpu.check."""

    def __init__(self):
        self.gpu = cuda.Gpu()
        self.library = msl.load()
        self.gpu.load(self.library, self.library.instances)

    def run(self, case, images):
        scratch, launch = cuda.run_case(self.gpu, make_launch, case, images)
        if case.operation.which == "parameter_gradients":
            return scratch[launch.result_offset :][:12].view(np.float32).astype(np.float64)
        return cases.load(images[-1][1], case.operation.dtype)


def main(words):
    reason = cuda.why_not()
    if reason:
        print(f"skipped: {reason}")
        return 0
    brief = "--brief" in words
    words = [w for w in words if w != "--brief"]
    runner, began, worst, failures, count = Runner(), time.time(), {}, 0, 0
    chosen = [c for c in [*cases.every(), *cases.large()] if all(w in str(c) for w in words)]
    if brief:
        chosen = list(cases.every())[::10]
    for case in chosen:
        first = None
        found = 0.0
        for _ in range(1 if brief else 2):
            error, out = check_cpu.check(runner.run, case, want_output=True)
            found = max(found, error)
            if first is None:
                first = out
            elif not np.array_equal(first, out, equal_nan=True):
                failures += 1
                print(f"FAIL {case}: two runs differ")
        count += 1
        key = case.operation.which, case.operation.design, case.operation.dtype
        worst[key] = max(worst.get(key, 0.0), found)
        if not found <= check_cpu.tolerance(case):
            failures += 1
            print(f"FAIL {case}: error {found:.2e}", flush=True)
    print(f"{runner.gpu.name}")
    for key, found in sorted(worst.items()):
        print(f"{' '.join(key):45s} worst error {found:.2e}")
    print(f"{'FAILED' if failures else 'ok'}: {count} cases, {failures} failures, {time.time() - began:.0f} s")
    return failures > 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
