"""Everything that the kernels show on an NVIDIA GPU, in one command: correctness, sanitizers, speed beside PyTorch.

    python tests/gpu/record.py FOLDER [--seconds 520] [--without-peers]

Writes FOLDER/gpu-DATE.json, the same as Markdown tables in gpu-DATE.md, and what each step printed. First, at the same
time, what needs no quiet GPU: the case table, the sanitizers, and torch.compile's work for the peers, which its cache
keeps. Then the benchmark alone, rows that matter most first; when the time is nearly over, peers are left out.
"""

from __future__ import annotations

import argparse
import datetime
import itertools
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import gpu as cuda
import kernel_cases
import msl
from bench import CASES, HEAD, line, needed_kernels

HERE = Path(__file__).resolve().parent
DTYPES = ("float", "half", "bfloat")
PEERS = "float,half,bfloat:separable"
PEER_PROCESSES = 8
ABOUT = """\
This ran on an NVIDIA GPU through a compatibility header (`tests/gpu/`), not on Metal. It shows that the kernels are
right under real parallelism and how near they come to the limit of memory; it says nothing about the speed of an
Apple GPU."""


class Step:
    """A command of the record, its output in a file."""

    def __init__(self, folder, name, *command):
        self.name, self.command, self.log = name, [str(c) for c in command], folder / f"{name}.txt"
        self.file = self.log.open("w")
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        self.process = subprocess.Popen(self.command, stdout=self.file, stderr=subprocess.STDOUT, env=environment)

    def wait(self, seconds):
        try:
            self.process.wait(max(1.0, seconds))
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.file.close()
        print(f"{self.name}: exit code {self.process.returncode}", flush=True)
        return self.process.returncode

    @property
    def text(self):
        return self.log.read_text()


def python(script, *arguments):
    return [sys.executable, HERE / script, *arguments]


def compile_all():
    """Compile what any of the steps needs, so that none of them waits for another one's."""
    library, needed = msl.load(), needed_kernels(CASES, DTYPES)
    needed |= kernel_cases.kernels([*kernel_cases.every(), *kernel_cases.large()])
    cuda.compiled(library, library.named(needed))
    return len(needed)


def checks(folder, left, peers):
    """Correctness, sanitizers and torch.compile's work for the peers, side by side."""
    running = [Step(folder, "check", *python("check_gpu.py", f"--json={folder / 'check.json'}"))]
    sanitizer = shutil.which("compute-sanitizer")
    for tool in ("memcheck", "racecheck") if sanitizer else ():
        running.append(Step(folder, tool, sanitizer, "--tool", tool, *python("check_gpu.py", "--brief")))
    todo = list(itertools.product(DTYPES if peers else (), CASES))
    warming = []
    while todo or warming:
        warming = [s for s in warming if s.process.poll() is None]
        while todo and len(warming) < PEER_PROCESSES and left() > 240:
            dtype, name = todo.pop(0)
            warming.append(
                Step(folder, f"peers-{dtype}-{name}", *python("bench.py", "--warm-peers", dtype, "--cases", name))
            )
        if left() <= 240:
            todo.clear()
            for step in warming:
                step.wait(0)
        time.sleep(0.2)
    return {step.name: step for step in running if step.wait(left() - 150) is not None}


def verdict(step):
    """The last line of a sanitizer's output that sums up, and whether the cases themselves passed."""
    lines = step.text.splitlines()
    summary = next((t for t in reversed(lines) if "SUMMARY" in t), "no summary")
    cases = next((t for t in reversed(lines) if " cases, " in t), "no cases")
    return f"{summary.strip('= ')}; {cases}"


def markdown(record):
    about = record["about"]
    parts = [
        f"# The Metal kernels' text on an NVIDIA GPU, {about['date']}",
        ABOUT,
        "| | |\n| --- | --- |\n"
        f"| device | {about['device']} ({about['multiprocessors']} multiprocessors), driver {about['driver']} |\n"
        f"| software | PyTorch {about['PyTorch']}, CUDA {about['CUDA']} |\n"
        "| command | `python tests/gpu/record.py FOLDER` |\n"
        f"| figures | [gpu-{about['date']}.json](gpu-{about['date']}.json) |",
        "## Speed",
        HEAD + "\n" + "\n".join(line(row) for row in in_order(record["rows"])),
        "## Correctness",
        "{cases} cases, each run twice; failures: {failed}.".format(
            cases=record["check"].get("cases", "no"), failed=len(record["check"].get("failures", [])) or "none"
        ),
        errors(record["check"].get("worst errors", {})),
        *(f"{tool}: {said}" for tool, said in record["sanitizers"].items()),
    ]
    return "\n\n".join(parts) + "\n"


def in_order(rows):
    cases, passes = list(CASES), ("forward", "gradient")
    return sorted(rows, key=lambda r: (cases.index(r["case"]), DTYPES.index(r["dtype"]), passes.index(r["pass"])))


def errors(worst):
    """Largest errors by pass and design, a column for each dtype."""
    table = {}
    for key, error in worst.items():
        which, design, dtype = key.split()
        table.setdefault((which, design), {})[dtype] = error
    rows = ["| pass | design | " + " | ".join(DTYPES) + " |", "|---" * (2 + len(DTYPES)) + "|"]
    for (which, design), found in sorted(table.items()):
        figures = " | ".join(f"{found[d]:.1e}" if d in found else "-" for d in DTYPES)
        rows.append(f"| {which} | {design} | {figures} |")
    return "\n".join(rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seconds", type=float, default=520)
    parser.add_argument("--without-peers", action="store_true")
    arguments = parser.parse_args()
    reason = cuda.why_not()
    if reason:
        print(f"skipped: {reason}")
        return 0
    end, folder, began = time.time() + arguments.seconds, arguments.folder, time.time()
    folder.mkdir(parents=True, exist_ok=True)

    def left():
        return end - time.time()

    def say(what):
        print(f"[{time.time() - began:.0f} s] {what}", flush=True)

    say(f"{compile_all()} kernels compiled")
    steps = checks(folder, left, not arguments.without_peers)
    say("checked")
    options = [] if arguments.without_peers else ["--peers", PEERS, "--peer-seconds", str(left() - 45)]
    command = ["bench.py", "--dtype", ",".join(DTYPES), *options, "--out", folder / "bench.json"]
    bench = Step(folder, "bench", *python(*command))
    failed = bench.wait(left()) != 0 or any(step.process.returncode for step in steps.values())
    say("timed")
    about = json.loads((folder / "bench.json").read_text())
    check = folder / "check.json"
    record = {
        "about": {k: v for k, v in about.items() if k != "rows"},
        "check": json.loads(check.read_text()) if check.exists() else {},
        "sanitizers": {name: verdict(step) for name, step in steps.items() if name != "check"},
        "rows": about["rows"],
    }
    date = datetime.date.today()
    (folder / f"gpu-{date}.json").write_text(json.dumps(record, indent=1) + "\n")
    text = markdown(record)
    (folder / f"gpu-{date}.md").write_text(text)
    print(text)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
