"""Instruction sets: which run, what an impossible one says, and equal bits over all of them and all threads."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
from cases import cpu_only

pytestmark = cpu_only

HERE = Path(__file__).parent
FLAGS = {  # as Linux names the processor's features
    "avx2": {"avx2", "fma", "f16c"},
    "avx512": {f"avx512{part}" for part in ("f", "dq", "bw", "vl", "cd")},
}


def python(code, **environment):
    """Run Python with the given environment on top of this one."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("SPATIALNORM_")}
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code, str(HERE)],
        env={**clean, **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )


def lacking(isa):
    """Tell what this processor lacks for an instruction set; empty if nothing."""
    x86 = platform.machine() in ("x86_64", "AMD64")
    if isa == "scalar":
        return set()
    if isa == "neon":
        return {"an ARM processor"} if x86 else set()
    if not x86:
        return {"an x86-64 processor"}
    try:
        flags = next(line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("flags"))
    except OSError:
        return {"/proc/cpuinfo, which names the processor's features"}
    return FLAGS[isa] - set(flags.split())


def require(isa):
    missing = lacking(isa)
    if missing:
        pytest.skip(f"{isa}: this machine lacks {', '.join(sorted(missing))}")


HASHES = """
import hashlib, sys
sys.path.insert(0, sys.argv[1])
import numpy as np
import spatialnorm as sn
from cases import DTYPES, Case, Blank, lay_out
from spatialnorm import _core

print(_core.isa())
cases = [
    Case((3, 130, 210), 5), Case((1, 700, 300), (9, 4), edge="clamp"), Case((600, 700), 31, beta=5.0),
    Case((40, 9000), (3, 15), 1.0, -0.5), Case((2, 60, 50, 70), 3, axes=(1, 2)), Case((7, 7, 7), 4),
    Case((900, 33), (301, 2), 1.0, 0.5, 0.1, edge="clamp"), Case((1, 90, 110, 3), (5, 8), axes=(1, 2), beta=1.0),
]
for threads in (1, 2, 3, 7):
    sn.set_num_threads(threads)
    assert sn.get_num_threads() == threads
    total = hashlib.sha256()
    for case in cases:
        for dtype in DTYPES:
            if not hasattr(dtype, "name"):
                continue
            x, g = case.values(dtype, 1), case.values(dtype, 2)
            norm = case.norm("cpu")
            results = [norm(x), norm.gradient(g, x), norm.jvp(x, g)]
            if case.edge == "zero":
                results.append(case.but(gradient="documented").norm("cpu").gradient(g, x))
            results.append(np.array(norm.parameter_gradients(g, x)))
            for operand in (0, 1):  # in place
                a = [g.copy(), x.copy()]
                results.append(norm.gradient(*a, a[operand]))
            shifted = lay_out(x, "off by one element")
            assert norm(shifted).tobytes() == results[0].tobytes(), "alignment"
            for result in results:
                total.update(result.tobytes())
    print(threads, total.hexdigest())
"""


@pytest.fixture(scope="module")
def hashes():
    """Hash of many results, by instruction set and threads; each set runs once."""
    known = {}

    def get(isa):
        if isa not in known:
            result = python(HASHES, SPATIALNORM_ISA=isa)
            assert result.returncode == 0, result.stderr
            name, *lines = result.stdout.split("\n")
            assert name == isa
            known[isa] = dict(line.split() for line in lines if line)
        return known[isa]

    return get


@pytest.mark.parametrize("isa", ["scalar", "avx2", "avx512", "neon"])
def test_equal_bits_over_threads(isa, hashes):
    require(isa)
    by_threads = hashes(isa)
    assert list(by_threads) == ["1", "2", "3", "7"]
    assert len(set(by_threads.values())) == 1


def test_equal_bits_over_instruction_sets(hashes):
    """NEON's are compared by tests/native, where it can be emulated."""
    present = [isa for isa in ("avx2", "avx512", "neon") if not lacking(isa)]
    if not present:
        pytest.skip("this machine has only the scalar instruction set")
    for isa in present:
        assert hashes(isa) == hashes("scalar")


def test_threads_from_the_environment():
    result = python("import spatialnorm as sn; print(sn.get_num_threads())", SPATIALNORM_NUM_THREADS="3")
    assert result.stdout == "3\n", result.stderr


@pytest.mark.parametrize("isa", ["scalar", "avx2", "avx512", "neon"])
def test_every_instruction_set_is_right(isa):
    require(isa)
    result = python("import sys; from spatialnorm._cli import main; sys.exit(main(['selftest']))", SPATIALNORM_ISA=isa)
    assert result.returncode == 0, result.stdout + result.stderr
    assert f"instruction set  {isa}\n" in result.stdout


CALL = """
import numpy as np, spatialnorm as sn
out = np.full((3, 3), 7, "f4")
try:
    sn.spatial_norm(np.ones((3, 3), "f4"), 3, out=out)
except RuntimeError as error:
    assert (out == 7).all()
    print(error)
sn.show_config()
"""


@pytest.mark.parametrize("isa", ["avx1024", "AVX2", "sse", "none"])
def test_unknown_instruction_set(isa):
    result = python(CALL, SPATIALNORM_ISA=isa)
    assert result.returncode == 0, result.stderr
    message = result.stdout.splitlines()[0]
    assert "SPATIALNORM_ISA" in message
    assert isa in message
    assert "avx2" in message


def test_instruction_set_of_another_processor():
    isa = "neon" if platform.machine() in ("x86_64", "AMD64") else "avx2"
    result = python(CALL, SPATIALNORM_ISA=isa)
    assert result.returncode == 0, result.stderr
    message = result.stdout.splitlines()[0]
    assert "SPATIALNORM_ISA" in message
    assert isa in message
    assert "cannot run" in message


def test_best_instruction_set_is_the_default():
    if any("/proc/cpuinfo" in missing for missing in lacking("avx2")):
        pytest.skip("no /proc/cpuinfo, which tells what this processor could run")
    best = next(isa for isa in ("avx512", "avx2", "neon", "scalar") if not lacking(isa))
    result = python("from spatialnorm import _core; print(_core.isa())")
    assert result.stdout == f"{best}\n", result.stderr
