"""The build requirements are ranges, whose ends both_ends.py builds with (`make both-ends`)."""

import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

if not (HERE.parent.parent / "pyproject.toml").exists():
    pytest.skip("the source tree with pyproject.toml is not here", allow_module_level=True)
from requirements import requirements  # noqa: E402


def test_ranges():
    for requirement in requirements(least=False):
        assert ">=" in requirement, requirement
        assert "<" in requirement, requirement
    assert [r.partition("==")[0] for r in requirements(least=True)] == ["setuptools", "cython", "numpy"]
    assert all("==" in r and "<" not in r for r in requirements(least=True))
