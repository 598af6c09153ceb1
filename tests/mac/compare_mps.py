"""Measure what Apple's framework computes, next to the exact and the documented gradient. On a Mac:

    python tests/mac/compare_mps.py [--json]

Builds mps_measure.mm (Xcode's command line tools), runs it on random planes for several windows and parameters, and
prints for the forward pass and for the gradient how far the framework is from spatialnorm's reference in float64, for
both formulas: the largest error in parts of the largest value.
"""

import argparse
import json
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from spatialnorm import reference

SOURCE = Path(__file__).with_name("mps_measure.mm")
SHAPE = (64, 64)
CASES = [
    {"kernel_size": k, "alpha": alpha, "beta": beta, "delta": 1.0}
    for alpha, beta in ((1.0, 5.0), (1e-4, 0.75), (1.0, 0.5))
    for k in (1, 2, 3, 4, 5, 9)
]


def build(folder):
    program = Path(folder) / "mps_measure"
    frameworks = [word for name in ("Foundation", "Metal", "MetalPerformanceShaders") for word in ("-framework", name)]
    command = ["clang++", "-std=c++17", "-fobjc-arc", "-O1", str(SOURCE), *frameworks, "-o", str(program)]
    subprocess.run(command, check=True)
    return program


def measure(program, x, grad_y, kernel_size, alpha, beta, delta):
    arguments = [str(v) for v in (*x.shape, kernel_size, alpha, beta, delta)]
    made = subprocess.run(
        [str(program), *arguments], input=x.tobytes() + grad_y.tobytes(), capture_output=True, check=False
    )
    if made.returncode:
        raise SystemExit(made.stderr.decode())
    return np.frombuffer(made.stdout, np.float32).reshape(2, *x.shape)


def error(result, expected):
    return float(np.abs(result - expected).max() / np.abs(expected).max())


def compare(program, case):
    x, grad_y = np.random.default_rng(0).normal(size=(2, *SHAPE)).astype(np.float32)
    y, grad_x = measure(program, x, grad_y, **case)
    gradients = {
        formula: error(grad_x, reference.spatial_gradient(grad_y, x, **case, gradient=formula))
        for formula in ("exact", "documented")
    }
    return {**case, "forward": error(y, reference.spatial_forward(x, **case)), **gradients}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    if sys.platform != "darwin":
        raise SystemExit("Apple's framework exists on macOS only")
    with tempfile.TemporaryDirectory() as folder:
        program = build(folder)
        rows = [compare(program, case) for case in CASES]
    if options.json:
        print(json.dumps({"macos": platform.mac_ver()[0], "machine": platform.machine(), "rows": rows}, indent=2))
        return
    names = list(rows[0])
    print("".join(f"{name:>13}" for name in names))
    for row in rows:
        print("".join(f"{row[name]:13.3g}" for name in names))


if __name__ == "__main__":
    main()
