"""Core and extension compile and link as Mach-O arm64, with the real metal-cpp headers. Nothing of it ran."""

import importlib.util
import re
import struct
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE))

import cross_build  # noqa: E402
from build_native import NATIVE, Core, Platform  # noqa: E402

missing = [name for name in ("ziglang", "Cython", "numpy") if importlib.util.find_spec(name) is None]
if cross_build.metal_cpp() is None:
    missing.append("metal-cpp's headers (METAL_CPP_DIR, or tests/softmetal/build.sh)")
pytestmark = pytest.mark.skipif(bool(missing), reason=f"missing: {', '.join(missing)}")

# Load commands by number: those that name a file, and where the name's offset stands.
ID, LOAD, RPATH, VERSION = 0xD, 0xC, 0x8000001C, 0x32


def load_commands(file):
    """Machine, kind of file, and the (command, name) of each load command of a Mach-O file."""
    data = Path(file).read_bytes()
    magic, machine, _, kind, n = struct.unpack_from("<5I", data)
    assert magic == 0xFEEDFACF, "no 64-bit Mach-O file"
    at, commands = 32, []
    for _ in range(n):
        command, size = struct.unpack_from("<2I", data, at)
        name = ""
        if command in (ID, LOAD, RPATH):
            (start,) = struct.unpack_from("<I", data, at + 8)
            name = data[at + start : at + size].split(b"\0")[0].decode()
        commands.append((command, name))
        at += size
    return machine, kind, commands


def names(commands, kind):
    return [name for command, name in commands if command == kind]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("macos")


@pytest.fixture(scope="module")
def core(folder):
    return cross_build.core(folder)


def test_core(core):
    machine, kind, commands = load_commands(core)
    assert machine == 0x0100000C  # arm64
    assert kind == 6  # a dynamic library
    assert names(commands, ID) == ["@rpath/libspatialnorm.1.dylib"]
    loaded = names(commands, LOAD)
    assert {"Metal", "Foundation"} <= {Path(name).name for name in loaded}
    assert all(name.startswith(("/System/Library/Frameworks/", "/usr/lib/")) for name in loaded)


def test_core_has_the_neon_path_and_the_bridge(core):
    objects = {file.name for file in core.parent.rglob("*.o")}
    assert {"neon.o", "scalar.o", "gpu.o", "metal_cpp.o", "metal_source.o"} <= objects
    assert not {"no_metal.o", "avx2.o"} & objects


def test_extension(core, folder):
    machine, _, commands = load_commands(cross_build.extension(folder, core))
    assert machine == 0x0100000C
    assert "@rpath/libspatialnorm.1.dylib" in names(commands, LOAD)
    assert names(commands, RPATH) == ["@loader_path/lib"]


def compile_changed(source, change, to, folder):
    """Check a source of the bridge in which one name is another."""
    text = (NATIVE / "src" / "metal" / source).read_text()
    assert change in text
    file = folder / source
    file.write_text(text.replace(change, to))
    core = Core(Platform("macosx", "arm64"), folder, cross_build.compiler("c++"))
    flags = [*core.common_flags([]), f"-I{NATIVE / 'src' / 'metal'}", f"-I{core.write_metal_source()}"]
    return subprocess.run(
        [*core.cxx, *flags, "-isystem", str(cross_build.metal_cpp()), "-c", str(file), "-o", f"{file}.o"],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("source", "name", "misspelled"),
    [
        ("gpu.cpp", "newCommandQueue", "newComandQueue"),
        ("gpu.cpp", "ResourceStorageModeShared", "ResourceStorageModeShard"),
        ("plan.cpp", "setComputePipelineState", "setComputePipelinestate"),
        ("plan.cpp", "waitUntilCompleted", "waitUntilComplete"),
    ],
)
def test_misspelled_call_is_refused(source, name, misspelled, tmp_path):
    assert compile_changed(source, name, name, tmp_path).returncode == 0
    made = compile_changed(source, name, misspelled, tmp_path)
    assert made.returncode != 0
    assert re.search(rf"error: .*(no member|undeclared).*'(MTL::)?{misspelled}'", made.stderr), made.stderr
