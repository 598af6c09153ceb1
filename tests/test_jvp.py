"""The forward-mode product."""

import numpy as np
import pytest
from cases import EDGES, WINDOWS, Case, assert_derivative, each_case, each_dtype, needs_float64

import spatialnorm as sn


@each_dtype
@each_case
def test_jvp(case, dtype, device):
    x, dx = case.values(dtype, 1), case.values(dtype, 2)
    assert_derivative(case.norm(device).jvp(x, dx), case.jvp(x, dx))


@needs_float64
@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize("kernel_size", WINDOWS, ids=str)
def test_central_differences(kernel_size, edge, device):
    norm = sn.SpatialNorm(kernel_size, 0.7, 0.75, 0.8, edge=edge, device=device)
    x, dx = np.random.default_rng(6).normal(size=(2, 2, 9, 11))
    h = 1e-6
    expected = (norm(x + h * dx) - norm(x - h * dx)) / (2 * h)
    np.testing.assert_allclose(norm.jvp(x, dx), expected, rtol=0, atol=2e-9)


@each_dtype
def test_out(dtype, device):
    case = Case()
    x, dx, out = case.values(dtype, 1), case.values(dtype, 2), np.empty(case.shape, dtype)
    norm = case.norm(device)
    assert norm.jvp(x, dx, out) is out
    assert out.tobytes() == norm.jvp(x, dx).tobytes()


def test_documented_gradient_does_not_change_the_jvp(device):
    """The tangent is a fact of the forward pass; only `gradient` has two formulas."""
    case = Case()
    x, dx = case.values("f4", 1), case.values("f4", 2)
    documented = case.but(gradient="documented").norm(device)
    assert documented.jvp(x, dx).tobytes() == case.norm(device).jvp(x, dx).tobytes()
