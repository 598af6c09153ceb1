"""Programs outside the package find header and library as their builds do: compiler alone, pkg-config, CMake."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PACKAGE = Path(importlib.util.find_spec("spatialnorm").submodule_search_locations[0])
SOURCE = HERE / "c_interface.c"
WARNINGS = ["-std=c11", "-Wall", "-Wextra", "-Werror", "-pedantic"]

CMAKE_PROJECT = f"""
cmake_minimum_required(VERSION 3.20)
project(consumer C)
find_package(spatialnorm 0.1 REQUIRED CONFIG)
add_executable(consumer "{SOURCE}")
target_compile_options(consumer PRIVATE {" ".join(WARNINGS[1:])})
set_property(TARGET consumer PROPERTY C_STANDARD 11)
target_link_libraries(consumer PRIVATE spatialnorm::spatialnorm m)
"""


def need(program: str, package: str) -> None:
    if not shutil.which(program):
        pytest.skip(f"no {program} on this machine (Debian package {package})")


def run(*command: object, **variables: str) -> str:
    done = subprocess.run(
        [str(c) for c in command], env={**os.environ, **variables}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_compiler_alone(tmp_path):
    need("cc", "gcc")
    (library,) = (PACKAGE / "lib").glob("libspatialnorm*")
    where = f"-I{PACKAGE / 'include'}", library, f"-Wl,-rpath,{library.parent}"
    run("cc", *WARNINGS, SOURCE, *where, "-lm", "-o", tmp_path / "consumer")
    assert "passed" in run(tmp_path / "consumer")


def test_pkg_config(tmp_path):
    need("cc", "gcc")
    need("pkg-config", "pkg-config")
    found = run("pkg-config", "--cflags", "--libs", "spatialnorm", PKG_CONFIG_PATH=str(PACKAGE / "lib/pkgconfig"))
    run("cc", *WARNINGS, SOURCE, *found.split(), "-lm", "-o", tmp_path / "consumer")
    assert "passed" in run(tmp_path / "consumer")


def test_cmake(tmp_path):
    need("cc", "gcc")
    need("cmake", "cmake")
    (tmp_path / "CMakeLists.txt").write_text(CMAKE_PROJECT)
    build = tmp_path / "build"
    run("cmake", "-S", tmp_path, "-B", build, f"-Dspatialnorm_DIR={PACKAGE / 'cmake'}")
    run("cmake", "--build", build)
    assert "passed" in run(build / "consumer")


def test_cmake_refuses_a_later_version(tmp_path):
    need("cmake", "cmake")
    (tmp_path / "CMakeLists.txt").write_text(CMAKE_PROJECT.replace("spatialnorm 0.1", "spatialnorm 99.0"))
    done = subprocess.run(
        ["cmake", "-S", tmp_path, "-B", tmp_path / "build", f"-Dspatialnorm_DIR={PACKAGE / 'cmake'}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "99.0" in done.stderr
