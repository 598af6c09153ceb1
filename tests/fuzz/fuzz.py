"""Fuzz the C interface with libFuzzer, from the inputs of corpus.txt on.

    python tests/fuzz/fuzz.py [--seconds 60] [--timeout 60] [--update]

The core, without the kernels, is built with coverage, AddressSanitizer and UndefinedBehaviorSanitizer; the kernels are
those that are shipped, on memory between unmapped pages. An input that fails is left in build/fuzz. With --update the
inputs that reach something new are written to corpus.txt, smallest first. Needs clang-19 and libclang-rt-19-dev.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(ROOT / "native"))

import build_native  # noqa: E402

CORPUS = HERE / "corpus.txt"
MOST_BYTES = 256  # of one input


def read_corpus() -> list[bytes]:
    return [bytes.fromhex(line) for line in CORPUS.read_text().splitlines() if line and not line.startswith("#")]


def write_corpus(inputs: list[bytes]) -> None:
    lines = sorted((data.hex() for data in inputs if data), key=lambda text: (len(text), text))
    CORPUS.write_text(
        "# Inputs of fuzz_c_interface.cpp, one a line, in hexadecimal digits.\n" + "\n".join(lines) + "\n"
    )


def unpack(folder: Path) -> list[Path]:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    files = [folder / f"{number:04d}" for number in range(len(read_corpus()))]
    for file, data in zip(files, read_corpus(), strict=True):
        file.write_bytes(data)
    return files


def processor_seconds() -> float:
    """Return what ended child processes have used."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def build(folder: Path, cxx: str) -> tuple[Path, Path]:
    """Return the fuzzer and the copy of the library that judges it."""
    core = build_native.Core()
    judge = folder / "judge.so"
    shutil.copy(core.build(), judge)
    source = ROOT / "native" / "src"
    files = [unit.source for unit in core.units() if unit.source.parent != source / "cpu" / "targets"]
    macros = [word for word in core.units()[0].command if word.startswith(("-DSN_", "-I"))]
    flags = ["-std=c++17", "-O1", "-g", "-ffp-contract=off", "-fsanitize=fuzzer,address,undefined"]
    flags += ["-fno-sanitize-recover=undefined", "-pthread", "-Wno-deprecated-declarations"]
    kernels = sorted((core.folder / "src" / "cpu" / "targets").glob("*.o"))
    program = folder / "fuzz_c_interface"
    subprocess.run(
        [*cxx.split(), *flags, *macros, HERE / "fuzz_c_interface.cpp", *files, *kernels, "-o", program, "-ldl"],
        check=True,
    )
    return program, judge


def main() -> None:
    parser = argparse.ArgumentParser(description="Fuzz the C interface.")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--timeout", type=int, default=60, help="seconds for one input; more on a busy machine")
    parser.add_argument("--update", action="store_true", help="write corpus.txt")
    parser.add_argument("--cxx", default="clang++-19")
    options = parser.parse_args()
    folder = ROOT / "build" / "fuzz"
    folder.mkdir(parents=True, exist_ok=True)
    program, judge = build(folder, options.cxx)
    corpus = folder / "corpus"
    unpack(corpus)
    environment = {**os.environ, "SN_FUZZ_JUDGE": str(judge), "ASAN_OPTIONS": "detect_leaks=1"}
    command = [
        program,
        f"-max_len={MOST_BYTES}",
        "-len_control=0",
        f"-timeout={options.timeout}",
        f"-artifact_prefix={folder}/",
    ]
    log = folder / "log"  # grows during the run: a long one can be watched
    before = processor_seconds()
    with log.open("w") as file:
        done = subprocess.run(
            [*command, f"-max_total_time={options.seconds}", "-print_final_stats=1", corpus],
            env=environment,
            stdout=file,
            stderr=file,
            check=False,
        )
    told = log.read_text(errors="replace")
    if done.returncode:
        sys.exit(told[-6000:])
    runs = re.search(r"number_of_executed_units:\s*(\d+)", told)
    peak = re.search(r"peak_rss_mb:\s*(\d+)", told)
    covered = re.findall(r"cov: (\d+) ft: (\d+) corp: (\d+)", told)[-1]
    print(
        f"fuzz: {runs[1]} inputs in {options.seconds} s ({processor_seconds() - before:.0f} s of processor time), "
        f"none failed; {covered[0]} edges, {covered[2]} inputs kept, at most {peak[1]} MiB"
    )
    if options.update:
        best = folder / "best"
        shutil.rmtree(best, ignore_errors=True)
        best.mkdir()
        subprocess.run([*command, "-merge=1", best, corpus], env=environment, capture_output=True, check=True)
        write_corpus([file.read_bytes() for file in best.iterdir()])
        print(f"{CORPUS.name}: {len(read_corpus())} inputs, {CORPUS.stat().st_size} bytes")


if __name__ == "__main__":
    main()
