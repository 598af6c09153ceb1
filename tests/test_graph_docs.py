"""The code in the page for people who come from MPS, and in the docstrings, does what it shows."""

import doctest
import importlib
import pkgutil
import re
from pathlib import Path

import numpy as np
import pytest

import spatialnorm.graph
from spatialnorm import reference

PAGE = Path(__file__).parent.parent / "docs" / "mps.md"
NAMES = [module.name for module in pkgutil.iter_modules(spatialnorm.graph.__path__)]
MODULES = ["spatialnorm.graph", *(f"spatialnorm.graph.{name}" for name in NAMES)]


def test_page():
    blocks = re.findall(r"^```pycon\n(.*?)^```", PAGE.read_text(), re.M | re.S)
    test = doctest.DocTestParser().get_doctest("\n".join(blocks), {}, "mps.md", None, None)
    assert len(test.examples) > 12
    doctest.DebugRunner().run(test)


@pytest.mark.parametrize(("alpha", "beta", "percent"), [(1, 5, 660), (1e-4, 0.75, 0.04)])
def test_figures_of_the_printed_formula(alpha, beta, percent):
    """As the page says."""
    x, dy = np.random.default_rng(0).normal(size=(2, 64, 64))
    exact = reference.spatial_gradient(dy, x, 3, alpha, beta)
    printed = reference.spatial_gradient(dy, x, 3, alpha, beta, gradient="documented")
    assert 100 * np.linalg.norm(printed - exact) / np.linalg.norm(exact) == pytest.approx(percent, rel=0.1)
    assert f"{percent:g} %" in PAGE.read_text()


@pytest.mark.parametrize("name", MODULES)
def test_docstrings(name):
    doctest.testmod(importlib.import_module(name), raise_on_error=True)


def test_every_public_name_is_on_the_page():
    text = PAGE.read_text()
    for name in spatialnorm.graph.__all__:
        assert name in text, name
