"""Lets the contenders take turns: one process each, rounds over all their jobs, medians and quartiles."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks import oracle
from benchmarks.cases import Case, Contender

ROOT = Path(__file__).resolve().parent.parent
# The checkout comes last on the path: the spatialnorm that is measured is the installed one.
START = "import sys; sys.path.append(sys.argv.pop()); from benchmarks.worker import main; main()"
PATIENCE = 400  # seconds until a contender that does not answer is given up
LEAST_SAMPLES, MOST_SAMPLES = 3, 40
BATCH = 0.002  # seconds; quick calls are timed so many at a time


class WorkerError(Exception):
    """A contender could not do what was asked; the message is its own."""


def environment(contender: Contender) -> dict[str, str]:
    """Return the variables by which libraries learn their number of threads before they start."""
    n = str(contender.threads)
    names = ("OMP", "MKL", "OPENBLAS", "NUMBA", "SPATIALNORM")
    variables = {**os.environ, **{f"{name}_NUM_THREADS": n for name in names}, "NPROC": n}
    if contender.threads == 1:
        variables["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_multi_thread_eigen=false".strip()
    if contender.isa:
        variables["SPATIALNORM_ISA"] = contender.isa
    return variables


class Worker:
    """The process of one contender, seen from here."""

    def __init__(self, contender: Contender) -> None:
        self.contender = contender
        self.log = tempfile.TemporaryFile("w+")  # noqa: SIM115  (closed by stop)
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-c", START, contender.peer, str(contender.threads), str(ROOT)],
            env=environment(contender),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
        )
        greeting = self.read()
        self.missing, self.facts = greeting.get("missing", ""), greeting

    def read(self) -> dict:
        watch = threading.Timer(PATIENCE, self.process.kill)
        watch.start()
        line = self.process.stdout.readline()
        watch.cancel()
        if not line:
            status = self.process.wait()
            self.log.seek(0)
            last = (self.log.read().strip().splitlines() or ["no message"])[-1]
            raise WorkerError(f"ended with status {status}: {last[:200]}")
        return json.loads(line)

    def ask(self, do: str, **arguments) -> dict:
        try:
            self.process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # read() says why
        reply = self.read()
        if "problem" in reply:
            raise WorkerError(reply["problem"])
        return reply

    def stop(self) -> None:
        self.process.stdin.close()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.log.close()


@dataclass
class Row:
    """One job of one contender on one case."""

    section: str
    case: Case
    contender: Contender
    job: str
    facts: dict  # the worker's check: seconds, error, tolerance, ok, elements, note
    samples: list[float] = field(default_factory=list)  # seconds a call
    busy: list[float] = field(default_factory=list)  # processors in use
    worker: Worker | None = None

    @property
    def number(self) -> int:
        return max(1, round(BATCH / max(self.facts["seconds"], 1e-8)))

    def sample(self) -> None:
        warm = self.facts["seconds"] < 0.05  # the caches are as the job itself leaves them
        reply = self.worker.ask("time", job=self.job, number=self.number, warm=warm)
        self.samples.append(reply["seconds"])
        self.busy.append(reply["busy"])

    def to_dict(self) -> dict:
        per = 1e9 / self.facts["elements"]
        q1, median, q3 = np.quantile(self.samples, [0.25, 0.5, 0.75])
        return {
            "section": self.section,
            "case": self.case.name,
            "contender": self.contender.name,
            "job": self.job,
            "ns_per_element": {"median": float(median * per), "q1": float(q1 * per), "q3": float(q3 * per)},
            "call_ns": float(median * 1e9),
            "samples": len(self.samples),
            "calls_a_sample": self.number,
            "processors": float(np.median(self.busy)),
            **{name: self.facts[name] for name in ("elements", "error", "tolerance", "ok", "note")},
        }


def lay_data(case: Case, folder: Path) -> None:
    """Write inputs, rounded to the case's dtype, and the judged results."""
    random = np.random.default_rng(20261122)
    x, dy = (random.standard_normal(case.shape, dtype=np.float32) for _ in range(2))
    if case.dtype == "float64":
        x, dy = x + random.standard_normal(case.shape) * 1e-8, dy.astype(np.float64)
    elif case.dtype == "float16":
        x, dy = (a.astype(np.float16).astype(np.float32) for a in (x, dy))
    elif case.dtype == "bfloat16":  # the upper half of the bits: a bfloat16 number whatever the rounding
        x, dy = ((a.view(np.uint32) & 0xFFFF0000).view(np.float32) for a in (x, dy))
    y, dx = oracle.forward_and_gradient(case, x, dy)
    for name, array in {"x": x, "dy": dy, "forward": y, "gradient": dx}.items():
        np.save(folder / f"{name}.npy", array)


def measure(
    section: str, case: Case, workers: list[Worker], budget: float, longest: float
) -> tuple[list[Row], list[dict]]:
    """Measure a case: set up and check all contenders, then three rounds, then more for `budget` seconds.

    Returns the rows, and what went wrong.
    """
    rows, problems = [], []

    def set_up(worker: Worker) -> list[Row]:
        try:
            reply = worker.ask("open", case=case.to_dict(), folder=folder, longest=longest)
        except WorkerError as error:
            problems.append({"case": case.name, "contender": worker.contender.name, "problem": str(error)})
            return []
        return [Row(section, case, worker.contender, job, facts, worker=worker) for job, facts in reply["jobs"].items()]

    with tempfile.TemporaryDirectory(prefix="spatialnorm-benchmark-") as folder:
        lay_data(case, Path(folder))
        with ThreadPoolExecutor(os.cpu_count()) as pool:  # nothing is timed yet
            for found in pool.map(set_up, [w for w in workers if w.process.poll() is None]):
                rows += found
        for row in rows:  # once more, alone: the first estimate was taken beside others
            row.facts["seconds"] = row.worker.ask("time", job=row.job, number=1, warm=False)["seconds"]
        for turn in range(MOST_SAMPLES):
            if turn == LEAST_SAMPLES:
                end = time.monotonic() + budget
            if turn >= LEAST_SAMPLES and time.monotonic() > end:
                break
            start = turn % max(1, len(rows))  # nobody always follows the same neighbour
            for row in rows[start:] + rows[:start]:
                # A slow call does not hold up the others' rounds.
                if turn < LEAST_SAMPLES or row.facts["seconds"] < budget / 100:
                    row.sample()
        for worker in {id(row.worker): row.worker for row in rows}.values():
            worker.ask("close")
    return rows, problems
