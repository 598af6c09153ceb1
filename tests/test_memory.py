"""Memory: no temporary of the size of the image, no hidden copy, nothing left behind."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cases import DEVICE, cpu_only

import spatialnorm as sn

STATUS = Path("/proc/self/status")
needs_proc = pytest.mark.skipif(
    not STATUS.exists(), reason="/proc/self/status, which tells a process's peak, is missing"
)

PEAK = """
import sys
import numpy as np, spatialnorm as sn

def status(name):
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(name))

operation, dtype, kernel, layout, in_place, threads = sys.argv[1:]
sn.set_num_threads(int(threads))
shape = (4096, 4096) if layout == "NCHW" else (1, 512, 512, 64)
axes = (-2, -1) if layout == "NCHW" else (1, 2)
norm = sn.SpatialNorm(int(kernel), 1e-4, 0.75, 1.0, axes=axes, device="cpu")
x = np.ones(shape, dtype)  # written, so that its pages are there before the measurement
grad_y = np.full(shape, 0.5, dtype)
out = x if in_place == "in place" else np.zeros(shape, dtype)
out[...] = 1
small = np.ones((1, 64, 64, 1), dtype)
norm(small), norm.gradient(small, small)
with open("/proc/self/clear_refs", "w") as file:
    file.write("5")  # the peak starts anew
before = status("VmRSS")
if operation == "forward":
    norm(x, out)
elif operation == "gradient":
    norm.gradient(grad_y, x, out)
elif operation == "jvp":
    norm.jvp(x, grad_y, out)
else:
    norm.parameter_gradients(grad_y, x)
print(status("VmHWM") - before)
"""


def peak(*arguments):
    """Peak of resident memory during one call, above what was there before it, in KiB."""
    result = subprocess.run(
        [sys.executable, "-c", PEAK, *map(str, arguments)], capture_output=True, text=True, timeout=300
    )
    assert result.returncode == 0, result.stderr
    return int(result.stdout)


@needs_proc
@cpu_only
@pytest.mark.parametrize("kernel", [5, 63])
@pytest.mark.parametrize("operation", ["forward", "gradient", "jvp", "parameter_gradients"])
def test_peak_on_a_large_plane(operation, kernel):
    """4096 x 4096 float32 is 64 MiB: a temporary of its size would show four times over."""
    assert peak(operation, "f4", kernel, "NCHW", "apart", 2) < 16 * 1024


@needs_proc
@cpu_only
@pytest.mark.parametrize(
    ("operation", "dtype", "layout", "in_place"),
    [
        ("gradient", "f4", "NHWC", "apart"),
        ("forward", "f4", "NCHW", "in place"),
        ("gradient", "f2", "NCHW", "in place"),
    ],
)
def test_peak_otherwise(operation, dtype, layout, in_place):
    assert peak(operation, dtype, 5, layout, in_place, 2) < 16 * 1024


def resident():
    return int(next(line for line in STATUS.read_text().splitlines() if line.startswith("VmRSS")).split()[1])


@needs_proc
def test_nothing_is_left_behind():
    """Tens of thousands of calls and objects, with errors among them: resident memory stays."""
    x = np.ones((8, 9), "f4")
    shapes = [np.ones((n, 5), "f4") for n in range(2, 30)]

    def work(rounds):
        for k in range(rounds):
            norm = sn.SpatialNorm(3, alpha=1 + k % 7, device=DEVICE)
            for y in shapes:
                norm(y)
            norm(x, x), norm.gradient(memoryview(x), x), norm.parameter_gradients(x, x)
            for bad in (x[0], x.astype("i4"), "text"):
                with contextlib.suppress(TypeError, ValueError):
                    norm(bad)

    rounds = 400 if DEVICE == "cpu" else 20
    work(rounds)
    before = resident()
    work(2 * rounds)
    assert resident() - before < 2048


@pytest.mark.parametrize("shape", [(), 0, 5, (3, 0, 2), (7, 9), (64, 64), np.int64(12), [2, 3]], ids=repr)
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "u1", "c16"])
def test_page_aligned(shape, dtype):
    import mmap

    a = sn.empty(shape, dtype)
    assert a.dtype == np.dtype(dtype)
    assert a.shape == np.empty(shape).shape
    assert a.flags.c_contiguous
    assert a.flags.writeable
    if a.size == 0:
        return
    assert a.ctypes.data % mmap.PAGESIZE == 0
    a[...] = 1
    base = a
    while isinstance(base.base, np.ndarray):
        base = base.base
    end = base.ctypes.data + base.nbytes
    pages = max(1, -(-a.nbytes // mmap.PAGESIZE))
    assert a.ctypes.data + pages * mmap.PAGESIZE <= end  # its last page, too, is its own


def test_empty_like():
    x = np.zeros((4, 5), "f2", order="F")
    a = sn.empty_like(x)
    assert (a.shape, a.dtype) == (x.shape, x.dtype)
    assert a.flags.c_contiguous
    assert sn.empty_like(memoryview(np.zeros((2, 3), "f4"))).dtype == np.float32
    assert sn.empty((2, 3)).dtype == np.float32


def test_empty_refuses():
    with pytest.raises(ValueError, match=r"shape .*negative.*\(2, -1\)"):
        sn.empty((2, -1))
    with pytest.raises(TypeError):
        sn.empty((2.5, 1))
    with pytest.raises((MemoryError, ValueError)):
        sn.empty((2**40, 2**20))


@needs_proc
def test_environment_is_clean():
    """Importing prints nothing and needs NumPy only."""
    code = "import sys, spatialnorm; print(sorted(m for m in sys.modules if m.partition('.')[0] in sys.argv[1:]))"
    others = ["matplotlib", "torch", "jax", "scipy", "ml_dtypes", "pytest", "dask", "PIL"]
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *others], capture_output=True, text=True, env=os.environ, timeout=60
    )
    assert (result.stdout, result.stderr) == ("[]\n", "")


def test_reference_is_not_imported():
    code = "import sys, spatialnorm; print('spatialnorm.reference' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert result.stdout == "False\n"


def test_import_time():
    """Under 30 ms of processor time beyond NumPy's own import; where that takes over 300 (emulated), a tenth of it."""
    code = """
from time import process_time
start = process_time()
import numpy
between = process_time()
import spatialnorm
print((between - start) * 1e3, (process_time() - between) * 1e3)
"""
    runs = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60).stdout.split()
        for _ in range(5)
    ]
    numpy, own = (min(map(float, times)) for times in zip(*runs, strict=True))
    assert own < max(30, numpy / 10)
