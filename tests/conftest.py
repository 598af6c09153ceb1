"""What every test shares: the device under test, and the folder of cases.py on the path."""

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
# Processes that tests start must find the installed package, not a source tree that they happen to stand in.
os.environ["PYTHONSAFEPATH"] = "1"

from cases import DEVICE


@pytest.fixture(params=[DEVICE], scope="session")
def device(request):
    """The device under test, in every test's name, so that `-k metal` selects by it."""
    return request.param


@pytest.fixture
def rng():
    """Random numbers, the same in every run."""
    import numpy

    return numpy.random.default_rng(20261122)


@pytest.fixture
def images(rng):
    """Return small random images for the graphs of test_graph_*.py."""
    from test_graph_cases import random_images

    return random_images(rng)


def pytest_report_header():
    import spatialnorm as sn
    from spatialnorm import _core

    lines = [f"spatialnorm {sn.__version__}: instruction set {_core.isa()}, {sn.get_num_threads()} threads"]
    for d in sn.devices():
        state = "" if d.available else "cannot run: "
        lines.append(f"device {d.kind}: {d.name}: {state}{d.description}")
    return [*lines, f"device under test: {DEVICE}"]
