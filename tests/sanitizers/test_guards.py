"""The kernels on memory that ends at unmapped pages, on every instruction set (guards.cpp)."""

import re
from pathlib import Path

import pytest
from programs import ISAS, compile_program, run, run_on

HERE = Path(__file__).parent
# Every eleventh case; `guards 1` runs all of them, `guards 10` ten times as many.
CASES = ["1", "11"]


@pytest.fixture(scope="module")
def guards(tmp_path_factory):
    return compile_program(tmp_path_factory.mktemp("guards") / "guards", [HERE / "guards.cpp"], ["-std=c++17"])


@pytest.fixture(scope="module")
def hashes():
    return {}


@pytest.mark.parametrize("isa", ISAS)
def test_nothing_outside_is_touched(guards, hashes, isa, record_testsuite_property):
    output = run_on(isa, guards, *CASES)
    match = re.search(rf"^{isa}: (\d{{4,}}) runs, 0 failed, hash ([0-9a-f]{{16}})$", output, re.M)
    assert match, output
    hashes[isa] = match.groups()
    assert len(set(hashes.values())) == 1, hashes  # the scalar target is the judge of the others
    record_testsuite_property(f"guards {isa}", match[0])


def test_a_byte_outside_is_found(guards):
    """The same with memory that is one byte too short."""
    done = run(guards, "short")
    assert done.returncode == 1
    assert re.match(r"FAILED \w+: signal 11: spatial_forward zero", done.stdout), done.stdout
