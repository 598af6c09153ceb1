"""Calls without end: random shapes, dtypes, layouts, parameters and threads. Memory, handles and threads must stay.

    python tests/soak/soak.py [--small 1000000] [--large 2000] [--device cpu|metal] [--seed 1]

Small calls go through a few objects, with many shapes each, so that plans come and go; large ones use several threads.
Some come from Python threads that are started for them and end. Every result is compared: in place with out of place,
bit by bit, in every call, and now and then with the reference. The last line tells what was done and what the process
held before and after.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import os
import sys
import threading
import time
from pathlib import Path

import numpy as np

import spatialnorm as sn
from spatialnorm import reference

TASKS = Path("/proc/self/task")
HANDLES = Path("/proc/self/fd")
EDGES = ("zero", "clamp")


def objects() -> int:
    """Count the emulated Metal's objects, without the pipelines: one for each variant of a kernel is kept."""
    library = os.environ.get("SOFTMETAL_LIBRARY")
    count = ctypes.CDLL(library).softmetal_live_objects if library else lambda name: 0
    return count(None) - count(b"SoftMetalComputePipelineState")


def held() -> dict[str, int]:
    """Return what the process holds: resident memory in KiB, open handles, threads, objects of the emulated Metal."""
    gc.collect()
    libc = ctypes.CDLL(None)
    if hasattr(libc, "malloc_trim"):
        libc.malloc_trim(0)  # what the allocator keeps for later is not held
    status = Path("/proc/self/status").read_text()
    resident = int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])
    return {
        "resident_kib": resident,
        "handles": len(list(HANDLES.iterdir())),
        "threads": len(list(TASKS.iterdir())),
        "objects": objects(),
    }


def layouts(array: np.ndarray, chance: np.random.Generator) -> np.ndarray:
    """Return the same values in another layout."""
    kind = chance.integers(5)
    if kind == 0:
        return np.asfortranarray(array)
    if kind == 1:
        return np.ascontiguousarray(array[..., ::-1])[..., ::-1]
    if kind == 2:
        return np.moveaxis(np.ascontiguousarray(np.moveaxis(array, 0, -1)), -1, 0)
    return array


class Soak:
    def __init__(self, device: str, seed: int) -> None:
        self.chance = np.random.default_rng(seed)
        self.device = device
        self.calls = self.compared = 0
        self.dtypes = ["f2", "f4", "f8"] if device == "cpu" else ["f2", "f4"]

    def norm(self) -> sn.SpatialNorm:
        c = self.chance
        kernel_size = tuple(int(k) for k in c.integers(1, 12, size=2))
        beta = float(c.choice([0.5, 0.75, 1.0, 2.5, 5.0]))
        return sn.SpatialNorm(kernel_size, float(c.uniform(0, 2)), beta, edge=str(c.choice(EDGES)), device=self.device)

    def check(self, norm: sn.SpatialNorm, x: np.ndarray, result: np.ndarray, judged: bool) -> None:
        if not judged:
            return
        self.compared += 1
        wide = x.astype("f8")
        expected = reference.spatial_forward(wide, norm.kernel_size, norm.alpha, norm.beta, norm.delta, edge=norm.edge)
        tolerance = {2: 2e-3, 4: 1e-5, 8: 1e-12}[x.itemsize]
        np.testing.assert_allclose(result.astype("f8"), expected, rtol=tolerance, atol=tolerance)

    def one(self, norm: sn.SpatialNorm, shape: tuple[int, ...], judged: bool) -> int:
        """Make the calls of one problem; return how many."""
        c = self.chance
        x = layouts(c.standard_normal(shape).astype(str(c.choice(self.dtypes))), c)
        result = norm(x)
        again = x.copy()
        # On Metal, another layout may have another kernel.
        expected = result if self.device == "cpu" else norm(again)
        norm(again, again)
        assert again.tobytes() == expected.tobytes()
        self.check(norm, x, result, judged)
        dx = norm.gradient(result, x)
        norm.gradient(result, x, result)
        assert result.tobytes() == dx.tobytes()
        calls = 4
        if c.integers(4) == 0:
            norm.jvp(x, dx)
            norm.parameter_gradients(memoryview(dx), x)
            calls += 2
        if c.integers(16) == 0:
            for bad in (x[..., 0][0], x.astype("i4"), x[..., :0][:0]):
                try:
                    norm(bad, x)
                except (TypeError, ValueError):
                    calls += 1
                else:
                    raise AssertionError("a call that must fail did not")
        return calls

    def settle(self) -> None:
        """Make what is made once and kept: the pool's threads, a thread's working memory at its largest."""
        sn.set_num_threads(4)
        for dtype in self.dtypes:
            for kernel_size in ((11, 11), (3, 11)):
                norm = sn.SpatialNorm(kernel_size, device=self.device)
                x = np.ones((700, 700), dtype)
                for turned in (x, x.T):
                    norm(turned, turned), norm.gradient(turned, turned, turned), norm.jvp(turned, turned, turned)

    def small(self, calls: int) -> None:
        norms = [self.norm() for _ in range(6)]
        until = self.calls + calls
        while self.calls < until:
            if self.chance.integers(200) == 0:
                norms[int(self.chance.integers(6))] = self.norm()
            norm = norms[int(self.chance.integers(6))]
            shape = tuple(int(n) for n in self.chance.integers(1, 20, size=2 + int(self.chance.integers(2))))
            # A shape that returns finds its plan; then a short loop as of a program that uses one array.
            self.calls += self.one(norm, shape, judged=self.chance.integers(100) == 0)
            x = np.ones(shape, "f4")
            out, step = np.empty_like(x), norm.bind(x)
            for _ in range(20):
                norm(x, out)
                step()
            assert out.tobytes() == step.out.tobytes()
            self.calls += 40

    def large(self, calls: int) -> None:
        until = self.calls + calls
        while self.calls < until:
            sn.set_num_threads(int(self.chance.integers(1, 5)))
            before = self.calls
            shape = tuple(int(n) for n in self.chance.integers(150, 700, size=2))
            if self.chance.integers(8) == 0:  # a thread that starts, calls and ends
                thread = threading.Thread(target=self.one_large, args=(shape,))
                thread.start()
                thread.join()
            else:
                self.one_large(shape)
            assert self.calls > before  # a thread's exception does not come here by itself

    def one_large(self, shape: tuple[int, ...]) -> None:
        self.calls += self.one(self.norm(), shape, judged=self.chance.integers(50) == 0)


def main() -> None:
    parser = argparse.ArgumentParser(description="Calls without end.")
    parser.add_argument("--small", type=int, default=1_000_000, help="small calls")
    parser.add_argument("--large", type=int, default=2_000, help="large calls")
    parser.add_argument("--device", choices=["cpu", "metal"], default="cpu")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if not TASKS.exists():
        sys.exit("soak: this system has no /proc, where memory, handles and threads are counted")
    soak = Soak(options.device, options.seed)
    soak.settle()
    soak.large(min(options.large, 500))
    soak.small(min(options.small, 200_000))
    before, begun, calls = held(), time.perf_counter(), soak.calls
    soak.small(options.small)
    soak.large(options.large)
    after = held()
    print(
        json.dumps(
            {
                "calls": soak.calls - calls,
                "compared_with_the_reference": soak.compared,
                "seconds": round(time.perf_counter() - begun, 1),
                "device": options.device,
                "before": before,
                "after": after,
            }
        )
    )


if __name__ == "__main__":
    main()
