"""The gradients of alpha, beta and delta."""

import numpy as np
import pytest
from cases import EDGES, Case, each_case, each_dtype, needs_float64, oracle, tolerance

import spatialnorm as sn
from spatialnorm import reference


def magnitudes(case, grad_y, x):
    """Sums of the magnitudes of what the three gradients add up: the scale of their rounding errors."""
    wide = oracle(x)
    kh, kw = case.norm("cpu").kernel_size
    options = {"axes": case.axes, "edge": case.edge, "dtype": wide}
    s = reference.window_sum(x.astype(wide) ** 2, case.kernel_size, **options) / (kh * kw)
    t = case.delta + case.alpha * s
    base = np.abs(grad_y.astype(wide) * x.astype(wide)) * t**-case.beta
    return (
        float((abs(case.beta) * base / t * s).sum()),
        float((base * (np.abs(np.log(t)) + 1)).sum()),  # a rounding error of T is an absolute one of log T
        float((abs(case.beta) * base / t).sum()),
    )


@each_dtype
@each_case
def test_parameter_gradients(case, dtype, device):
    x, grad_y = case.values(dtype, 1), case.values(dtype, 2)
    result = case.norm(device).parameter_gradients(grad_y, x)
    assert all(type(value) is float for value in result)
    allowed = tolerance(dtype).sums * 4 * (1 + abs(case.beta))
    expected, scales = case.parameter_gradients(grad_y, x), magnitudes(case, grad_y, x)
    for value, wanted, scale, name in zip(result, expected, scales, ("alpha", "beta", "delta"), strict=True):
        assert abs(value - wanted) <= allowed * scale, name


@needs_float64
@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize("kernel_size", [1, 2, 5, (4, 3), (40, 9)], ids=str)
def test_central_differences(kernel_size, edge, device):
    x, grad_y = np.random.default_rng(7).normal(size=(2, 3, 12, 15))
    point = {"alpha": 0.7, "beta": 0.75, "delta": 0.8}
    h = 1e-6

    def loss(**changes):
        return np.vdot(grad_y, sn.SpatialNorm(kernel_size, **{**point, **changes}, edge=edge, device=device)(x))

    expected = [(loss(**{k: v + h}) - loss(**{k: v - h})) / (2 * h) for k, v in point.items()]
    norm = sn.SpatialNorm(kernel_size, **point, edge=edge, device=device)
    assert norm.parameter_gradients(grad_y, x) == pytest.approx(expected, rel=1e-7, abs=1e-7)


def test_sums_over_planes_and_strips(device):
    """Sums over a large array are those of its planes."""
    case = Case(shape=(3, 300, 200), kernel_size=7)
    x, grad_y = case.values("f4", 1), case.values("f4", 2)
    norm = case.norm(device)
    parts = np.sum([norm.parameter_gradients(g, p) for g, p in zip(grad_y, x, strict=True)], axis=0)
    whole = norm.parameter_gradients(grad_y, x)
    assert whole == pytest.approx(parts, rel=1e-5, abs=1e-3)
