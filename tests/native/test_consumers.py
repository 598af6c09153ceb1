"""The projects in examples/ build against the installed package without warnings, and run; so does the C test."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

HERE = Path(__file__).parent
EXAMPLES = HERE.parent.parent / "examples"
PACKAGE = Path(importlib.util.find_spec("spatialnorm").submodule_search_locations[0])
WARNINGS = ["-Wall", "-Wextra", "-Werror", "-pedantic"]

CMAKE_PROJECT = """
cmake_minimum_required(VERSION 3.20)
project(consumer C)
find_package(spatialnorm {version} REQUIRED CONFIG)
"""


def need(program: str, package: str) -> None:
    if not shutil.which(program):
        pytest.skip(f"no {program} on this machine (Debian package {package})")


def run(*command: object, cwd: Path | None = None, **variables: str) -> str:
    done = subprocess.run(
        [str(c) for c in command],
        cwd=cwd,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def project(request, tmp_path):
    """A copy of the example that the test is named after."""
    folder = tmp_path / request.node.originalname.removeprefix("test_")
    shutil.copytree(EXAMPLES / folder.name, folder)
    return folder


def make(project: Path) -> str:
    need("cc", "gcc")
    need("make", "make")
    flags = " ".join(["-O2", *WARNINGS])
    output = run("make", "check", f"PYTHON={sys.executable}", f"CFLAGS={flags}", cwd=project)
    assert "-pedantic" in output
    return output


def test_compiler_only(project):
    assert "y[0] = 2.488" in make(project)


def test_pkg_config(project):
    need("pkg-config", "pkg-config")
    assert "<g, J v>" in make(project)


def test_cmake(project):
    need("c++", "g++")
    need("cmake", "cmake")
    run("cmake", "-S", project, "-B", project / "build", f"-DPython_EXECUTABLE={sys.executable}")
    assert "-pedantic" in run("cmake", "--build", project / "build", "--verbose")
    assert "8 images" in run(project / "build" / "planes")


def build_extension(project: Path, standard: str, **variables: str) -> str:
    """Build in place; Python's own headers are the system's, whose warnings are not ours."""
    need("cc", "gcc")
    pytest.importorskip("setuptools")
    if not Path(sysconfig.get_path("include"), "Python.h").exists():
        pytest.skip("no Python.h on this machine (Debian package python3-dev)")
    flags = [f"-std={standard}", "-isystem", sysconfig.get_path("include"), *WARNINGS]
    variables["EXTRA_CFLAGS"] = " ".join(flags)
    output = run(sys.executable, "setup.py", "build_ext", "--inplace", cwd=project, **variables)
    assert "-pedantic" in output
    return run(sys.executable, "check.py", cwd=project, PYTHONPATH=str(project))


def test_cython(project):
    pytest.importorskip("Cython")
    assert "equal; a wrong size says: kernel_size" in build_extension(project, "c++17")


FINDER = """
import importlib.util, sys

class Finder:
    def find_spec(name, path=None, target=None):
        if name == "spatialnorm":
            return importlib.util.spec_from_file_location(name, {package!r} + "/__init__.py")

sys.meta_path.insert(0, Finder)
"""


def test_cython_where_an_import_hook_finds_the_package(tmp_path):
    """Editable installations are not on sys.path, where Cython looks for cimported packages."""
    pytest.importorskip("Cython")
    project, package = tmp_path / "cython", tmp_path / "elsewhere" / "spatialnorm"
    shutil.copytree(EXAMPLES / "cython", project)
    package.mkdir(parents=True)
    for entry in PACKAGE.iterdir():
        (package / entry.name).symlink_to(entry)
    (package / "__init__.pxd").unlink()  # this package is known by one more name
    declarations = (PACKAGE / "__init__.pxd").read_text()
    (package / "__init__.pxd").write_text(declarations + "\nctypedef sn_plan sn_marked_plan\n")
    source = project / "contrast.pyx"
    source.write_text(source.read_text().replace("sn_plan,", "sn_marked_plan as sn_plan,"))
    (project / "sitecustomize.py").write_text(FINDER.format(package=str(package)))
    build_extension(project, "c++17", PYTHONPATH=str(project))


def test_capsule(project):
    assert "equal; a wrong size says: kernel_size" in build_extension(project, "c11")
    (library,) = project.glob("contrast*.so")
    need("nm", "binutils")
    assert " sn_" not in run("nm", "-D", "--undefined-only", library), "the capsule needs no linking"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("#define SN_ABI_VERSION 1", "#define SN_ABI_VERSION 999"),
        ("} sn_api;", "    void (*later)(void);\n} sn_api;"),
        ("#define SN_LIBRARY_NUMBER 1", "#define SN_LIBRARY_NUMBER 2"),
    ],
)
def test_capsule_refuses_what_it_cannot_serve(old, new, tmp_path):
    """An extension built against later headers says so when it is imported."""
    project = tmp_path / "capsule"
    shutil.copytree(EXAMPLES / "capsule", project)
    shutil.copytree(PACKAGE / "include", project / "later")
    changed = 0
    for header in (project / "later" / "spatialnorm").glob("*.h"):
        text = header.read_text()
        changed += text.count(old)
        header.write_text(text.replace(old, new))
    assert changed == 1
    setup = project / "setup.py"
    setup.write_text(setup.read_text().replace("spatialnorm.get_include()", '"later"'))
    with pytest.raises(AssertionError, match="ImportError: the installed spatialnorm has C interface"):
        build_extension(project, "c11")


def test_cmake_refuses_a_later_version(tmp_path):
    need("cmake", "cmake")
    need("cc", "gcc")
    for version, accepted in (("0.1", True), ("99.0", False)):
        (tmp_path / "CMakeLists.txt").write_text(CMAKE_PROJECT.format(version=version))
        done = subprocess.run(
            ["cmake", "-S", tmp_path, "-B", tmp_path / version, f"-Dspatialnorm_DIR={PACKAGE / 'cmake'}"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode == 0) == accepted, done.stderr
        assert accepted or "99.0" in done.stderr


def test_c_interface(tmp_path):
    need("cc", "gcc")
    (library,) = (PACKAGE / "lib").glob("libspatialnorm*")
    where = f"-I{PACKAGE / 'include'}", library, f"-Wl,-rpath,{library.parent}"
    run("cc", "-std=c11", *WARNINGS, HERE / "c_interface.c", *where, "-lm", "-o", tmp_path / "c_interface")
    assert "passed" in run(tmp_path / "c_interface")
