"""The example: its gradients are right, it learns, and it draws."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

FILE = Path(__file__).parent.parent / "examples" / "train_graph" / "train.py"


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("train_graph_example", FILE)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where its dataclasses look for themselves
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.fixture(scope="module")
def patches():
    """Smooth noise of varying strength, in place of the photograph."""
    rng = np.random.default_rng(1)
    noise = rng.normal(size=(16, 32, 32)).cumsum(1).cumsum(2)
    noise -= noise.mean(axis=(1, 2), keepdims=True)
    return (noise / noise.std()).astype("f4")


def test_gradients(example, patches):
    """Of the loss, through both stages, by central differences in float64."""
    target = example.both_stages(patches, **example.GIVEN)
    beta, delta, h = 0.6, 0.5, 1e-4
    model = example.Model()
    model.set(beta, delta)
    loss, gradients = model.loss_and_gradients(patches, target)

    def loss_at(b, d):
        return np.mean((example.both_stages(patches.astype("f8"), b, d) - target) ** 2) / 2

    assert loss == pytest.approx(loss_at(beta, delta), rel=1e-5)
    by_beta = (loss_at(beta + h, delta) - loss_at(beta - h, delta)) / (2 * h)
    by_delta = (loss_at(beta, delta + h) - loss_at(beta, delta - h)) / (2 * h)
    np.testing.assert_allclose(gradients, [by_beta, by_delta], rtol=1e-4)


def test_it_learns(example, patches):
    path, losses = example.train(patches, 300, 8, np.random.default_rng(0))
    assert losses[-1] < 1e-4 * losses[0]
    np.testing.assert_allclose(path[-1], [example.GIVEN["beta"], example.GIVEN["delta"]], rtol=0.02)


def test_it_runs_and_draws(tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    pytest.importorskip("PIL", reason="Pillow, which reads the photograph, is not installed")
    plot = tmp_path / "plot.png"
    command = [sys.executable, str(FILE), "--steps", "3", "--patches", "8", "--batch", "2", "--output", str(plot)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "beta: started at 1.1" in result.stdout
    assert plot.read_bytes()[:4] == b"\x89PNG"
