"""What the shipped shared library holds: exported names, links, hardening, nothing shared between instruction sets."""

from __future__ import annotations

import importlib.util
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import abi

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
PACKAGE = Path(importlib.util.find_spec("spatialnorm").submodule_search_locations[0])

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads ELF files, which Linux has")


def output_of(*command: object) -> str:
    if not shutil.which(str(command[0])):
        pytest.skip(f"no {command[0]} on this machine (Debian package binutils)")
    return subprocess.run([str(c) for c in command], capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module")
def library() -> Path:
    (path,) = (PACKAGE / "lib").glob("libspatialnorm.so.*")
    return path


@pytest.fixture(scope="module")
def extension() -> Path:
    # A tree built for several Pythons has one for each; an unpacked wheel has one, perhaps for another Python.
    own = PACKAGE / f"_core{sysconfig.get_config_var('EXT_SUFFIX')}"
    (path,) = [own] if own.exists() else PACKAGE.glob("_core.*.so")
    return path


def test_only_the_c_interface_is_exported(library):
    lines = output_of("nm", "-D", "--defined-only", library).splitlines()
    recorded = [line for line in abi.record(abi.version()) if line.startswith("function ")]
    assert sorted(line.split()[-1] for line in lines) == sorted(map(abi.name_of, recorded))


def test_file_name_is_the_soname(library):
    assert f"Library soname: [{library.name}]" in output_of("readelf", "-d", library)


def test_extension_finds_the_library_beside_it(extension, library):
    dynamic = output_of("readelf", "-d", extension)
    assert f"Shared library: [{library.name}]" in dynamic
    paths = re.findall(r"Library r(?:un)?path: \[(.*)\]", dynamic)
    assert paths == ["$ORIGIN/lib"]


@pytest.mark.parametrize("which", ["library", "extension"])
def test_hardening(which, request):
    path = request.getfixturevalue(which)
    segments = output_of("readelf", "-lW", path)
    assert "GNU_RELRO" in segments
    assert re.search(r"GNU_STACK .* RW ", segments), "the stack must not be executable"
    assert "NOW" in output_of("readelf", "-d", path)
    assert "__stack_chk_fail" in output_of("nm", "-D", "--undefined-only", path)


def test_fortified(library):
    """Text is formatted within bounds: checked when it runs, or (the plain names) proven by the compiler."""
    if platform.libc_ver()[0] != "glibc":
        pytest.skip("this system's C library has no fortified functions")
    names = {name.partition("@")[0] for name in output_of("nm", "-D", "--undefined-only", library).split()}
    expected = {"__snprintf_chk", "__vsnprintf_chk"}
    if "clang" in output_of("readelf", "-p", ".comment", library):
        expected.remove("__snprintf_chk")  # glibc's headers before 2.40 cannot make it of snprintf for clang in C++
    assert expected <= names
    assert not {"sprintf", "vsprintf", "strcpy", "strcat", "gets"} & names


def build_folders() -> list[Path]:
    """Return those of this tree's build, and those of its wheels for each processor."""
    objects = "build/native-*/src/cpu/targets/scalar.o"
    return sorted({path.parent for tree in (".", "build/wheels/*/*") for path in ROOT.glob(f"{tree}/{objects}")})


@pytest.mark.skipif(not build_folders(), reason="the object files of a build are not here (build/native-*)")
def test_instruction_sets_share_no_code():
    """An inline function in two objects is kept once, perhaps as AVX-512 code that other processors run into.

    So an object made with instruction-set flags defines its own table and nothing that can be merged.
    """
    for folder in build_folders():
        for path in folder.glob("*.o"):
            names = [line.split(maxsplit=2) for line in output_of("nm", "--defined-only", "-C", path).splitlines()]
            # ARM's "$x" and "$d" only say what is code and what is data.
            shared = [name for _, kind, name in names if (kind.isupper() or kind in "uvw") and name[0] != "$"]
            assert shared == [f"sn::cpu::{path.stem}::target"], path
