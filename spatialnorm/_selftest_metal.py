"""What the self-test tells of a Metal device beside its results: copies, and time against a copy of the same bytes."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from spatialnorm._devices import devices, metal_stats
from spatialnorm._memory import empty
from spatialnorm.spatial import SpatialNorm

EMULATED = "Emulated Metal"  # the name of the test double in tests/softmetal


def zero_copy() -> dict[str, Any]:
    """Tell whether arrays are used where they lie: those of `empty`, which must be, and NumPy's own."""
    norm = SpatialNorm(3, device="metal")
    found: dict[str, Any] = {}
    makers: dict[str, Callable[..., Any]] = {"spatialnorm.empty": empty, "numpy.empty": np.empty}
    for name, make in makers.items():
        x, out = make((3, 100, 101), np.float32), make((3, 100, 101), np.float32)
        x[...] = 1
        before = metal_stats()
        norm(x, out)
        after = metal_stats()
        found[name] = {key: after[key] - before[key] for key in ("wrapped_buffers", "staged_buffers")}
    found["passed"] = found["spatialnorm.empty"] == {"wrapped_buffers": 2, "staged_buffers": 0}
    return found


def milliseconds(call: Callable[[], object]) -> float:
    """Take the median of ten calls after a first one."""
    call()
    times = []
    for _ in range(10):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return 1e3 * statistics.median(times)


def throughput() -> dict[str, Any]:
    """Time a large image, and NumPy's copy of the same memory; nothing on the test double, whose time says nothing."""
    if any(d.kind == "metal" and d.name == EMULATED for d in devices()):
        return {"not timed": "emulated Metal"}
    norm = SpatialNorm(5, beta=0.75, device="metal")
    x, grad_y, out = (empty((4096, 4096)) for _ in range(3))
    x[...] = grad_y[...] = np.random.default_rng(0).random(x.shape, np.float32)
    calls: dict[str, Callable[[], object]] = {
        "copy by NumPy": lambda: np.copyto(out, x),
        "spatial_forward": lambda: norm(x, out),
        "spatial_gradient": lambda: norm.gradient(grad_y, x, out),
    }
    return {f"{name}, 4096 x 4096 float32, ms": round(milliseconds(call), 3) for name, call in calls.items()}
