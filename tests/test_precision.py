"""The promises on precision, with the figures that they are made in."""

import numpy as np
import pytest
from cases import BETAS, DEVICE, EDGES, FLOAT32, FLOAT64, Case, each_dtype, needs_float64, normwise, tolerance, ulp

import spatialnorm as sn
from spatialnorm import reference

SHAPE = (2, 120, 150)
WINDOWS = [1, 3, 4, 5, (2, 9), (16, 7), 31, (301, 299)]


@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize("kernel_size", WINDOWS, ids=str)
@pytest.mark.parametrize("beta", BETAS)
@each_dtype
def test_forward_ulp(dtype, beta, kernel_size, edge, device):
    case = Case(shape=SHAPE, kernel_size=kernel_size, alpha=1.0, beta=beta, delta=1.0, edge=edge)
    x = case.values(dtype)
    error = ulp(case.norm(device)(x), case.forward(x))
    promise = tolerance(dtype)
    constant, factor = promise.forward_ulp
    assert error.max() <= constant + factor * abs(beta)
    assert np.median(error) <= promise.median_ulp


@pytest.mark.parametrize("beta", [0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 5.0, -0.5, -1.0])
def test_power_alone(beta, device):
    """With 12-bit samples, window 1, alpha 1 and delta 0, T = x^2 is exact."""
    case = Case(kernel_size=1, alpha=1.0, beta=beta, delta=0.0)
    mantissas = np.arange(2048, 4096) / 2048
    x = np.concatenate([mantissas * 2.0**e for e in range(-4, 5)]).astype("f4")[None]
    constant, factor = tolerance("f4").forward_ulp
    assert ulp(case.norm(device)(x), case.forward(x)).max() <= constant + factor * abs(beta)


@pytest.mark.parametrize("beta", [0.3, 0.5, 0.75, 1.0, 5.0, -0.5])
@pytest.mark.parametrize("kernel_size", [1, 3])
def test_forward_ulp_with_other_parameters(kernel_size, beta, device):
    """Many samples, with alpha and delta that spread T over several powers of two."""
    case = Case(shape=(1000, 1000), kernel_size=kernel_size, alpha=2.5, beta=beta, delta=0.5)
    x = case.values(FLOAT32, 0)
    constant, factor = tolerance("f4").forward_ulp
    assert ulp(case.norm(device)(x), case.forward(x)).max() <= constant + factor * abs(beta)


@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize("kernel_size", WINDOWS, ids=str)
@pytest.mark.parametrize("beta", BETAS)
@each_dtype
def test_gradient_normwise(dtype, beta, kernel_size, edge, device):
    case = Case(shape=(2, 60, 70), kernel_size=kernel_size, alpha=1.0, beta=beta, delta=1.0, edge=edge)
    x, grad_y = case.values(dtype, 1), case.values(dtype, 2)
    assert normwise(case.norm(device).gradient(grad_y, x), case.vjp(grad_y, x)) <= tolerance(dtype).normwise


@each_dtype
def test_sixteen_bits_are_the_rounded_float32_result(dtype, device):
    """Correctly rounded: the float32 result of the same samples, converted once."""
    if np.dtype(dtype).itemsize != 2:
        return
    case = Case(shape=(3, 50, 61), kernel_size=(5, 4))
    x, grad_y = case.values(dtype, 1), case.values(dtype, 2)
    norm, wide, wide_grad = case.norm(device), x.astype("f4"), grad_y.astype("f4")
    assert norm(x).tobytes() == norm(wide).astype(dtype).tobytes()
    assert norm.gradient(grad_y, x).tobytes() == norm.gradient(wide_grad, wide).astype(dtype).tobytes()
    assert norm.jvp(x, grad_y).tobytes() == norm.jvp(wide, wide_grad).astype(dtype).tobytes()


@each_dtype
@pytest.mark.parametrize("height", [1, 3])
def test_jump_in_scale(height, dtype, device):
    """A row of 20,000 samples that falls by 1e4: sums that subtract what left the window keep the old error."""
    n = 20_000
    case = Case(shape=(height, n), kernel_size=(1, 31), alpha=1.0, beta=1.0, delta=1e-12)
    values = case.values(FLOAT64)
    values[:, : n // 2] *= 1e4 if np.dtype(dtype).itemsize >= 4 else 1e2
    x = values.astype(dtype)
    error = ulp(case.norm(device)(x), case.forward(x))
    limit = 6 if DEVICE == "cpu" else sum(tolerance(dtype).forward_ulp)
    assert error[:, n // 2 :].max() <= limit
    down = np.ascontiguousarray(x.T)
    error = ulp(case.but(kernel_size=(31, 1)).norm(device)(down), case.forward(x).T)
    assert error[n // 2 :].max() <= limit


@pytest.mark.parametrize("beta", [0.75, 1.0, 5.0])
@pytest.mark.parametrize("width", [40, 56, 200])
@each_dtype
def test_rows_of_every_size(dtype, width, beta, device):
    """Rows near delta, of T beyond 2^16 and beyond 2^31 delta, in turns: each has its result by itself."""
    sizes = [1.0, 600.0, 3e5, 1.0, 600.0, 600.0, 3e5, 3e5, 600.0, 1.0, 3e5, 600.0]
    if np.dtype(dtype).name == "float16":
        sizes = [min(size, 1e4) for size in sizes]
    case = Case(shape=(len(sizes), width), kernel_size=(1, 5), alpha=1.0, beta=beta, delta=1.0)
    x = (case.values(FLOAT64, 1) * np.array(sizes)[:, None]).astype(dtype)
    grad_y = case.values(dtype, 2)
    norm = case.norm(device)
    y, grad_x = norm(x), norm.gradient(grad_y, x)
    for i in range(len(sizes)):
        assert y[i].tobytes() == norm(x[i : i + 1]).tobytes()
        assert grad_x[i].tobytes() == norm.gradient(grad_y[i : i + 1], x[i : i + 1]).tobytes()
    if np.dtype(dtype).itemsize >= 4:
        constant, factor = tolerance(dtype).forward_ulp
        expected = case.forward(x)
        normal = np.abs(expected) > np.finfo(dtype).tiny
        limit = constant + factor * beta
        if DEVICE != "cpu":  # exp2(-beta log2 T): roundings of log2 and of the product count as the product is large
            limit = limit + 2 * np.log2(np.abs(x / expected))[normal]
        assert np.all(ulp(y, expected)[normal] <= limit)


# One strange sample stays in its windows ----------------------------------------------------------------------


def inside(shape, at, kernel_size, gradient):
    """Where a sample can have an effect."""
    (up, down), (left, right) = sn.halo(kernel_size, gradient)
    # A sample `at` lies in the window of i when i - up <= at <= i + down.
    mask = np.zeros(shape, bool)
    mask[max(0, at[0] - down) : at[0] + up + 1, max(0, at[1] - right) : at[1] + left + 1] = True
    return mask


@pytest.mark.parametrize("strange", [np.nan, np.inf, -np.inf, 1e30])
@pytest.mark.parametrize("kernel_size", [1, 3, 4, (2, 5), (9, 16), 31], ids=str)
@each_dtype
def test_locality(dtype, kernel_size, strange, device):
    shape = (70, 200)
    if strange == 1e30 and np.dtype(dtype).name == "float16":
        strange = 6e4  # float16 ends at 65504
    case = Case(shape=shape, kernel_size=kernel_size, edge="zero")
    norm = case.norm(device)
    x, grad_y = case.values(dtype, 1), case.values(dtype, 2)
    y, grad_x, tangent = norm(x), norm.gradient(grad_y, x), norm.jvp(x, grad_y)
    for at in [(0, 0), (33, 77), (69, 199), (40, 64)]:
        odd = x.copy()
        odd[at] = strange
        outside = ~inside(shape, at, kernel_size, gradient=False)
        assert norm(odd)[outside].tobytes() == y[outside].tobytes()
        assert norm.jvp(odd, grad_y)[outside].tobytes() == tangent[outside].tobytes()
        far = ~inside(shape, at, kernel_size, gradient=True)
        assert norm.gradient(grad_y, odd)[far].tobytes() == grad_x[far].tobytes()
        odd_grad = grad_y.copy()
        odd_grad[at] = strange
        (up, down), (left, right) = sn.halo(kernel_size)
        touched = np.zeros(shape, bool)  # the transpose: the mirrored window
        touched[max(0, at[0] - up) : at[0] + down + 1, max(0, at[1] - left) : at[1] + right + 1] = True
        assert norm.gradient(odd_grad, x)[~touched].tobytes() == grad_x[~touched].tobytes()
        assert norm.jvp(x, odd_grad)[outside].tobytes() == tangent[outside].tobytes()


@pytest.mark.parametrize("alpha", [1e100, 1.7e308])
@each_dtype
def test_windows_of_zeros_where_alpha_leaves_the_range(dtype, alpha, device):
    """In the type of the arithmetic alpha, or a product with it, would be infinite, and infinity times zero nan."""
    case = Case(shape=(4, 5, 6))
    zeros, grad_y = np.zeros(case.shape, dtype), case.values(dtype, 2)
    expected = (grad_y.astype("f8") / 32).astype(dtype)
    for gradient in ("exact", "documented"):
        norm = sn.SpatialNorm(3, alpha, 5.0, 2.0, gradient=gradient, device=device)
        np.testing.assert_array_equal(norm(zeros), zeros)
        np.testing.assert_array_equal(norm.gradient(grad_y, zeros), expected)
        np.testing.assert_array_equal(norm.jvp(zeros, grad_y), expected)
        assert norm.parameter_gradients(grad_y, zeros) == (0, 0, 0)


@pytest.mark.parametrize("edge", EDGES)
def test_nan_fills_its_windows(edge, device):
    x = Case(shape=(20, 30)).values(FLOAT32)
    x[7, 9] = np.nan
    y = sn.spatial_norm(x, (4, 5), edge=edge, device=device)
    np.testing.assert_array_equal(np.isnan(y), inside(x.shape, (7, 9), (4, 5), gradient=False))


def test_one_bad_plane_of_many(device):
    x = Case(shape=(4, 3, 9, 9)).values(FLOAT32)
    clean = sn.spatial_norm(x, 3, device=device)
    x[1, 2] = np.nan
    y = sn.spatial_norm(x, 3, device=device)
    assert np.isnan(y[1, 2]).all()
    y[1, 2] = clean[1, 2]
    assert y.tobytes() == clean.tobytes()


@needs_float64
def test_figures(record_property, device):
    """What is reached, for the report: worst and median over betas and windows."""
    for dtype in (FLOAT32, FLOAT64):
        worst, medians = {}, []
        for beta in BETAS:
            for kernel_size in WINDOWS:
                case = Case(shape=(60, 80), kernel_size=kernel_size, alpha=1.0, beta=beta)
                x = case.values(dtype)
                error = ulp(case.norm(device)(x), case.forward(x))
                worst[beta] = max(worst.get(beta, 0), float(error.max()))
                medians.append(float(np.median(error)))
        record_property(f"{dtype.name} worst ulp by beta", worst)
        record_property(f"{dtype.name} worst median ulp", max(medians))
        constant, factor = tolerance(dtype).forward_ulp
        assert all(error <= constant + factor * abs(beta) for beta, error in worst.items())


def test_large_exponent(device):
    """T^-beta where 1 / T^beta would overflow on the way."""
    x = np.full((4, 4), 30.0, np.float32)
    y = sn.spatial_norm(x, 1, 1.0, 20.0, 1.0, device=device)
    expected = reference.spatial_forward(x, 1, 1.0, 20.0, 1.0)  # 901^-20: below float32's least number
    np.testing.assert_allclose(y, expected.astype("f4"), rtol=1e-5)
    x = np.full((4, 4), 1000.0, np.float32)
    y = sn.spatial_norm(x, 1, 1.0, 6.0, 0.0, device=device)  # 1e6^6 = 1e36, times 1e3 before the division
    np.testing.assert_allclose(y, 1e-33, rtol=1e-5)
