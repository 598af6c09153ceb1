"""Everything that the kernels show on an NVIDIA GPU, in one command: correctness, sanitizers, speed beside PyTorch.

    python tests/gpu/record.py [--seconds 520] [--without-peers] [FOLDER]
    python tests/gpu/record.py --compile      only fills build/gpu, so that a borrowed GPU need not wait for nvcc

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
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import gpu as cuda
import kernel_cases
import msl
from bench import CASES, HEAD, line, needed_kernels

HERE = Path(__file__).resolve().parent
DTYPES = ("float", "half", "bfloat")
PEERS = "float,half,bfloat:separable"
PEER_PROCESSES = 12
RESERVED = 240  # seconds for the benchmark
# The caches by which one process finds what another one's torch.compile made.
CACHES = {
    "TORCHINDUCTOR_FX_GRAPH_CACHE": "1",
    "TORCHINDUCTOR_AUTOGRAD_CACHE": "1",
    "TORCHINDUCTOR_COMPILE_THREADS": "2",
}
ABOUT = """\
This ran on an NVIDIA GPU through a compatibility header (`tests/gpu/`), not on Metal. It shows that the kernels are
right under real parallelism and how near they come to the limit of memory; it says nothing about the speed of an
Apple GPU."""


class Step:
    """A command of the record, its output in a file."""

    def __init__(self, folder, name, *command):
        self.name, self.log = name, folder / f"{name}.txt"
        environment = {**os.environ, **CACHES, "PYTHONUNBUFFERED": "1"}
        with self.log.open("w") as file:
            self.process = subprocess.Popen(
                [str(c) for c in command], stdout=file, stderr=subprocess.STDOUT, env=environment
            )

    def wait(self, seconds):
        try:
            self.process.wait(max(1.0, seconds))
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.process.returncode:
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
    """Correctness, sanitizers and torch.compile's work for the peers, side by side: {name: what has ended}."""
    steps = [Step(folder, "check", *python("check_gpu.py", f"--json={folder / 'check.json'}"))]
    sanitizer = shutil.which("compute-sanitizer")
    for tool in ("memcheck", "racecheck") if sanitizer else ():
        options = ["--tool", tool, "--error-exitcode", "9"]
        steps.append(Step(folder, tool, sanitizer, *options, *python("check_gpu.py", "--brief")))

    def warm(dtype, name):
        if left() > RESERVED:
            command = python("bench.py", "--warm-peers", dtype, "--cases", name)
            Step(folder, f"peers-{dtype}-{name}", *command).wait(left() - RESERVED)

    if peers:
        with ThreadPoolExecutor(PEER_PROCESSES) as pool:
            list(pool.map(lambda pair: warm(*pair), itertools.product(DTYPES, CASES)))
    for step in steps:
        step.wait(left() - RESERVED / 2)
    return {step.name: step for step in steps}


def verdict(step):
    """The last line of a sanitizer's output that sums up, and whether the cases themselves passed."""
    lines = step.text.splitlines()
    summary = next((t for t in reversed(lines) if "SUMMARY" in t), "no summary")
    cases = next((t for t in reversed(lines) if " cases, " in t), "no cases")
    return f"{summary.strip('= ')}; {cases}"


def markdown(record):
    parts = [
        f"# The Metal kernels' text on an NVIDIA GPU, {record['date']}",
        ABOUT,
        "| | |\n| --- | --- |\n"
        f"| device | {record['device']} ({record['multiprocessors']} multiprocessors), driver {record['driver']} |\n"
        f"| software | PyTorch {record['PyTorch']}, CUDA {record['CUDA']} |\n"
        f"| command | `{record['command']}` |\n"
        f"| figures | [gpu-{record['date']}.json](gpu-{record['date']}.json) |",
        "## Speed",
        HEAD + "\n" + "\n".join(line(row) for row in in_order(record["rows"])),
        *missing_peers(record["rows"]),
        "## Correctness",
        "{cases} cases, each run twice; failures: {failed}.".format(
            cases=record["check"].get("cases", "no"), failed=len(record["check"].get("failures", [])) or "none"
        ),
        errors(record["check"].get("worst errors", {})),
        *(f"{tool}: {said}" for tool, said in record["sanitizers"].items()),
    ]
    return "\n\n".join(parts) + "\n"


def missing_peers(rows):
    """A line for each reason why asked peers have no figure."""
    found = {}
    for row in in_order(rows):
        for form, reason in row.get("peers that failed", {}).items():
            found.setdefault(reason, []).append(f"{row['case']} {row['dtype']} {row['pass']} {form}")
    return [f"No figure ({reason}): {', '.join(which)}." for reason, which in found.items()]


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
    parser.add_argument("folder", type=Path, nargs="?", default=msl.BUILD / "record")
    parser.add_argument("--compile", action="store_true", help="only compile the kernels, which needs no GPU")
    parser.add_argument("--seconds", type=float, default=520)
    parser.add_argument("--without-peers", action="store_true")
    arguments = parser.parse_args()
    if arguments.compile:
        print(f"{compile_all()} kernels compiled")
        return 0
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
    record, check = json.loads((folder / "bench.json").read_text()), folder / "check.json"
    rows = record.pop("rows")
    record["command"] = "python tests/gpu/record.py FOLDER"
    record["check"] = json.loads(check.read_text()) if check.exists() else {}
    record["sanitizers"] = {name: verdict(step) for name, step in steps.items() if name != "check"}
    record["rows"] = rows
    date = datetime.date.today()
    (folder / f"gpu-{date}.json").write_text(json.dumps(record, indent=1) + "\n")
    text = markdown(record)
    (folder / f"gpu-{date}.md").write_text(text)
    print(text)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
