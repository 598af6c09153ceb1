"""The Metal kernels on an NVIDIA GPU through the compatibility header, against float64, outputs poisoned.

    python tests/gpu/check_gpu.py [--brief] [--json=FILE] [WORD ...]

Only the cases whose names hold every word; --brief takes every tenth (for compute-sanitizer).
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import check_cpu
import gpu as cuda
import kernel_cases as cases
import msl
import numpy as np
from launch import make_launch


class Runner:
    """Stands in for the CPU library in check_cpu.check."""

    def __init__(self, chosen):
        self.gpu = cuda.Gpu()
        self.library = msl.load()
        self.gpu.load(self.library, self.library.named(cases.kernels(chosen)))

    def run(self, case, images):
        scratch, launch = cuda.run_case(self.gpu, make_launch, case, images)
        if case.operation.which == "parameter_gradients":
            return scratch[launch.result_offset :][:12].view(np.float32).astype(np.float64)
        return cases.load(images[-1][1], case.operation.dtype)


def check_all(chosen, times=2):
    """Run each case `times` times: (worst errors, what failed, the GPU's name)."""
    runner, worst, failures = Runner(chosen), {}, []
    for case in chosen:
        first = None
        for _ in range(times):
            found, out = check_cpu.check(runner.run, case, want_output=True)
            key = case.operation.which, case.operation.design, case.operation.dtype
            worst[key] = max(worst.get(key, 0.0), found)
            if not found <= check_cpu.tolerance(case):
                failures.append(f"{case}: error {found:.2e}")
            if first is None:
                first = out
            elif not np.array_equal(first, out, equal_nan=True):
                failures.append(f"{case}: two runs differ")
    return worst, failures, runner.gpu.name


def main(arguments):
    reason = cuda.why_not()
    if reason:
        print(f"skipped: {reason}")
        return 0
    options = [a for a in arguments if a.startswith("--")]
    words = [a for a in arguments if not a.startswith("--")]
    began, brief = time.time(), "--brief" in options
    every = list(cases.every())
    chosen = every[::10] if brief else [*every, *cases.large()]
    chosen = [c for c in chosen if all(w in str(c) for w in words)]
    worst, failures, name = check_all(chosen, 1 if brief else 2)
    print(name, *[f"FAIL {f}" for f in failures], sep="\n")
    for key, found in sorted(worst.items()):
        print(f"{' '.join(key):45s} worst error {found:.2e}")
    print(
        f"{'FAILED' if failures else 'ok'}: {len(chosen)} cases, {len(failures)} failures, {time.time() - began:.0f} s"
    )
    for option in options:
        if option.startswith("--json="):
            table = {" ".join(key): found for key, found in sorted(worst.items())}
            result = {"device": name, "cases": len(chosen), "failures": failures, "worst errors": table}
            Path(option[7:]).write_text(json.dumps(result, indent=1))
    return len(failures) > 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
