"""The contenders, one class for each. A class imports what it needs in its constructor."""

from __future__ import annotations

import importlib
import timeit
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.cases import Case


class Job:
    """One call to be timed.

    Attributes
    ----------
    seconds : callable
        Time of so many calls.
    result : callable
        Runs once on poisoned output and returns what came out, as N, C, H, W.
    expected : str or callable
        "forward" or "gradient": judged against float64. A callable: its array must be met exactly.
    note : str
        What a reader of the table should know.
    """

    def __init__(
        self,
        seconds: Callable[[int], float],
        result: Callable[[], np.ndarray],
        expected: str | Callable[[], np.ndarray],
        note: str = "",
    ) -> None:
        self.seconds, self.result, self.expected, self.note = seconds, result, expected, note


def python_job(
    call: str,
    names: dict[str, Any],
    expected: str | Callable[[], np.ndarray],
    out: np.ndarray | None = None,
    to_nchw: Callable[[np.ndarray], np.ndarray] = lambda a: a,
) -> Job:
    """Return the job of an expression, written as a user would, whose value (or `out`) is the result."""

    def result() -> np.ndarray:
        if out is not None:
            out.fill(np.nan)
        value = eval(call, names)
        return to_nchw(np.asarray(out if value is None else value))

    return Job(timeit.Timer(call, globals=names).timeit, result, expected)


class Peer(ABC):
    """What a contender offers.

    `slow`: a call may take minutes; it is tried on small crops first. `compiles`: the first call on a
    shape builds code, whose memory is not the operation's.
    """

    version = ""
    facts: dict[str, Any] = {}
    slow = False
    compiles = False

    @abstractmethod
    def __init__(self, threads: int) -> None: ...

    @abstractmethod
    def open(self, case: Case, x: np.ndarray, dy: np.ndarray) -> dict[str, Job]:
        """Return the jobs for a case, or {} if the peer does not take such a case."""

    def trial(self, case: Case, x: np.ndarray, dy: np.ndarray) -> dict[str, Job]:
        """Return jobs that tell how long a slow peer would take, without a wait for a compiler."""
        return self.open(case, x, dy)


CLASSES = {
    "spatialnorm": "ours:SpatialNorm",
    "limit": "limits:Limits",
    "OpenCV": "opencv_boxes:OpenCV",
    "Numba": "numba_sums:Numba",
    "JAX": "jax_separable:Jax",
    "SciPy": "scipy_filters:SciPy",
    "PyTorch eager": "pytorch:Eager",
    "torch.compile composite": "pytorch:CompiledComposite",
    "torch.compile separable": "pytorch:CompiledSeparable",
    "torch.compile closed form": "pytorch:CompiledClosedForm",
    "oneDNN plain": "onednn:Plain",
    "oneDNN best layout": "onednn:Best",
}


def create(name: str, threads: int) -> Peer:
    module, cls = CLASSES[name].split(":")
    return getattr(importlib.import_module(f"benchmarks.peers.{module}"), cls)(threads)
