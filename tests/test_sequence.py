"""Several calls run as one: as one after the other, whatever they share."""

import numpy as np
import pytest
from cases import DEVICE, Case, each_dtype, lay_out

import spatialnorm as sn
from spatialnorm import _core

CASE = Case(shape=(2, 3, 13, 17))


def norms(device, n=4):
    return [CASE.but(kernel_size=2 + i, beta=0.5 + 0.25 * i).norm(device) for i in range(n)]


@each_dtype
@pytest.mark.parametrize("layout", ["C", "channels last", "off by odd bytes"])
def test_chain(layout, dtype, device):
    """Each reads what the one before wrote, also where that must be copied first."""
    a, b, c, d = norms(device)
    x, grad_y = lay_out(CASE.values(dtype, 1), layout), lay_out(CASE.values(dtype, 2), layout)
    y, z, dz, dx = (lay_out(np.zeros_like(x), layout) for _ in range(4))
    _core.run_sequence([(a, False, (x, y)), (b, False, (y, z)), (c, True, (grad_y, z, dz)), (d, True, (dz, y, dx))])
    expected = [a(x, y.copy("K")), b(y, z.copy("K"))]
    assert y.tobytes() == expected[0].tobytes()
    assert z.tobytes() == expected[1].tobytes()
    assert dz.tobytes() == c.gradient(grad_y, z, dz.copy("K")).tobytes()
    assert dx.tobytes() == d.gradient(dz, y, dx.copy("K")).tobytes()


def test_in_place_and_written_twice(device):
    a, b, c, _ = norms(device)
    x = CASE.values("f4")
    first = a(x)
    y, z = x.copy(), np.empty_like(x)
    _core.run_sequence([(a, False, (y, y)), (b, False, (y, z)), (c, False, (z, y)), (a, False, (y, z))])
    expected = c(b(first))
    assert y.tobytes() == expected.tobytes()
    assert z.tobytes() == a(expected).tobytes()


def test_nothing_and_empty_images(device):
    (a,) = norms(device, 1)
    _core.run_sequence([])
    empty = np.empty((0, 4), "f4")
    x = CASE.values("f4")
    y = np.empty_like(x)
    _core.run_sequence([(a, False, (empty, empty)), (a, False, (x, y)), (a, False, (empty, empty.copy()))])
    assert y.tobytes() == a(x).tobytes()


def test_everything_is_checked_before_anything_runs(device):
    (a,) = norms(device, 1)
    x, y = CASE.values("f4"), np.full(CASE.shape, 7, "f4")
    with pytest.raises(ValueError, match="overlap"):
        _core.run_sequence([(a, False, (x, y)), (a, False, (y[:, :2], y[:, 1:]))])
    assert (y == 7).all()
    with pytest.raises(ValueError, match="one shape"):
        _core.run_sequence([(a, False, (x, y)), (a, False, (x, y[:1]))])
    assert (y == 7).all()


def test_devices_may_differ():
    a, b = CASE.norm(DEVICE), CASE.norm("cpu")
    x = CASE.values("f4")
    y, z = np.empty_like(x), np.empty_like(x)
    _core.run_sequence([(a, False, (x, y)), (b, False, (y, z)), (a, False, (z, y))])
    assert y.tobytes() == sn.SpatialNorm.__call__(a, b(a(x))).tobytes()
