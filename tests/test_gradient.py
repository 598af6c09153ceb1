"""The gradient: against the reference, central differences, inner products."""

import numpy as np
import pytest
from cases import (
    BETAS,
    EDGES,
    FLOAT32,
    FLOAT64,
    SHAPES,
    WINDOWS,
    Case,
    assert_derivative,
    each_case,
    each_dtype,
    needs_float64,
    tolerance,
)

import spatialnorm as sn


@each_dtype
@each_case
def test_gradient(case, dtype, device):
    x, grad_y = case.values(dtype, 1), case.values(dtype, 2)
    assert_derivative(case.norm(device).gradient(grad_y, x), case.vjp(grad_y, x))


@each_dtype
@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_shape_with_every_window(shape, edge, dtype, device):
    for kernel_size in WINDOWS:
        case = Case(shape=shape, kernel_size=kernel_size, edge=edge)
        x, grad_y = case.values(dtype, 1), case.values(dtype, 2)
        assert_derivative(case.norm(device).gradient(grad_y, x), case.vjp(grad_y, x))


@pytest.mark.parametrize("beta", [*BETAS, 0, -1, 2])
def test_every_beta(beta, device):
    case = Case(shape=(2, 40, 50), kernel_size=(5, 4), beta=beta)
    x, grad_y = case.values(FLOAT32, 1), case.values(FLOAT32, 2)
    assert_derivative(case.norm(device).gradient(grad_y, x), case.vjp(grad_y, x))


@each_dtype
@each_case
def test_documented_gradient(case, dtype, device):
    case = case.but(edge="zero", gradient="documented")
    x, grad_y = case.values(dtype, 1), case.values(dtype, 2)
    assert_derivative(case.norm(device).gradient(grad_y, x), case.vjp(grad_y, x))


def test_the_two_gradients_differ(rng, device):
    x, grad_y = rng.normal(size=(2, 3, 20, 20)).astype("f4")
    exact = sn.spatial_norm_gradient(grad_y, x, 3, device=device)
    documented = sn.spatial_norm_gradient(grad_y, x, 3, gradient="documented", device=device)
    assert np.linalg.norm(documented - exact) > np.linalg.norm(exact)


@needs_float64
@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize("kernel_size", [1, 2, 3, 4, 5, (2, 7), (6, 3), (30, 11)], ids=str)
def test_central_differences(kernel_size, edge, device):
    """Every single sample of a small image, in float64."""
    norm = sn.SpatialNorm(kernel_size, 0.7, 0.75, 0.8, edge=edge, device=device)
    rng = np.random.default_rng(3)
    x, grad_y = rng.normal(size=(2, 5, 7))
    h = 1e-6
    expected = np.empty_like(x)
    for index in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[index] = h
        expected[index] = np.vdot(grad_y, norm(x + step) - norm(x - step)) / (2 * h)
    np.testing.assert_allclose(norm.gradient(grad_y, x), expected, rtol=0, atol=2e-9)


@needs_float64
@pytest.mark.parametrize("layout", ["NHWC", "negative strides"])
def test_central_differences_on_views(layout, device):
    rng = np.random.default_rng(4)
    h = 1e-6
    if layout == "NHWC":
        axes, (x, grad_y, dx) = (1, 2), rng.normal(size=(3, 2, 5, 6, 3))
    else:
        axes, (x, grad_y, dx) = (-2, -1), rng.normal(size=(3, 2, 5, 6))[..., ::-1, ::-1]
    norm = sn.SpatialNorm((4, 3), 0.7, 0.75, 0.8, axes=axes, device=device)
    difference = (norm(x + h * dx) - norm(x - h * dx)) / (2 * h)
    assert np.vdot(norm.gradient(grad_y, x), dx) == pytest.approx(np.vdot(grad_y, difference), rel=1e-8)


@each_dtype
@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize("kernel_size", WINDOWS, ids=str)
def test_gradient_is_the_transpose_of_the_jvp(kernel_size, edge, dtype, device):
    """<G, J V> = <J^T G, V>, without any oracle."""
    case = Case(shape=(2, 12, 19), kernel_size=kernel_size, edge=edge)
    norm = case.norm(device)
    x, grad_y, dx = (case.values(dtype, seed) for seed in (1, 2, 3))
    g, v = grad_y.astype("f8"), dx.astype("f8")
    jv, jtg = norm.jvp(x, dx).astype("f8"), norm.gradient(grad_y, x).astype("f8")
    scale = np.linalg.norm(g) * np.linalg.norm(jv) + np.linalg.norm(jtg) * np.linalg.norm(v)
    assert abs(np.vdot(g, jv) - np.vdot(jtg, v)) <= tolerance(dtype).normwise * scale


def test_clamped_edge_collects_what_falls_outside(device):
    """With one row and alpha's term alone, the edge samples' own count shows in the gradient."""
    case = Case(shape=(1, 9), kernel_size=(1, 5), alpha=1.0, beta=1.0, delta=0.5, edge="clamp")
    x, grad_y = case.values(FLOAT32, 5), np.ones(case.shape, "f4")
    clamped, zero = case.norm(device), case.but(edge="zero").norm(device)
    assert_derivative(clamped.gradient(grad_y, x), case.vjp(grad_y, x))
    assert np.abs(clamped.gradient(grad_y, x) - zero.gradient(grad_y, x)).max() > 0.01


@each_dtype
def test_function_and_method_agree(dtype, device):
    case = Case()
    x, grad_y = case.values(dtype, 1), case.values(dtype, 2)
    k, alpha, beta, delta = case.numbers
    by_function = sn.spatial_norm_gradient(grad_y, x, k, alpha=alpha, beta=beta, delta=delta, device=device)
    assert by_function.tobytes() == case.norm(device).gradient(grad_y, x).tobytes()
    out = np.empty_like(x)
    assert sn.spatial_norm_gradient(grad_y, x, k, alpha, beta, delta, out=out, device=device) is out
    assert out.tobytes() == by_function.tobytes()


@needs_float64
def test_gradient_at_several_points_of_float64(device):
    case = Case(shape=(3, 60, 70), kernel_size=(9, 6), beta=5.0)
    x, grad_y = case.values(FLOAT64, 1), case.values(FLOAT64, 2)
    assert_derivative(case.norm(device).gradient(grad_y, x), case.vjp(grad_y, x))
