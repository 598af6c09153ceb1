"""The fuzzer's inputs again, without the fuzzer: any compiler, every instruction set."""

import re
import shutil
import sys
from pathlib import Path

import pytest
from programs import ISAS, LIBRARIES, compile_program, run

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import fuzz  # noqa: E402


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    flags = ["-std=c++17", "-DSN_FUZZ_ALONE", "-Wl,--no-as-needed", "-ldl"]
    return compile_program(tmp_path_factory.mktemp("fuzz") / "corpus", [HERE / "fuzz_c_interface.cpp"], flags)


@pytest.mark.parametrize("isa", ISAS)
def test_corpus(program, tmp_path, isa):
    files = fuzz.unpack(tmp_path / "inputs")
    judge = shutil.copy(LIBRARIES[0], tmp_path / "judge.so")
    done = run(program, *files, env={"SN_FUZZ_JUDGE": str(judge), "SN_FUZZ_ISA": isa})
    if done.returncode == 77:
        pytest.skip(f"this processor lacks what {isa} needs")
    assert (done.returncode, done.stdout) == (0, f"{len(files)} inputs\n"), done.stdout + done.stderr


def test_a_wrong_result_is_found(program, tmp_path):
    """Without a judge the program must not pass."""
    files = fuzz.unpack(tmp_path / "inputs")
    done = run(program, *files, env={})
    assert done.returncode != 0
    assert re.search("WRONG: SN_FUZZ_JUDGE must name a copy", done.stderr)
