"""The forward pass against the reference, everywhere."""

import numpy as np
import pytest
from cases import (
    BETAS,
    DTYPES,
    EDGES,
    FLOAT32,
    SHAPES,
    WINDOWS,
    Case,
    assert_forward,
    cpu_only,
    each_case,
    each_dtype,
)

import spatialnorm as sn


@each_dtype
@each_case
def test_forward(case, dtype, device):
    x = case.values(dtype)
    assert_forward(case.norm(device)(x), case.forward(x), case.beta)


@each_dtype
@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_shape_with_every_window(shape, edge, dtype, device):
    for kernel_size in WINDOWS:
        case = Case(shape=shape, kernel_size=kernel_size, edge=edge)
        x = case.values(dtype)
        assert_forward(case.norm(device)(x), case.forward(x), case.beta)


@pytest.mark.parametrize("beta", [*BETAS, 0, -1, 2, 0.25, 17.5])
def test_every_beta(beta, device):
    case = Case(shape=(2, 40, 50), kernel_size=(5, 4), beta=beta)
    x = case.values(FLOAT32)
    assert_forward(case.norm(device)(x), case.forward(x), beta)


@pytest.mark.parametrize("width", range(1, 70))
def test_every_width(width, device):
    for kernel_size in (2, 3, 5, 12):
        case = Case(shape=(5, width), kernel_size=kernel_size)
        x = case.values(FLOAT32)
        assert_forward(case.norm(device)(x), case.forward(x), case.beta)


@pytest.mark.parametrize("height", range(1, 40))
def test_every_height(height, device):
    for kernel_size in (2, 3, 9, 14, 31):
        case = Case(shape=(height, 6), kernel_size=kernel_size, edge="clamp")
        x = case.values(FLOAT32)
        assert_forward(case.norm(device)(x), case.forward(x), case.beta)


@pytest.mark.parametrize("channels", [1, 2, 3, 5, 8, 16, 17, 63, 64, 65, 130])
def test_every_number_of_channels_last(channels, device):
    for kernel_size in (3, (2, 9)):
        case = Case(shape=(2, 9, 11, channels), axes=(1, 2), kernel_size=kernel_size)
        x = case.values(FLOAT32)
        assert_forward(case.norm(device)(x), case.forward(x), case.beta)


def test_channels_last_equals_channels_first(rng, device):
    """NHWC is a view of NCHW: the same planes, so the same bits."""
    x = rng.normal(size=(2, 7, 33, 29)).astype("f4")
    last = np.ascontiguousarray(x.transpose(0, 2, 3, 1))
    first = sn.spatial_norm(x, (4, 5), device=device)
    result = sn.spatial_norm(last, (4, 5), axes=(1, 2), device=device)
    np.testing.assert_allclose(result.transpose(0, 3, 1, 2), first, rtol=1e-5)


@cpu_only
@each_dtype
def test_channels_last_has_the_bits_of_channels_first(dtype, rng):
    x = rng.normal(size=(2, 7, 33, 29)).astype(dtype)
    first = sn.spatial_norm(x, (4, 5), device="cpu")
    result = sn.spatial_norm(np.ascontiguousarray(x.transpose(0, 2, 3, 1)), (4, 5), axes=(1, 2), device="cpu")
    assert np.ascontiguousarray(result.transpose(0, 3, 1, 2)).tobytes() == first.tobytes()


@each_dtype
def test_result_is_a_new_array_in_c_order(dtype, device):
    x = Case().values(dtype)[:, :, ::-1].swapaxes(2, 3)
    y = sn.spatial_norm(x, 3, device=device)
    assert type(y) is np.ndarray
    assert y.dtype == x.dtype
    assert y.flags.c_contiguous
    assert y.flags.writeable


@each_dtype
def test_out_is_returned_itself(dtype, device):
    case = Case()
    x, out = case.values(dtype), np.empty(case.shape, dtype)
    assert case.norm(device)(x, out) is out
    assert case.norm(device)(x, out=out) is out
    assert_forward(out, case.forward(x), case.beta)


def test_measured_value_of_the_framework(device):
    """4 x 4 ramp, defaults, window 3: 2.48832257e-05 on an Apple M4 Pro, by a third party; ideal 2.48832e-05."""
    ramp = np.arange(1, 17, dtype=np.float32).reshape(4, 4)
    y = sn.SpatialNorm(3, device=device)(ramp)
    assert y[0, 0] == pytest.approx(2.48832257e-05, rel=3e-6)
    assert y[0, 0] == pytest.approx(2.48832e-05, rel=3e-6)
    assert sn.SpatialNorm(3) == sn.SpatialNorm(3, alpha=1, beta=5, delta=1)


def test_even_window_leans_to_the_top_left(device):
    """With k = 2 the framework's window is [i-1, i], by a third party's measurement."""
    x = np.zeros((5, 5), np.float32)
    x[2, 2] = 3
    energy = sn.spatial_norm(np.full((5, 5), 1e-3, "f4") + x, 2, beta=1, delta=0.01, device=device)
    touched = energy < 0.09  # elsewhere 1e-3 / 0.01 = 0.1; here divided by the large sample's energy
    touched[2, 2] = True
    assert np.argwhere(touched).tolist() == [[2, 2], [2, 3], [3, 2], [3, 3]]


@pytest.mark.parametrize("shape", [(0, 0), (0, 5), (5, 0), (0, 3, 4, 4), (2, 0, 4, 4), (2, 3, 0, 4), (1, 1, 4, 0)])
def test_zero_size(shape, device):
    for dtype in DTYPES[:1]:
        x = np.empty(shape, dtype)
        norm = sn.SpatialNorm(3, device=device)
        assert norm(x).shape == shape
        assert norm.gradient(x, x).shape == shape
        assert norm.jvp(x, x).shape == shape
        assert norm.parameter_gradients(x, x) == (0, 0, 0)
        out = x.copy()
        assert norm(x, out) is out


def test_many_axes(rng, device):
    x = rng.normal(size=(1,) * 20 + (2, 3, 4, 5)).astype("f4")
    y = sn.spatial_norm(x, 3, device=device)
    np.testing.assert_array_equal(y.reshape(-1, 4, 5), sn.spatial_norm(x.reshape(-1, 4, 5), 3, device=device))


def test_doctests():
    import doctest

    import spatialnorm._convert
    import spatialnorm.spatial

    for module in (sn, spatialnorm.spatial, spatialnorm._convert):
        failed, tried = doctest.testmod(module)
        assert tried > 0
        assert failed == 0
