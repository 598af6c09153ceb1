"""The judge itself: against four nested loops, and its transposes and derivatives against its values."""

import numpy as np
import pytest
from cases import EDGES, Case

from spatialnorm import reference

SIZES = [1, 2, 3, 4, (2, 5), (7, 4), (12, 30)]


def by_loops(x, kernel_size, edge):
    """Window sums as 1-operation words them, one sample at a time."""
    kh, kw = kernel_size if isinstance(kernel_size, tuple) else (kernel_size, kernel_size)
    height, width = x.shape
    result = np.zeros_like(x)
    for i in range(height):
        for j in range(width):
            for r in range(i - kh // 2, i + (kh - 1) // 2 + 1):
                for c in range(j - kw // 2, j + (kw - 1) // 2 + 1):
                    if edge == "clamp":
                        result[i, j] += x[min(max(r, 0), height - 1), min(max(c, 0), width - 1)]
                    elif 0 <= r < height and 0 <= c < width:
                        result[i, j] += x[r, c]
    return result


@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize("kernel_size", SIZES, ids=str)
def test_window_sum_by_loops(kernel_size, edge, rng):
    x = rng.normal(size=(5, 8))
    np.testing.assert_allclose(
        reference.window_sum(x, kernel_size, edge=edge), by_loops(x, kernel_size, edge), rtol=0, atol=1e-12
    )


@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize("kernel_size", SIZES, ids=str)
def test_adjoint_of_window_sum(kernel_size, edge, rng):
    a, b = rng.normal(size=(2, 3, 6, 9))
    left = np.vdot(reference.window_sum(a, kernel_size, edge=edge), b)
    right = np.vdot(a, reference.window_sum_adjoint(b, kernel_size, edge=edge))
    np.testing.assert_allclose(left, right, rtol=1e-12)


def test_adjoint_of_even_window_is_mirrored():
    impulse = np.zeros((1, 7))
    impulse[0, 3] = 1
    assert reference.window_sum(impulse, (1, 2)).tolist() == [[0, 0, 0, 1, 1, 0, 0]]  # window [i-1, i]
    assert reference.window_sum_adjoint(impulse, (1, 2)).tolist() == [[0, 0, 1, 1, 0, 0, 0]]


def test_adjoint_of_clamped_window_adds_back_onto_the_edge():
    impulse = np.zeros((1, 5))
    impulse[0, 0] = 1
    assert reference.window_sum(impulse, (1, 5), edge="clamp").tolist() == [[3, 2, 1, 0, 0]]
    assert reference.window_sum_adjoint(impulse, (1, 5), edge="clamp").tolist() == [[3, 1, 1, 0, 0]]


@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize("kernel_size", SIZES, ids=str)
def test_derivatives_of_the_reference(kernel_size, edge, rng):
    case = Case(shape=(2, 6, 7), kernel_size=kernel_size, edge=edge)
    x, dx, grad_y = rng.normal(size=(3, *case.shape))
    h = 1e-6
    difference = (case.forward(x + h * dx) - case.forward(x - h * dx)) / (2 * h)
    np.testing.assert_allclose(case.jvp(x, dx).astype(float), difference.astype(float), rtol=0, atol=1e-8)
    np.testing.assert_allclose(
        float(np.vdot(case.vjp(grad_y, x), dx)), float(np.vdot(grad_y, difference)), rtol=1e-7, atol=1e-7
    )


def test_documented_gradient_is_not_the_derivative(rng):
    """The distances that the specification states: hidden at alpha = 1e-4, plain at the defaults."""
    far, near = Case((64, 64), 3, 1.0, 5.0, 1.0), Case((64, 64), 3, 1e-4, 0.75, 1.0)
    x, grad_y = rng.normal(size=(2, 64, 64))
    ratios = []
    for case in (far, near):
        exact, documented = case.vjp(grad_y, x), case.but(gradient="documented").vjp(grad_y, x)
        ratios.append(float(np.linalg.norm(documented - exact) / np.linalg.norm(exact)))
    assert ratios[0] > 1
    assert 1e-5 < ratios[1] < 1e-2
