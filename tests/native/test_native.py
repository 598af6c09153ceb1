"""The native core through its C header alone, on every instruction set.

The programs are linked with the library of the installed package. NEON is cross-built from the source
tree and run by qemu.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from programs import ISAS, WARNINGS, compile_program, run, run_on, tool

HERE = Path(__file__).parent
ROOT = HERE.parent.parent

PROGRAMS = {
    "run_cases": (["run_cases.cpp", "table.cpp"], ["-std=c++17"]),
    "threads": (["threads.cpp"], ["-std=c++17", "-pthread"]),
    "c_interface": (["c_interface.c"], ["-std=c11"]),
}

CROSS_CXX, CROSS_CC, QEMU = "aarch64-linux-gnu-g++", "aarch64-linux-gnu-gcc", "qemu-aarch64-static"
DEBIAN_PACKAGE = {CROSS_CXX: "g++-aarch64-linux-gnu", CROSS_CC: "gcc-aarch64-linux-gnu", QEMU: "qemu-user-static"}
CROSS_ROOT = Path("/usr/aarch64-linux-gnu")


@pytest.fixture(scope="session")
def build(tmp_path_factory):
    """Return a function that gives the path of a test program, linked with the installed library."""
    folder = tmp_path_factory.mktemp("native")

    @cache
    def program(name: str) -> Path:
        sources, flags = PROGRAMS[name]
        return compile_program(folder / name, [HERE / source for source in sources], flags)

    return program


@pytest.fixture(scope="session")
def table(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("cases") / "table"
    done = run(sys.executable, HERE / "make_cases.py", path)
    assert done.returncode == 0, done.stderr
    return path


def hash_of(output: str, isa: str) -> str:
    match = re.search(rf"^{isa}: [1-9]\d* passed, 0 failed, hash ([0-9a-f]{{16}})$", output, re.M)
    assert match, output
    return match[1]


@pytest.fixture(scope="session")
def hashes() -> dict[str, str]:
    """Hashes of all results by instruction set, as the tests below find them."""
    return {}


def check_hash(hashes: dict[str, str], isa: str, output: str) -> None:
    """Hold equal bits among the instruction sets that ran so far."""
    hashes[isa] = hash_of(output, isa)
    assert len(set(hashes.values())) == 1, hashes


@pytest.mark.parametrize("isa", ISAS)
def test_cases(build, table, hashes, isa):
    check_hash(hashes, isa, run_on(isa, build("run_cases"), table))


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("program", ["c_interface", "threads"])
def test_program(build, program, isa):
    assert "passed" in run_on(isa, build(program))


def test_fused_multiply_add_in_software(tmp_path):
    internal = ROOT / "native" / "src"
    if not internal.exists():
        pytest.skip("the source tree with native/src is not here")
    program = tmp_path / "fused"
    flags = ["-std=c++17", "-O2", "-ffp-contract=off", *WARNINGS, f"-I{internal}"]
    done = run(tool("c++", "g++", "clang++"), *flags, HERE / "fused.cpp", "-o", program)
    assert done.returncode == 0, done.stderr
    done = run(program)
    assert (done.returncode, done.stdout) == (0, "passed\n"), done.stdout


@pytest.fixture(scope="session")
def neon_build() -> subprocess.CompletedProcess[str]:
    """Return the build of the core for 64-bit ARM from the source tree; its last line names the library."""
    if "neon" in ISAS:
        pytest.skip("this machine runs NEON itself: see test_cases[neon]")
    missing = [DEBIAN_PACKAGE[name] for name in (CROSS_CXX, CROSS_CC, QEMU) if not shutil.which(name)]
    if missing:
        pytest.skip(f"Debian packages not installed: {', '.join(missing)}")
    script = ROOT / "native" / "build_native.py"
    if not script.exists():
        pytest.skip("the source tree with native/build_native.py is not here")
    folder = ROOT / "build" / "native-linux-aarch64"
    done = run(sys.executable, script, "--output", folder, "--target", "linux-aarch64", "--cxx", CROSS_CXX)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def test_core_compiles_without_warnings(neon_build):
    assert "warning:" not in neon_build.stderr, neon_build.stderr


@pytest.mark.parametrize("program", ["run_cases", "c_interface", "threads"])
def test_neon_under_qemu(tmp_path, neon_build, table, hashes, program):
    neon_library = Path(neon_build.stdout.splitlines()[-1])
    sources, flags = PROGRAMS[program]
    compiler = CROSS_CC if program == "c_interface" else CROSS_CXX
    path = compile_program(
        *(tmp_path / program, [HERE / source for source in sources], flags),
        *(compiler, neon_library, ROOT / "native" / "include"),
    )
    output = run_on("neon", QEMU, "-L", CROSS_ROOT, path, *([table] if program == "run_cases" else []))
    if program == "run_cases":
        check_hash(hashes, "neon", output)
    else:
        assert "passed" in output


def test_equal_bits(hashes):
    """Say which hashes were compared; the comparison itself is in check_hash."""
    if len(hashes) < 2:
        pytest.skip(f"fewer than two instruction sets ran here: {sorted(hashes) or 'none'}")
    assert len(set(hashes.values())) == 1, hashes
