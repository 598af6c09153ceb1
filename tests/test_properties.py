"""Properties that need no oracle."""

import numpy as np
import pytest
from cases import EDGES, FLOAT32, Case, cpu_only, each_dtype, normwise

import spatialnorm as sn

ODD, EVEN = [1, 3, (5, 9), 31], [2, 4, (6, 2)]


@each_dtype
def test_window_of_one_sample(dtype, rng, device):
    x = rng.normal(size=(3, 20, 21)).astype(dtype)
    y = sn.spatial_norm(x, 1, alpha=0.3, beta=0.75, delta=0.9, device=device)
    wide = x.astype("f8")
    assert normwise(y, wide * (0.9 + 0.3 * wide**2) ** -0.75) <= (1e-6 if x.itemsize >= 4 else 8e-3)


@each_dtype
def test_alpha_zero(dtype, rng, device):
    x = rng.normal(size=(3, 20, 21)).astype(dtype)
    y = sn.spatial_norm(x, 5, alpha=0, beta=1.5, delta=1.7, device=device)
    assert normwise(y, x.astype("f8") * 1.7**-1.5) <= (1e-6 if x.itemsize >= 4 else 8e-3)


@each_dtype
def test_beta_zero_is_the_identity(dtype, rng, device):
    x = rng.normal(size=(3, 20, 21)).astype(dtype)
    assert sn.spatial_norm(x, 5, beta=0, device=device).tobytes() == x.tobytes()


@pytest.mark.parametrize("edge", EDGES)
def test_planes_are_independent(edge, device):
    case = Case(shape=(4, 3, 15, 18), edge=edge)
    x, grad_y = case.values(FLOAT32, 1), case.values(FLOAT32, 2)
    norm = case.norm(device)
    y, grad_x = norm(x), norm.gradient(grad_y, x)
    for n, c in np.ndindex(4, 3):
        assert norm(x[n, c]).tobytes() == y[n, c].tobytes()
        assert norm.gradient(grad_y[n, c], x[n, c]).tobytes() == grad_x[n, c].tobytes()


@each_dtype
def test_odd_in_x(dtype, device):
    case = Case(shape=(30, 40))
    x, grad_y = case.values(dtype, 1), case.values(dtype, 2)
    norm = case.norm(device)
    assert norm(-x).tobytes() == (-norm(x)).tobytes()
    assert norm.gradient(grad_y, -x).tobytes() == norm.gradient(grad_y, x).tobytes()
    assert norm.gradient(-grad_y, x).tobytes() == (-norm.gradient(grad_y, x)).tobytes()


@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize("kernel_size", ODD, ids=str)
def test_flipping_with_an_odd_window(kernel_size, edge, device):
    case = Case(shape=(25, 34), kernel_size=kernel_size, edge=edge)
    x = case.values(FLOAT32)
    norm = case.norm(device)
    for flip in (np.s_[::-1], np.s_[:, ::-1], np.s_[::-1, ::-1]):
        np.testing.assert_allclose(norm(x[flip]), norm(x)[flip], rtol=1e-5)


@pytest.mark.parametrize("kernel_size", EVEN, ids=str)
def test_flipping_with_an_even_window_mirrors_the_lean(kernel_size, device):
    """The flipped image's window is that of an image shifted by one: compare where both are whole."""
    case = Case(shape=(25, 34), kernel_size=kernel_size)
    x = case.values(FLOAT32)
    norm = case.norm(device)
    assert normwise(norm(x[::-1, ::-1])[::-1, ::-1], norm(x).astype("f8")) > 1e-3
    # T of the mirrored window at (i, j) is T of ours at (i+1, j+1).
    t = (x / norm(x)) ** (1 / case.beta)
    mirrored = (x[::-1, ::-1] / norm(x[::-1, ::-1])) ** (1 / case.beta)
    np.testing.assert_allclose(mirrored[::-1, ::-1][:-1, :-1], t[1:, 1:], rtol=1e-4)


@pytest.mark.parametrize("scale", [0.5, 4.0])
def test_scaling_x_scales_alpha(scale, device):
    x = Case(shape=(2, 20, 30)).values(FLOAT32)
    scaled = sn.spatial_norm(np.float32(scale) * x, 5, 0.3, 0.75, 1.0, device=device)
    np.testing.assert_allclose(
        scaled, scale * sn.spatial_norm(x, 5, 0.3 * scale**2, 0.75, 1.0, device=device), rtol=3e-6
    )


@pytest.mark.parametrize("c", [0.5, 3.0])
def test_dividing_alpha_and_delta(c, device):
    x = Case(shape=(2, 20, 30)).values(FLOAT32)
    divided = sn.spatial_norm(x, 5, 0.3 / c, 0.75, 1.0 / c, device=device)
    np.testing.assert_allclose(divided, c**0.75 * sn.spatial_norm(x, 5, 0.3, 0.75, 1.0, device=device), rtol=3e-6)


@pytest.mark.parametrize("edge", EDGES)
def test_window_larger_than_the_image(edge, device):
    """All windows hold all samples, so T is one number for zero edges."""
    x = Case(shape=(6, 7)).values(FLOAT32)
    k = 40
    y = sn.spatial_norm(x, k, 1.0, 1.0, 1.0, edge=edge, device=device)
    t = x / y
    if edge == "zero":
        np.testing.assert_allclose(t, 1 + np.sum(x.astype("f8") ** 2) / k**2, rtol=1e-5)
    else:
        assert t.std() > 0.01


# Where T is not positive, IEEE arithmetic speaks --------------------------------------------------------------


@each_dtype
@pytest.mark.parametrize("beta", [0.5, 0.75, 1, 2, 5, -0.5, -1, -2, 0])
@pytest.mark.parametrize("delta", [0.0, -1.0, -0.25])
def test_t_not_positive(delta, beta, dtype, device):
    x = np.array([[0.0, 1.0, -2.0, 0.5, 3.0]], dtype)
    y = sn.spatial_norm(x, 1, alpha=1, beta=beta, delta=delta, device=device).astype("f8")
    with np.errstate(all="ignore"):
        expected = (x * np.power(delta + x.astype("f8") ** 2, -beta)).astype(dtype).astype("f8")
    np.testing.assert_array_equal(np.isnan(y), np.isnan(expected))
    np.testing.assert_allclose(y, expected, rtol=1e-5 if x.itemsize >= 4 else 1e-2)


def test_zero_energy_is_nan_only_there(device):
    x = np.ones((8, 8), np.float32)
    x[:3, :3] = 0
    y = sn.spatial_norm(x, 3, delta=0, beta=0.5, device=device)
    nan = np.zeros((8, 8), bool)
    nan[:2, :2] = True  # windows that hold only zeros: 0 * inf
    np.testing.assert_array_equal(np.isnan(y), nan)


@cpu_only
@pytest.mark.parametrize("magnitude", [1e-30, 1e-20, 1e15, 1e18])
def test_far_from_one(magnitude, device):
    """Squares near the ends of float32's range: right where the range allows."""
    x = (Case(shape=(20, 30)).values(FLOAT32) * np.float32(magnitude)).astype("f4")
    y = sn.spatial_norm(x, 3, 1.0, 0.5, 1.0, device=device)
    wide = x.astype("f8")
    from spatialnorm import reference

    np.testing.assert_allclose(y, reference.spatial_forward(wide, 3, 1.0, 0.5, 1.0), rtol=1e-5)
