"""Build the wheel twice, in different folders, at different times, and compare: they must have the same bytes.

    python tests/supply/reproducible.py [--fast]

With --fast nothing is optimized: minutes less, and what could differ stays the same. The environment must hold the
build requirements.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
MOMENT = "1700000000"  # what the wheel says of its own time


def copy_sources(to: Path) -> None:
    """Copy what an sdist holds, without what was built in the tree."""
    built = ("build", "dist", ".git", ".venv", "*.egg-info", "__pycache__", "*.so", ".*_cache", ".hypothesis")
    shutil.copytree(ROOT, to, ignore=shutil.ignore_patterns(*built))
    for folder in ("include", "lib", "cmake"):
        shutil.rmtree(to / "spatialnorm" / folder, ignore_errors=True)


def build(folder: Path, fast: bool) -> Path:
    sources, output = folder / "sources", folder / "wheel"
    copy_sources(sources)
    environment = {**os.environ, "SOURCE_DATE_EPOCH": MOMENT}
    if fast:
        environment |= {"CXXFLAGS": "-O0 -U_FORTIFY_SOURCE", "CFLAGS": "-O0 -U_FORTIFY_SOURCE"}
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", output, sources]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    (wheel,) = output.glob("*.whl")
    return wheel


def differences(a: Path, b: Path) -> list[str]:
    with zipfile.ZipFile(a) as one, zipfile.ZipFile(b) as other:
        names = sorted({*one.namelist(), *other.namelist()})
        return [name for name in names if not _equal(one, other, name)]


def _equal(one: zipfile.ZipFile, other: zipfile.ZipFile, name: str) -> bool:
    try:
        return one.read(name) == other.read(name) and one.getinfo(name).date_time == other.getinfo(name).date_time
    except KeyError:
        return False


def main() -> None:
    parser = argparse.ArgumentParser(description="Build the wheel twice and compare.")
    parser.add_argument("--fast", action="store_true", help="without optimization")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory(prefix="another-place-") as other:
        first = build(Path(one), options.fast)
        time.sleep(2.1)  # a zip file's clock ticks every two seconds
        second = build(Path(other) / "deeper", options.fast)
        digests = [hashlib.sha256(wheel.read_bytes()).hexdigest() for wheel in (first, second)]
        if digests[0] != digests[1]:
            sys.exit(f"the wheels differ in {', '.join(differences(first, second)) or 'their order or times'}")
        print(f"reproducible: {first.name}, {first.stat().st_size} bytes, sha256 {digests[0]}, twice")


if __name__ == "__main__":
    main()
