"""Builds the native core: one object per source with flags of its own, then one shared library.

setup.py runs this for the Python package. It needs the standard library only, so it also builds the
core alone, for this machine or another one:

    python native/build_native.py --output build/neon --target linux-aarch64 --cxx aarch64-linux-gnu-g++

Environment: CXX, CXXFLAGS and LDFLAGS as usual; METAL_CPP_DIR names a folder with the metal-cpp
headers (macOS); SPATIALNORM_METAL=0 leaves Metal out (macOS); SPATIALNORM_SOFTMETAL_DIR builds the
Metal device against the test double of tests/softmetal (Linux).
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import importlib.metadata
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NATIVE = ROOT / "native"
ABI = 1  # in the library's file name; raised when the C interface breaks

COMMON_FLAGS = [
    "-std=c++17",
    "-O3",
    "-fPIC",
    "-fvisibility=hidden",
    "-fvisibility-inlines-hidden",
    # Equal bits on every target: no contraction that the source does not ask for.
    "-ffp-contract=off",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-fstack-protector-strong",
    "-U_FORTIFY_SOURCE",
    "-D_FORTIFY_SOURCE=2",
    "-Wall",
    "-Wextra",
    "-Wno-psabi",
    "-Wno-unknown-warning-option",  # g++ and clang do not know all of each other's
]

AVX2_FLAGS = ["-mavx2", "-mfma", "-mf16c"]
AVX512_FLAGS = [
    *(f"-mavx512{part}" for part in ("f", "dq", "bw", "vl", "cd")),
    *AVX2_FLAGS,
    "-mprefer-vector-width=512",
    # g++ 12 warns of its own intrinsics.
    "-Wno-maybe-uninitialized",
    "-Wno-uninitialized",
]

# Instruction-set targets by machine: name and flags of native/src/cpu/targets/NAME.cpp. The scalar
# target needs none; dispatch learns from SN_HAVE_NAME which of the others were built.
X86_TARGETS = {"avx2": AVX2_FLAGS, "avx512": AVX512_FLAGS}
ARM_TARGETS: dict[str, list[str]] = {"neon": []}
TARGETS = {"x86_64": X86_TARGETS, "amd64": X86_TARGETS, "aarch64": ARM_TARGETS, "arm64": ARM_TARGETS}

NO_METAL_CPP = (
    "The metal-cpp headers were not found. Install mlx-metal, name their folder in METAL_CPP_DIR, "
    "or set SPATIALNORM_METAL=0 to build without the Metal device."
)


class BuildError(Exception):
    """The core cannot be built as asked; the message is for the person at the keyboard."""


@dataclass(frozen=True)
class Platform:
    """What the core is built for."""

    system: str  # "linux", "macosx"
    machine: str  # "x86_64", "aarch64", "arm64"

    @classmethod
    def parse(cls, text: str) -> Platform:
        """Read a name such as sysconfig.get_platform() gives: linux-x86_64, macosx-14.0-arm64."""
        system, _, rest = text.lower().partition("-")
        return cls(system, rest.rpartition("-")[2])

    @classmethod
    def default(cls) -> Platform:
        # Cross builds of Python packages name their target in this variable.
        found = cls.parse(os.environ.get("_PYTHON_HOST_PLATFORM") or sysconfig.get_platform())
        return cls(found.system, platform.machine().lower()) if found.machine == "universal2" else found

    @property
    def darwin(self) -> bool:
        return self.system == "macosx"

    @property
    def library(self) -> str:
        """The library's file name, which is its SONAME or install name too: no links are needed."""
        return f"libspatialnorm.{ABI}.dylib" if self.darwin else f"libspatialnorm.so.{ABI}"


@dataclass(frozen=True)
class Unit:
    """One source and the command that compiles it, up to the files' names."""

    source: Path
    command: tuple[str, ...]


def version() -> str:
    """Return the version, which stands in pyproject.toml only."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def compiler() -> list[str]:
    """Return the C++ compiler: CXX, else the one that built Python, else what the machine has."""
    if os.environ.get("CXX"):
        return shlex.split(os.environ["CXX"])
    candidates = [shlex.split(sysconfig.get_config_var("CXX") or "c++"), ["c++"], ["g++"], ["clang++"]]
    for command in candidates:
        if command and shutil.which(command[0]):
            return command
    raise BuildError("No C++ compiler was found: install g++ or clang, or name one in CXX.")


def metal_cpp_folder() -> Path:
    """Return the folder of metal-cpp: METAL_CPP_DIR, else the one in the mlx-metal package."""
    named = os.environ.get("METAL_CPP_DIR")
    if named:
        folder = Path(named)
    else:
        try:
            folder = Path(str(importlib.metadata.distribution("mlx-metal").locate_file("mlx/include/metal_cpp")))
        except importlib.metadata.PackageNotFoundError:
            raise BuildError(NO_METAL_CPP) from None
    if not (folder / "Metal" / "Metal.hpp").exists():
        raise BuildError(f"{folder} holds no Metal/Metal.hpp. {NO_METAL_CPP}")
    return folder


def read_flags(folder: Path, name: str, default: str = "") -> list[str]:
    file = folder / name
    return shlex.split(file.read_text() if file.exists() else default, comments=True)


def metal_source(folder: Path) -> str:
    """Return the text of all .metal files with their own headers put in place, as one source."""
    seen: set[Path] = set()

    def expand(file: Path) -> Iterator[str]:
        seen.add(file)
        for line in file.read_text().splitlines():
            match = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
            if match:
                header = (file.parent / match[1]).resolve()
                if header not in seen:
                    yield from expand(header)
            elif not re.match(r"\s*#\s*pragma\s+once", line):
                yield line

    files = sorted(folder.resolve().glob("*.metal"))
    return "".join(f"{line}\n" for file in files if file not in seen for line in expand(file))


def write_if_changed(file: Path, text: str) -> None:
    """Write a generated file; an equal one keeps its time, so that nothing is built again."""
    if not file.exists() or file.read_text() != text:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder for one build at a time, where the system has file locks."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        import fcntl
    except ImportError:
        yield
        return
    with open(folder / ".lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


class Core:
    """The native core for one platform, built in one folder."""

    def __init__(
        self,
        target: Platform | None = None,
        folder: Path | None = None,
        cxx: Sequence[str] | None = None,
        jobs: int | None = None,
        force: bool = False,
    ) -> None:
        self.platform = target or Platform.default()
        softmetal = os.environ.get("SPATIALNORM_SOFTMETAL_DIR")
        self.softmetal = Path(softmetal).resolve() if softmetal else None
        flavour = "-softmetal" if self.softmetal else ""
        name = f"native-{self.platform.system}-{self.platform.machine}{flavour}"
        self.folder = (folder or ROOT / "build" / name).resolve()
        self.cxx = list(cxx or compiler())
        self.jobs = jobs or os.cpu_count() or 1
        self.force = force

    @property
    def library(self) -> Path:
        return self.folder / self.platform.library

    def package_files(self) -> dict[str, str]:
        """Return the texts by which CMake and pkg-config find the library, by their place in the package."""
        name = self.platform.library
        values = {
            "VERSION": version(),
            "LIBRARY": name,
            "SONAME": f"@rpath/{name}" if self.platform.darwin else name,
            "LINK": f"-lspatialnorm.{ABI}" if self.platform.darwin else f"-l:{name}",
        }
        places = {
            "spatialnorm-config.cmake": "cmake",
            "spatialnorm-config-version.cmake": "cmake",
            "spatialnorm.pc": "lib/pkgconfig",
        }
        files = {}
        for file, place in places.items():
            text = (NATIVE / "cmake" / f"{file}.in").read_text()
            files[f"{place}/{file}"] = re.sub(r"@([A-Z]+)@", lambda match: values[match[1]], text)
        return files

    @property
    def metal(self) -> bool:
        if self.softmetal:
            return True
        return self.platform.darwin and os.environ.get("SPATIALNORM_METAL") != "0"

    def build(self) -> Path:
        """Bring the shared library up to date and return its path."""
        with locked(self.folder):
            units = self.units()
            with ThreadPoolExecutor(self.jobs) as pool:
                objects = list(pool.map(self.compile, units))
            command = [*self.cxx, *self.arch_flags(), *self.link_flags(), "-o", str(self.library)]
            command += [str(o) for o in objects] + self.libraries() + shlex.split(os.environ.get("LDFLAGS", ""))
            self.make(self.library, command, [*objects, NATIVE / "exports.map"])
        return self.library

    # What is built, and how

    def units(self) -> list[Unit]:
        src = NATIVE / "src"
        targets = TARGETS.get(self.platform.machine, {})
        plain = [*src.glob("*.cpp"), *src.glob("ops/*.cpp"), *src.glob("cpu/*.cpp"), src / "cpu/targets/scalar.cpp"]
        flags = self.common_flags([f"-DSN_HAVE_{name.upper()}=1" for name in targets])
        base = [*self.cxx, *self.arch_flags(), *flags]
        extra = shlex.split(os.environ.get("CXXFLAGS", ""))
        units = [Unit(file, (*base, *extra)) for file in sorted(plain)]
        for name, target_flags in targets.items():
            units.append(Unit(src / f"cpu/targets/{name}.cpp", (*base, *target_flags, *extra)))
        return units + self.metal_units(flags, extra)

    def metal_units(self, flags: list[str], extra: list[str]) -> list[Unit]:
        files = sorted((NATIVE / "src" / "metal").glob("*.cpp"))
        stand_in = [file for file in files if file.name == "no_metal.cpp"]
        launch = [file for file in files if file.name.startswith("launch")]  # plain C++: built and tested everywhere
        if not self.metal:
            return [Unit(file, (*self.cxx, *self.arch_flags(), *flags, *extra)) for file in stand_in + launch]
        generated = self.write_metal_source()
        sources = [file for file in files if file not in stand_in] + [generated / "metal_source.cpp"]
        if self.softmetal:
            command = read_flags(self.softmetal, "cxx", "clang++-19") + flags + read_flags(self.softmetal, "cxxflags")
        else:
            command = [*self.cxx, *self.arch_flags(), *flags, "-isystem", str(metal_cpp_folder())]
        command += ["-DMETALCPP_SYMBOL_VISIBILITY_HIDDEN", f"-I{generated}", *extra]
        return [Unit(file, tuple(command)) for file in sources]

    def write_metal_source(self) -> Path:
        """Write the kernels' text as a C++ source, for the system's compiler to read at first use."""
        folder = self.folder / "generated"
        header = "// The text of metal/*.metal.\n#pragma once\nextern const char *const sn_metal_source;\n"
        text = metal_source(ROOT / "metal")
        lines = "".join(f'R"msl({line})msl" "\\n"\n' for line in text.splitlines())
        source = f'#include "metal_source.h"\n\nconst char *const sn_metal_source =\n{lines or chr(34) * 2};\n'
        write_if_changed(folder / "metal_source.h", header)
        write_if_changed(folder / "metal_source.cpp", source)
        return folder

    def common_flags(self, macros: list[str]) -> list[str]:
        folders = [NATIVE / "include", NATIVE / "src", ROOT / "metal"]
        return [*COMMON_FLAGS, "-DSN_BUILD", f"-DSN_VERSION={version()}", *macros, *(f"-I{f}" for f in folders)]

    def arch_flags(self) -> list[str]:
        if not (self.platform.darwin and sys.platform == "darwin"):
            return []
        return shlex.split(os.environ.get("ARCHFLAGS", "")) or ["-arch", self.platform.machine]

    def link_flags(self) -> list[str]:
        name = self.platform.library
        if self.platform.darwin:
            names = ["-dynamiclib", "-install_name", f"@rpath/{name}", "-current_version", version()]
            return [*names, "-compatibility_version", f"{ABI}.0", "-Wl,-exported_symbol,_sn_*"]
        # Never unloaded: its threads and the keys of threads' memory live as long as the process.
        checks = ["-Wl,-z,defs", "-Wl,-z,relro,-z,now,-z,noexecstack,-z,nodelete", "-Wl,--gc-sections"]
        return ["-shared", "-pthread", f"-Wl,-soname,{name}", f"-Wl,--version-script={NATIVE / 'exports.map'}", *checks]

    def libraries(self) -> list[str]:
        if self.softmetal:
            return read_flags(self.softmetal, "ldflags")
        return ["-framework", "Foundation", "-framework", "Metal"] if self.metal else []

    # Incremental: a file is current if it was made by the same command and is newer than what it was made from.

    def compile(self, unit: Unit) -> Path:
        inside = unit.source.is_relative_to(NATIVE)
        relative = unit.source.relative_to(NATIVE if inside else self.folder)
        output = self.folder / relative.with_suffix(".o")
        output.parent.mkdir(parents=True, exist_ok=True)
        depfile = output.with_suffix(".d")
        inputs = [unit.source]
        if depfile.exists():
            inputs += [Path(name) for name in shlex.split(depfile.read_text().replace("\\\n", " ").partition(":")[2])]
        command = [*unit.command, "-MMD", "-MF", str(depfile), "-c", str(unit.source), "-o", str(output)]
        self.make(output, command, inputs)
        return output

    def make(self, output: Path, command: list[str], inputs: Sequence[Path]) -> None:
        stamp = Path(f"{output}.command")
        digest = hashlib.sha256(shlex.join(command).encode()).hexdigest()
        if not self.force and output.exists() and stamp.exists() and stamp.read_text() == digest:
            made = output.stat().st_mtime_ns
            if all(file.exists() and file.stat().st_mtime_ns <= made for file in inputs):
                return
        stamp.unlink(missing_ok=True)
        print(shlex.join(command), flush=True)
        if subprocess.run(command, env=self.environment(), check=False).returncode != 0:
            output.unlink(missing_ok=True)
            raise BuildError(f"The compiler failed on {output.name}; its messages stand above.")
        stamp.write_text(digest)

    def environment(self) -> dict[str, str]:
        wanted = sysconfig.get_config_var("MACOSX_DEPLOYMENT_TARGET")
        if self.platform.darwin and wanted:
            return {"MACOSX_DEPLOYMENT_TARGET": str(wanted), **os.environ}
        return dict(os.environ)


def main() -> None:
    parser = argparse.ArgumentParser(description="Build the native core alone and print the library's path.")
    parser.add_argument("--output", type=Path, required=True, help="folder for objects and library")
    parser.add_argument("--target", type=Platform.parse, help="for example linux-aarch64 (default: this machine)")
    parser.add_argument("--cxx", type=shlex.split, help="compiler command (default: CXX, or Python's own)")
    parser.add_argument("--jobs", type=int, help="compilers at a time (default: one per core)")
    options = parser.parse_args()
    try:
        print(Core(options.target, options.output, options.cxx, options.jobs).build())
    except BuildError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
