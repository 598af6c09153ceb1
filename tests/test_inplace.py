"""`out` may be an input itself: the result is as from a separate output, also with several threads."""

import numpy as np
import pytest
from cases import EDGES, LAYOUTS, WINDOWS, Case, cpu_only, each_dtype, lay_out

import spatialnorm as sn


@pytest.fixture(params=[1, 2, 5])
def threads(request):
    before = sn.get_num_threads()
    sn.set_num_threads(request.param)
    yield request.param
    sn.set_num_threads(before)


def check(case, dtype, layout, device):
    norm = case.norm(device)
    x, grad_y = case.values(dtype, 1), case.values(dtype, 2)
    # One layout for all: which kernel Metal takes, and so the last bit, may depend on it.
    a, b = lay_out(x, layout), lay_out(grad_y, layout)
    apart = [norm(a, lay_out(x, layout)), norm.gradient(b, a, lay_out(x, layout)), norm.jvp(a, b, lay_out(x, layout))]
    apart = [np.ascontiguousarray(y).tobytes() for y in apart]

    def copies():
        return lay_out(x, layout), lay_out(grad_y, layout)

    a, _ = copies()
    assert norm(a, a) is a
    assert np.ascontiguousarray(a).tobytes() == apart[0]
    for call, expected, swap in ((norm.gradient, apart[1], True), (norm.jvp, apart[2], False)):
        for position in (0, 1):
            operands = copies()[::-1] if swap else copies()
            out = operands[position]
            other = operands[1 - position].copy()
            assert call(*operands, out) is out
            assert np.ascontiguousarray(out).tobytes() == expected
            np.testing.assert_array_equal(operands[1 - position], other)


@each_dtype
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout(layout, dtype, device):
    check(Case(shape=(2, 3, 13, 17), kernel_size=(4, 5)), dtype, layout, device)


@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize("kernel_size", WINDOWS, ids=str)
def test_every_window(kernel_size, edge, device):
    check(Case(shape=(40, 45), kernel_size=kernel_size, edge=edge), np.dtype("f4"), "C", device)


@cpu_only
@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize("kernel_size", [1, 3, 4, 9, (31, 2), (200, 300)], ids=str)
def test_several_threads_on_one_plane(kernel_size, edge, threads, device):
    check(Case(shape=(700, 411), kernel_size=kernel_size, edge=edge), np.dtype("f4"), "C", device)


@cpu_only
@each_dtype
def test_several_threads_on_channels_last(dtype, threads, device):
    case = Case(shape=(2, 90, 80, 70), kernel_size=(5, 4), axes=(1, 2))
    check(case, dtype, "C", device)
    check(case.but(kernel_size=(3, 75)), dtype, "C", device)  # groups of channels


@cpu_only
def test_gradient_where_grad_y_is_x(threads, device):
    """All three operands one array."""
    case = Case(shape=(300, 300))
    x = case.values("f4")
    expected = case.norm(device).gradient(x, x)
    assert case.norm(device).gradient(x, x, x) is x
    assert x.tobytes() == expected.tobytes()


def test_same_memory_through_another_object(device):
    """In place is a matter of memory, not of the object."""
    case = Case(shape=(20, 30))
    x = case.values("f4")
    expected = case.norm(device)(x)
    case.norm(device)(memoryview(x), x[:])
    assert x.tobytes() == expected.tobytes()
