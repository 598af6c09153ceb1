"""Installs a wheel where there is neither a compiler nor this source tree, and runs the suite there.

    python native/test_wheels.py dist/*cp311-cp311-*.whl
    python native/test_wheels.py --python python3.13t dist/*cp313t-*_x86_64.whl
    python native/test_wheels.py --suite trixie --pytest tests/test_forward.py dist/*cp313-cp313-*_aarch64.whl

The place is a root file system of Debian's packages for the wheel's processor: Python, the C library and what they
need, nothing else; `--suite` names the release of Debian whose Python the wheel is for. NumPy and the test extra come
from PyPI as wheels. A wheel for this machine's processor runs in a chroot (as root), one for aarch64 under qemu (Debian
package `qemu-user-static`).
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from build_wheels import run

ROOT = Path(__file__).resolve().parent.parent
DEBIAN = {"x86_64": "amd64", "aarch64": "arm64"}
KEYS = "/usr/share/keyrings/debian-archive-keyring.gpg"
PACKAGES = ["python3", "libstdc++6"]  # NumPy's wheels need the latter
# What the suite reads beside itself. Not native/, so that nothing can be built; the tests that need it are left out.
BESIDE = ["tests", "examples", "docs", "README.md", "CHANGELOG.md", "pyproject.toml"]


def archive() -> str:
    """Return the address of Debian's archive that this machine's own apt uses."""
    found = run("apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages").split()
    if not found:
        sys.exit("apt knows no archive on this machine: its list of sources is empty, or apt-get update has not run")
    return found[0]


def download(folder: Path, suite: str, machine: str) -> list[Path]:
    """Fetch the packages and all that they depend on, by an apt that knows of no installed ones."""
    for name in ("lists/partial", "archives/partial"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "status").touch()
    (folder / "sources.list").write_text(f"deb [signed-by={KEYS}] {archive()} {suite} main\n")
    settings = {
        "APT::Architecture": DEBIAN[machine],
        "APT::Architectures": DEBIAN[machine],
        "APT::Sandbox::User": "root",
        "Dir::Etc::sourcelist": folder / "sources.list",
        "Dir::Etc::sourceparts": folder / "none",
        "Dir::Etc::preferencesparts": folder / "none",
        "Dir::State::status": folder / "status",
        "Dir::State::lists": folder / "lists",
        "Dir::Cache": folder,
    }
    apt = ["apt-get", "-qq", *(f"-o{name}={value}" for name, value in settings.items())]
    run(*apt, "update")
    run(*apt, "-y", "--no-install-recommends", "--download-only", "install", *PACKAGES)
    return sorted((folder / "archives").glob("*.deb"))


def unpack(packages: list[Path], root: Path) -> None:
    for name in ("bin", "sbin", "lib", "lib64"):
        (root / "usr" / name).mkdir(parents=True)
        (root / name).symlink_to(f"usr/{name}")
    for package in packages:
        contents = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", package], stdout=subprocess.PIPE)
        run_from = ["tar", "-x", "--keep-directory-symlink", "-C", str(root)]
        subprocess.run(run_from, stdin=contents.stdout, check=True)
        if contents.wait():
            sys.exit(f"{package.name} cannot be unpacked")
    compilers = [name for name in ("cc", "gcc", "c++", "g++", "clang") if (root / "usr/bin" / name).exists()]
    if compilers:
        sys.exit(f"the root file system must have no compiler, but has {', '.join(compilers)}")


def install(wheel: Path, root: Path) -> None:
    """Unpack the wheel and its test extra: for another processor's Python, pip only chooses the files."""
    python, abi, machine = parts(wheel)
    (library,) = (p for p in (root / "usr/lib").glob("python3.*") if (p / "os.py").exists())
    if library.name != f"python3.{python[3:]}":
        sys.exit(f"{wheel.name} is for another Python than the release's {library.name}; see --suite")
    platforms = [f"manylinux_2_{minor}_{machine}" for minor in range(17, 40)] + [f"manylinux2014_{machine}"]
    options = [f"--platform={name}" for name in platforms] + ["--python-version", python[2:], "--abi", abi]
    options += ["--implementation", "cp", "--only-binary=:all:", "--no-compile", "--upgrade"]
    target = root / "usr/local/lib" / library.name / "dist-packages"
    run(sys.executable, "-m", "pip", "install", "-q", *options, "--target", target, f"{wheel}[test]")


def parts(wheel: Path) -> tuple[str, str, str]:
    """Return a wheel's tags: Python, ABI, processor."""
    match = re.fullmatch(r".*-(cp3\d+)-(\w+)-\S*?(x86_64|aarch64)\.whl", wheel.name)
    if not match:
        sys.exit(f"{wheel.name} is no wheel for Linux on x86_64 or aarch64")
    return match[1], match[2], match[3]


def command_in(root: Path, machine: str) -> tuple[list[str], dict[str, str]]:
    """Return how Python is started in the root file system."""
    variables = {"PATH": "/usr/bin", "LANG": "C.UTF-8", "HOME": "/tmp", "PYTHONDONTWRITEBYTECODE": "1"}
    if machine == platform.machine():
        mounts = f"mount -t proc proc '{root}/proc' && mount --rbind /dev '{root}/dev'"
        enter = f"exec unshare --root='{root}' --wd=/suite python3 \"$@\""
        return ["unshare", "--mount", "sh", "-c", f"{mounts} && {enter}", "sh"], variables
    # Programs that Python starts are looked for outside: a script that leads back in is its name for itself.
    (interpreter,) = (p for p in (root / "usr/bin").glob("python3.*") if re.fullmatch(r"python3\.\d+", p.name))
    again = root / "usr/local/bin/python3"
    again.parent.mkdir(parents=True, exist_ok=True)
    emulator = shutil.which(f"qemu-{machine}-static")
    if not emulator:
        sys.exit(f"{machine} is emulated by qemu-{machine}-static (Debian package qemu-user-static), which is not here")
    again.write_text(f'#!/bin/sh\nexec {emulator} -L {root} {interpreter} "$@"\n')
    again.chmod(0o755)
    site = root / "usr/local/lib" / interpreter.name / "dist-packages"
    (site / "sitecustomize.py").write_text(f"import sys\nsys.executable = {str(again)!r}\n")
    # This machine's programs, compilers among them, would be found under their usual names.
    return [str(again)], variables | {"PYTHONPATH": str(site), "PATH": str(again.parent)}


def suite_files() -> list[str]:
    files = [*(ROOT / "tests").glob("test_*.py"), *(ROOT / "tests/fuzz").glob("test_[og]*.py")]
    return [str(file.relative_to(ROOT)) for file in sorted(files)]


def run_suite(
    wheel: Path, place: str, folder: Path, command: list[str], variables: dict[str, str], arguments: list[str]
) -> None:
    """Lay the suite out in a folder and run it there by the command that starts Python."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in BESIDE:
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, folder / name)
    version = subprocess.run([*command, "-VV"], env=variables, capture_output=True, text=True, check=True).stdout
    print(f"{wheel.name}: {' '.join(version.split())}, {place}", flush=True)
    command = [*command, "-P", "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    if subprocess.run(command, env=variables, cwd=folder, check=False).returncode:
        sys.exit(f"failed: {wheel.name}")


def test_in_root(wheel: Path, suite: str, work: Path, arguments: list[str]) -> None:
    _, abi, machine = parts(wheel)
    folder = work / f"{suite}-{machine}"
    root = folder / f"root-{abi}"
    shutil.rmtree(root, ignore_errors=True)
    packages = download(folder, suite, machine)
    unpack(packages, root)
    install(wheel, root)
    for name in ("proc", "dev", "tmp", "suite"):
        (root / name).mkdir(exist_ok=True)
    command, variables = command_in(root, machine)
    run_suite(wheel, f"Debian {suite}, {len(packages)} packages", root / "suite", command, variables, arguments)


def test_in_environment(wheel: Path, python: str, work: Path, arguments: list[str]) -> None:
    """For a Python that is no package of Debian's: this machine's, in a new environment."""
    folder = work / f"environment-{parts(wheel)[1]}"
    shutil.rmtree(folder, ignore_errors=True)
    run(python, "-m", "venv", folder)
    interpreter = folder / "bin" / "python"
    run(interpreter, "-m", "pip", "install", "-q", "--only-binary=:all:", f"{wheel}[test]")
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "SPATIALNORM"))}
    run_suite(wheel, "a new environment", folder / "suite", [str(interpreter)], variables, arguments)


def main() -> None:
    parser = argparse.ArgumentParser(description="Run the suite on wheels where there is no compiler.")
    parser.add_argument("--suite", default="bookworm", help="release of Debian (default: bookworm, Python 3.11)")
    parser.add_argument("--python", help="in a new environment of this one, in place of a root file system")
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "wheels" / "roots", help="where it all lies")
    parser.add_argument("--pytest", default="", metavar="ARGUMENTS", help="which tests (default: those of the package)")
    parser.add_argument("wheel", type=Path, nargs="+")
    options = parser.parse_args()
    test, where = (test_in_environment, options.python) if options.python else (test_in_root, options.suite)
    for wheel in options.wheel:
        test(wheel.resolve(), where, options.work.resolve(), shlex.split(options.pytest) or suite_files())


if __name__ == "__main__":
    main()
