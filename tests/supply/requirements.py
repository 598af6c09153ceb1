"""Print pyproject.toml's build requirements for pip: `least`, the lowest versions; `newest`, the ranges as they are."""

import re
import sys
import tomllib
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent.parent / "pyproject.toml"


def requirements(least: bool) -> list[str]:
    ranges = [r for r in tomllib.loads(PROJECT.read_text())["build-system"]["requires"] if "sys_platform" not in r]
    return [re.sub(r">=([\d.]+).*", r"==\1", r) for r in ranges] if least else ranges


if __name__ == "__main__":
    print(*requirements(sys.argv[1] == "least"))
