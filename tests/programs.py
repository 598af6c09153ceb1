"""Native test programs: built against the installed package's library and header, run on each instruction set."""

from __future__ import annotations

import importlib.util
import platform
import re
import shutil
import subprocess
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PACKAGE = Path(importlib.util.find_spec("spatialnorm").submodule_search_locations[0])
LIBRARIES = sorted((PACKAGE / "lib").glob("libspatialnorm*"))
INCLUDE = PACKAGE / "include"

ISAS = {"x86_64": ["scalar", "avx2", "avx512"], "aarch64": ["scalar", "neon"], "arm64": ["scalar", "neon"]}.get(
    platform.machine(), ["scalar"]
)
# Processor flags, as Linux names them, without which an instruction set may be missing.
NEEDED = {"avx2": {"avx2", "fma", "f16c"}, "avx512": {f"avx512{part}" for part in ("f", "dq", "bw", "vl", "cd")}}
CANNOT_RUN = 77

WARNINGS = ["-Wall", "-Wextra", "-Werror", "-pedantic"]


def run(*command: object, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(c) for c in command], env=env, capture_output=True, text=True, check=False)


def tool(*names: str) -> str:
    """Return the first of these programs that is there, or skip naming what lacks."""
    found = next((name for name in names if shutil.which(name)), None)
    if not found:
        pytest.skip(f"no {' or '.join(names)} on this machine")
    return found


def compile_program(
    program: Path,
    sources: list[Path],
    flags: list[str],
    compiler: str | None = None,
    library: Path | None = None,
    include: Path = INCLUDE,
) -> Path:
    """Build `program` from sources that are all C or all C++, linked with the library."""
    if compiler is None:
        c = sources[0].suffix == ".c"
        compiler = tool("cc", "gcc", "clang") if c else tool("c++", "g++", "clang++")
    library = library or LIBRARIES[0]
    done = run(
        *(compiler, *flags, *WARNINGS, "-O2", f"-I{include}", *sources, library),
        *("-o", program, f"-Wl,-rpath,{library.parent}", "-lm"),
    )
    assert done.returncode == 0, done.stderr
    return program


def processor_flags() -> set[str]:
    info = Path("/proc/cpuinfo")
    match = re.search(r"^flags\s*:(.*)$", info.read_text(), re.M) if info.exists() else None
    return set(match[1].split()) if match else set()


def run_on(isa: str, *command: object) -> str:
    """Run with an instruction set forced; skip only if the processor really lacks it."""
    done = run(*command, env={"SPATIALNORM_ISA": isa, "PATH": "/usr/bin:/bin"})
    if done.returncode == CANNOT_RUN:
        lacks = NEEDED.get(isa, set()) - processor_flags()
        assert lacks, f"the processor has all that {isa} needs, but: {done.stdout}"
        pytest.skip(f"this processor lacks {', '.join(sorted(lacks))}")
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
