"""Allocations that fail, threads that are refused, small stacks, a library that is closed: by the C interface."""

import platform
import re
from pathlib import Path

import pytest
from programs import LIBRARIES, compile_program, run

HERE = Path(__file__).parent

needs_glibc = pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="interposes glibc's own functions, and this system has another C library"
)


@needs_glibc
def test_every_allocation_fails_once(tmp_path, record_testsuite_property):
    program = compile_program(
        tmp_path / "allocations", [HERE / "allocations.cpp"], ["-std=c++17", "-pthread", "-Wl,--no-as-needed", "-ldl"]
    )
    done = run(program)
    match = re.search(r"^allocations: ([1-9]\d*) sites failed, \d+ of them made good, 0 wrong$", done.stdout, re.M)
    assert match, done.stdout + done.stderr
    assert done.returncode == 0
    assert int(match[1]) >= 50
    record_testsuite_property("allocations", match[0])


@needs_glibc
def test_threads_of_callers(tmp_path):
    program = compile_program(
        tmp_path / "thread_ends", [HERE / "thread_ends.cpp"], ["-std=c++17", "-pthread", "-Wl,--no-as-needed", "-ldl"]
    )
    done = run(program)
    assert (done.returncode, "passed" in done.stdout) == (0, True), done.stdout + done.stderr


@needs_glibc
def test_library_is_closed_while_its_threads_live(tmp_path):
    program = compile_program(
        tmp_path / "unloaded", [HERE / "unloaded.c"], ["-std=c11", "-Wl,--as-needed", "-ldl"]
    )  # dlopen finds the library by its path: the program itself does not need it
    done = run(program, LIBRARIES[0])
    assert (done.returncode, done.stdout) == (0, "unloaded: passed\n"), done.stdout + done.stderr
