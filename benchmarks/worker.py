"""One contender in a process of its own: python -m benchmarks.worker PEER THREADS.

Requests and replies are lines of JSON on standard input and output. A process each keeps the peers'
thread pools, allocators and crashes apart; turns.py lets them take turns, so that one at a time works.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from pathlib import Path

import numpy as np

from benchmarks import oracle
from benchmarks.cases import Case
from benchmarks.native_helpers import MissingError
from benchmarks.peers import Job, create

CROP = 16  # side of the first try of a slow peer


def as_dtype(a: np.ndarray, dtype: str) -> np.ndarray:
    if dtype == "bfloat16":
        import ml_dtypes

        return a.astype(ml_dtypes.bfloat16)
    return a.astype(dtype)


class Data:
    """Inputs and judged results of a case, as turns.py laid them into a folder."""

    def __init__(self, case: Case, folder: Path) -> None:
        self.case, self.folder = case, folder
        self.x, self.dy = (as_dtype(np.load(folder / f"{name}.npy"), case.dtype) for name in ("x", "dy"))

    def expected(self, name: str) -> np.ndarray:
        return np.load(self.folder / f"{name}.npy", mmap_mode="r")


class Crop:
    """The top left part of a case, judged when asked."""

    def __init__(self, data: Data, size: int) -> None:
        self.case = data.case.cropped(size)
        self.x, self.dy = (np.ascontiguousarray(a[..., :size, :size]) for a in (data.x, data.dy))
        self.results = dict(
            zip(("forward", "gradient"), oracle.forward_and_gradient(self.case, self.x, self.dy), strict=True)
        )

    def expected(self, name: str) -> np.ndarray:
        return self.results[name]


class Worker:
    def __init__(self, peer: str, threads: int) -> None:
        self.peer = create(peer, threads)
        self.data: Data | None = None
        self.jobs: dict[str, tuple[Job, Case]] = {}

    def open(self, case: dict, folder: str, longest: float) -> dict:
        """Set up a case, check every job, and say how long each takes. `longest`: seconds a call may take."""
        self.close()
        self.data = Data(Case.from_dict(case), Path(folder))
        replies: dict[str, dict] = {}
        for part, names in self.parts(longest):
            for name, job in self.peer.open(part.case, part.x, part.dy).items():
                if names is None or name in names:
                    self.jobs[name] = job, part.case
                    replies[name] = self.check(job, part)
        return {"jobs": replies}

    def parts(self, longest: float) -> list[tuple[Data | Crop, set[str] | None]]:
        """Return what to run: the whole case or, for the jobs of a slow peer, as much as time allows."""
        side = max(self.data.case.shape[2:])
        if not self.peer.slow or side <= CROP:
            return [(self.data, None)]
        sizes: dict[str, int] = {}
        growing, size = {"forward", "gradient"}, CROP
        while growing:
            trial = Crop(self.data, size)
            jobs = self.peer.trial(trial.case, trial.x, trial.dy)
            sizes.update(dict.fromkeys(growing & jobs.keys(), size))
            growing &= jobs.keys()
            growing = {name for name in growing if 4 * min(jobs[name].seconds(1) for _ in range(2)) < longest}
            size *= 2
            if size >= side:
                sizes.update(dict.fromkeys(growing, side))
                break
        chosen = {n: {name for name in sizes if sizes[name] == n} for n in set(sizes.values())}
        return [(self.data if n == side else Crop(self.data, n), names) for n, names in chosen.items()]

    def check(self, job: Job, part: Data | Crop) -> dict:
        result = job.result()
        if callable(job.expected):
            tolerance, error = 0.0, float(not np.array_equal(result, job.expected()))
        else:
            tolerance, error = oracle.TOLERANCE[part.case.dtype], oracle.error(result, part.expected(job.expected))
        reply = {"seconds": job.seconds(1), "tolerance": tolerance, "ok": bool(error <= tolerance)}
        reply["error"] = float(error) if np.isfinite(error) else None  # JSON has no infinity
        notes = [job.note] if job.note else []
        if part.case != self.data.case:
            notes.append("measured on " + "x".join(map(str, part.case.shape)))
        return reply | {"elements": part.case.elements, "note": "; ".join(notes)}

    def time(self, job: str, number: int, warm: bool) -> dict:
        if warm:
            self.jobs[job][0].seconds(1)
        wall, cpu = time.perf_counter(), time.process_time()
        seconds = self.jobs[job][0].seconds(number)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        return {"seconds": seconds / number, "busy": cpu / wall}

    def close(self) -> dict:
        self.jobs, self.data = {}, None
        gc.collect()
        return {}

    def memory(self, case: dict) -> dict:
        """Peak memory of forward and gradient beyond inputs and outputs, in bytes (Linux)."""
        case = Case.from_dict(case)
        random = np.random.default_rng(1)
        x, dy = (aligned(case.shape) for _ in range(2))
        for a in (x, dy):
            random.standard_normal(out=a, dtype=np.float32)
        # What is loaded or compiled at the first call is not the operation's memory.
        warm = case if self.peer.compiles else case.cropped(32)
        h, w = warm.shape[2:]
        self.run_both(warm, np.ascontiguousarray(x[..., :h, :w]), np.ascontiguousarray(dy[..., :h, :w]))
        gc.collect()
        Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts again from here
        before = resident("VmRSS")
        self.run_both(case, x, dy)
        return {"bytes": resident("VmHWM") - before - 2 * case.bytes}

    def run_both(self, case: Case, x: np.ndarray, dy: np.ndarray) -> None:
        jobs = self.peer.open(case, x, dy)
        # Both results are held at once, as a caller does.
        results = [jobs[name].result() for name in ("forward", "gradient")]
        if not all(np.isfinite(a.reshape(-1)[:: max(1, a.size // 1000)]).all() for a in results):
            raise RuntimeError("a result is not finite")


def aligned(shape: tuple[int, ...]) -> np.ndarray:
    """Return float32 memory that every peer takes as it is (JAX copies what is not aligned)."""
    size = int(np.prod(shape))
    room = np.empty(size + 16, np.float32)
    start = -room.ctypes.data % 64 // 4
    return room[start : start + size].reshape(shape)


def resident(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise MissingError(f"{field} in /proc/self/status")


def main() -> None:
    peer, threads = sys.argv[1], int(sys.argv[2])
    # Replies have a channel of their own: whatever a library prints goes to standard error.
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def reply(message: dict) -> None:
        replies.write(json.dumps(message) + "\n")
        replies.flush()

    try:
        worker = Worker(peer, threads)
    except (ImportError, MissingError) as error:
        return reply({"missing": str(error)})
    except Exception as error:
        return reply({"missing": f"{type(error).__name__}: {error}"})
    reply({"version": worker.peer.version, **worker.peer.facts})
    for line in sys.stdin:
        request = json.loads(line)
        try:
            reply(getattr(worker, request.pop("do"))(**request))
        except Exception as error:
            reply({"problem": " ".join(f"{type(error).__name__}: {error}".split())[:300]})


if __name__ == "__main__":
    main()
