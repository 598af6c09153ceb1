"""The Metal kernels on an NVIDIA GPU through the compatibility header: the whole table of cases twice, outputs
poisoned, and a part of it under compute-sanitizer. Skipped, with the reason, where there is no such GPU."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import check_gpu
import gpu
import kernel_cases
import msl

REASON = gpu.why_not() or (None if msl.nvcc() else "needs nvcc")
pytestmark = pytest.mark.skipif(REASON is not None, reason=str(REASON))


def test_against_float64(record_property):
    worst, failures, name = check_gpu.check_all([*kernel_cases.every(), *kernel_cases.large()])
    record_property("device", name)
    for key, error in worst.items():
        record_property(f"worst error {' '.join(key)}", f"{error:.2e}")
    assert not failures, "\n".join(failures)


@pytest.mark.parametrize("tool", ["memcheck", "racecheck"])
def test_compute_sanitizer(tool):
    sanitizer = shutil.which("compute-sanitizer")
    if sanitizer is None:
        pytest.skip("needs compute-sanitizer")
    command = [sanitizer, "--tool", tool, "--error-exitcode", "9", sys.executable, check_gpu.__file__, "--brief"]
    beside = {**os.environ, "PYTHONSAFEPATH": ""}  # the script finds the modules beside it
    done = subprocess.run(command, capture_output=True, text=True, env=beside)
    assert done.returncode == 0, done.stdout + done.stderr
