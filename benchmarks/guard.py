"""Guard against slower kernels: instruction counts of fixed cases, compared with the recorded ones.

    python benchmarks/guard.py            # compare, exit status 1 when a case costs over 5 % more
    python benchmarks/guard.py --update   # record

Times depend on the machine and its other work, instruction counts do not: valgrind's callgrind counts
what one thread executes in one sn_plan_run, with AVX2 (valgrind does not know AVX-512). The compiler
does matter, so counts are kept for each compiler by itself. What a count does not see: memory, and
AVX-512's own code paths.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RECORD = ROOT / "benchmarks" / "guard.json"
sys.path.insert(0, str(ROOT / "native"))

from build_native import BuildError, Core, compiler  # noqa: E402

# PASS DTYPE LAYOUT EDGE N C H W KERNEL BETA. Small enough for valgrind, large enough for the inner
# loops to dominate; between them they reach every pass, dtype, layout, edge and window algorithm.
CASES = [
    "forward float32 NCHW zero 1 1 64 1024 3 0.75",
    "forward float32 NCHW zero 1 1 64 1024 5 0.75",
    "forward float32 NCHW zero 1 1 64 1024 5 5",
    "forward float32 NCHW zero 1 1 64 1024 9 0.75",
    "forward float32 NCHW zero 1 1 128 1024 31 0.75",
    "forward float32 NCHW zero 1 1 128 1024 63 0.75",
    "forward float32 NCHW clamp 1 1 64 1024 5 0.75",
    "forward float32 NCHW zero 1 8 56 56 5 0.75",
    "forward float32 NCHW zero 1 64 7 7 3 0.75",
    "forward float32 NCHW zero 1 1 16 16 5 0.75",
    "forward float32 NCHW zero 1 1 2 2 5 0.75",
    "forward float32 NHWC zero 1 64 32 32 5 0.75",
    "forward float16 NCHW zero 1 1 64 1024 5 0.75",
    "forward bfloat16 NCHW zero 1 1 64 1024 5 0.75",
    "forward float64 NCHW zero 1 1 64 1024 5 0.75",
    "gradient float32 NCHW zero 1 1 64 1024 3 0.75",
    "gradient float32 NCHW zero 1 1 64 1024 5 0.75",
    "gradient float32 NCHW zero 1 1 64 1024 9 0.75",
    "gradient float32 NCHW zero 1 1 128 1024 31 0.75",
    "gradient float32 NCHW zero 1 1 128 1024 63 0.75",
    "gradient float32 NCHW clamp 1 1 64 1024 5 0.75",
    "gradient float32 NCHW zero 1 8 56 56 5 0.75",
    "gradient float32 NCHW zero 1 1 16 16 5 0.75",
    "gradient float32 NHWC zero 1 64 32 32 5 0.75",
    "gradient float16 NCHW zero 1 1 64 1024 5 0.75",
    "gradient float64 NCHW zero 1 1 64 1024 5 0.75",
    "jvp float32 NCHW zero 1 1 64 1024 5 0.75",
    "parameters float32 NCHW zero 1 1 64 1024 5 0.75",
]


class GuardError(Exception):
    """The counts cannot be taken; the message says why."""


def run(command: list[str], environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if result.returncode:
        raise GuardError(f"{Path(command[0]).name} failed: {(result.stderr or result.stdout).strip()}")
    return result


def compiler_name(cxx: list[str]) -> str:
    """Return family and major version: code generation changes with the major version."""
    first = run([*cxx, "--version"]).stdout.splitlines()[0]
    version = re.search(r"(\d+)\.\d+", first)
    return f"{'clang' if 'clang' in first else 'g++'} {version[1] if version else first}"


def build_program(cxx: list[str], library: Path, folder: Path) -> Path:
    program = folder / "guard"
    source = ROOT / "benchmarks" / "native" / "guard.cpp"
    include = f"-I{ROOT / 'native' / 'include'}"
    run(
        [
            *cxx,
            "-std=c++17",
            "-O1",
            include,
            str(source),
            "-o",
            str(program),
            str(library),
            f"-Wl,-rpath,{library.parent}",
        ]
    )
    return program


def count(program: Path, case: str) -> int:
    """Return the number of instructions that a run of `case` executes, the first run left out."""
    # callgrind counts a case the same whatever the environment holds, as long as the target is fixed.
    environment = {**os.environ, "SPATIALNORM_ISA": "avx2"}
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", "--toggle-collect=counted_run"]
    result = run([*command, str(program), *case.split()], environment)
    if result.stdout.strip() != "avx2":
        raise GuardError(f"The case ran on {result.stdout.strip()!r}, not on avx2.")
    found = re.search(r"Collected\s*:\s*(\d+)", result.stderr)
    if not found or int(found[1]) == 0:
        raise GuardError("callgrind collected nothing in counted_run.")
    return int(found[1])


def compare(recorded: dict[str, int], counted: dict[str, int], tolerance: float) -> int:
    """Print one line a case; return how many are over the tolerance or not recorded."""
    bad = 0
    for case, now in counted.items():
        n, c, h, w = map(int, case.split()[4:8])
        before = recorded.get(case)
        change = (now / before - 1) * 100 if before else 0.0
        verdict = "not recorded" if before is None else "SLOWER" if change > tolerance else ""
        if before and change < -tolerance:
            verdict = "faster: record it with --update"
        bad += verdict in ("not recorded", "SLOWER")
        print(f"{case:50} {now:>10}  {now / (n * c * h * w):7.2f} per element  {change:+6.2f} %  {verdict}".rstrip())
    return bad


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare the kernels' instruction counts with the recorded ones.")
    parser.add_argument("--update", action="store_true", help=f"record the counts in {RECORD.name}")
    parser.add_argument("--tolerance", type=float, default=5.0, help="per cent (default: 5)")
    parser.add_argument("--library", type=Path, help="count this library (default: build the checkout's core)")
    parser.add_argument("--cases", default="", help="only cases that contain this text")
    options = parser.parse_args()

    cases = [case for case in CASES if options.cases in case]
    if not cases:
        parser.error(f"--cases: no case contains {options.cases!r}")
    try:
        if not shutil.which("valgrind"):
            raise GuardError("valgrind was not found: install it (Debian: apt-get install valgrind).")
        cxx = compiler()
        library = options.library.resolve() if options.library else Core(cxx=cxx).build()
        with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(os.cpu_count()) as pool:
            program = build_program(cxx, library, Path(folder))
            counted = dict(zip(cases, pool.map(lambda case: count(program, case), cases), strict=True))
    except (GuardError, BuildError) as error:
        sys.exit(f"guard: {error}")

    name = compiler_name(cxx)
    record = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    if options.update:
        kept = record.get(name, {}) if options.cases else {}
        record[name] = {case: {**kept, **counted}[case] for case in CASES if case in kept or case in counted}
        RECORD.write_text(json.dumps(record, indent=1) + "\n")
        compare(counted, counted, options.tolerance)
        print(f"Recorded {len(counted)} cases for {name}.")
    elif name not in record:
        sys.exit(f"guard: no counts are recorded for {name} (only for {', '.join(record) or 'none'}): use --update.")
    elif bad := compare(record[name], counted, options.tolerance):
        sys.exit(f"guard: {bad} of {len(counted)} cases cost over {options.tolerance:g} % more, or are not recorded.")


if __name__ == "__main__":
    main()
