"""Build with the least or the newest build requirements that pyproject.toml allows, and run a part of the suite.

    python tests/supply/both_ends.py [least] [newest]

Each end has an environment of its own; the least one runs on the least NumPy, too. The core is compiled only where its
objects in build/ are not current: no build requirement has a part in it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(HERE))

from requirements import PROJECT, requirements  # noqa: E402

# What touches the interpreter's and NumPy's interfaces; the kernels have the rest of the suite.
TESTS = ["api", "bind", "buffers", "errors", "forward", "sequence", "threads", "views", "graph_run", "graph_json"]


def run(*command: object, folder: Path = ROOT, **environment: str) -> str:
    words = [str(word) for word in command]
    done = subprocess.run(
        words, cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"{' '.join(words)}\n{done.stdout}{done.stderr}")
    return done.stdout


def least_numpy() -> str:
    """Return the lowest NumPy that the package runs on, as a requirement."""
    (text,) = tomllib.loads(PROJECT.read_text())["project"]["dependencies"]
    return re.sub(r">=([\d.]+).*", r"==\1", text)


def forget_cython() -> None:
    """The C of one version of Cython is none of another's."""
    shutil.rmtree(ROOT / "build" / "cython", ignore_errors=True)


def installed(python: Path, *names: str) -> list[str]:
    lines = run(python, "-m", "pip", "list", "--format=freeze").splitlines()
    return [line for line in lines if line.partition("==")[0].lower() in names]


def check(end: str, folder: Path) -> None:
    venv.create(folder / "venv", with_pip=True)
    python = folder / "venv" / "bin" / "python"
    run(python, "-m", "pip", "install", "-q", *requirements(end == "least"))
    built = installed(python, "cython", "numpy", "setuptools")
    forget_cython()
    try:
        command = [python, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", folder, ROOT]
        run(*command, CYTHON_FORCE_REGEN="1")
    finally:
        forget_cython()
    (wheel,) = folder.glob("*.whl")
    run(python, "-m", "pip", "install", "-q", wheel, "pytest", "hypothesis", *([least_numpy()] * (end == "least")))
    files = [ROOT / "tests" / f"test_{name}.py" for name in TESTS]
    ran = run(python, "-P", "-m", "pytest", "-q", "-p", "no:cacheprovider", *files, folder=folder)
    used = installed(python, "numpy")
    print(f"{end}: built with {', '.join(built)}; run with {', '.join(used)}: {ran.splitlines()[-1]}")


def main() -> None:
    for end in sys.argv[1:] or ["least", "newest"]:
        if end not in ("least", "newest"):
            sys.exit(__doc__)
        with tempfile.TemporaryDirectory() as folder:
            check(end, Path(folder))


if __name__ == "__main__":
    main()
