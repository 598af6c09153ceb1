"""Every layout for every operand: results as from plain arrays, and nothing written beside the output."""

import numpy as np
import pytest
from cases import EDGES, LAYOUTS, Blank, Case, assert_derivative, assert_forward, cpu_only, each_dtype, lay_out

import spatialnorm as sn

CASE = Case(shape=(2, 3, 13, 17), kernel_size=(4, 5), beta=0.75)
WIDE = Case(shape=(2, 70, 300), kernel_size=(5, 9))

each_layout = pytest.mark.parametrize("layout", LAYOUTS)


def check_forward(case, x, out, device):
    assert case.norm(device)(x, out.view) is out.view
    assert_forward(out.view, case.forward(x), case.beta)
    out.assert_only_written()


@each_dtype
@each_layout
@pytest.mark.parametrize("case", [CASE, WIDE], ids=["small", "wide"])
def test_input(case, layout, dtype, device):
    x = lay_out(case.values(dtype), layout)
    check_forward(case, x, Blank(case.shape, dtype, "C"), device)


@each_dtype
@each_layout
@pytest.mark.parametrize("case", [CASE, WIDE], ids=["small", "wide"])
def test_output(case, layout, dtype, device):
    check_forward(case, case.values(dtype), Blank(case.shape, dtype, layout), device)


@each_dtype
@each_layout
@pytest.mark.parametrize("other", ["C", "Fortran", "reversed", "channels last"])
def test_input_and_output(other, layout, dtype, device):
    x = lay_out(CASE.values(dtype), layout)
    check_forward(CASE, x, Blank(CASE.shape, dtype, other), device)


@each_dtype
@each_layout
@pytest.mark.parametrize("edge", EDGES)
def test_derivatives(edge, layout, dtype, device):
    case = CASE.but(edge=edge)
    norm = case.norm(device)
    plain = case.values(dtype, 1), case.values(dtype, 2)
    x, grad_y = lay_out(plain[0], layout), plain[1]
    for a, b in ((x, grad_y), (plain[0], lay_out(plain[1], layout)), (x, lay_out(plain[1], "channels last"))):
        out = Blank(case.shape, dtype, layout)
        assert_derivative(norm.gradient(b, a, out.view), case.vjp(b, a))
        out.assert_only_written()
        out = Blank(case.shape, dtype, "Fortran")
        assert_derivative(norm.jvp(a, b, out.view), case.jvp(a, b))
        out.assert_only_written()
        np.testing.assert_allclose(
            norm.parameter_gradients(b, a), norm.parameter_gradients(plain[1], plain[0]), rtol=1e-4, atol=1e-3
        )


@cpu_only
@each_dtype
@each_layout
def test_bits_do_not_depend_on_the_layout(layout, dtype, device):
    x, grad_y = CASE.values(dtype, 1), CASE.values(dtype, 2)
    norm = CASE.norm(device)
    a, b = lay_out(x, layout), lay_out(grad_y, layout)
    assert norm(a).tobytes() == norm(x).tobytes()
    assert norm.gradient(b, a).tobytes() == norm.gradient(grad_y, x).tobytes()
    assert norm.jvp(a, b).tobytes() == norm.jvp(x, grad_y).tobytes()


@each_dtype
@pytest.mark.parametrize("axis", [0, 1, 2, 3])
def test_broadcast_input(axis, dtype, device):
    """A zero stride in any axis, also in both spatial ones."""
    shape = tuple(1 if k == axis else n for k, n in enumerate(CASE.shape))
    x = np.broadcast_to(Case(shape=shape).values(dtype), CASE.shape)
    check_forward(CASE, x, Blank(CASE.shape, dtype, "C"), device)
    one = np.broadcast_to(np.asarray(1.5, dtype), CASE.shape)
    check_forward(CASE, one, Blank(CASE.shape, dtype, "C"), device)
    norm = CASE.norm(device)
    assert_derivative(norm.gradient(one, x), CASE.vjp(one, x))
    assert_derivative(norm.jvp(x, one), CASE.jvp(x, one))


@each_dtype
def test_sliding_windows_as_input(dtype, device):
    """Overlapping planes: every stride is one element."""
    line = Case(shape=(60,)).values(dtype)
    x = np.lib.stride_tricks.sliding_window_view(line, (40,))[:, ::2]
    case = Case(shape=x.shape, kernel_size=3)
    check_forward(case, x, Blank(x.shape, dtype, "C"), device)


@each_dtype
def test_interleaved_input_and_output(dtype, device):
    """Even columns to odd columns of one array: they share a span of memory, but no byte."""
    block = Case(shape=(20, 40)).values(dtype)
    x, out = block[:, ::2], block[:, 1::2]
    case = Case(shape=x.shape, kernel_size=3)
    expected = case.forward(x)
    assert case.norm(device)(x, out) is out
    assert_forward(out, expected, case.beta)
    rows = Case(shape=(40, 20)).values(dtype)
    expected = case.but(shape=(20, 20)).forward(rows[::2])
    assert_forward(case.norm(device)(rows[::2], rows[1::2]), expected, case.beta)


@each_dtype
def test_every_byte_offset(dtype, device):
    case = Case(shape=(6, 21), kernel_size=3)
    plain = case.values(dtype)
    itemsize = plain.itemsize
    expected = case.norm(device)(plain)
    for shift in range(1, itemsize + 1):
        raw = np.zeros(plain.nbytes + 2 * itemsize, np.uint8)
        x = raw[shift : shift + plain.nbytes].view(plain.dtype).reshape(plain.shape)
        x[...] = plain
        space = np.full(plain.nbytes + 2 * itemsize, 0xA5, np.uint8)
        out = space[shift : shift + plain.nbytes].view(plain.dtype).reshape(plain.shape)
        case.norm(device)(x, out)
        assert_forward(out, case.forward(plain), case.beta)
        np.testing.assert_allclose(out.astype("f8"), expected.astype("f8"), rtol=1e-2)
        assert (space[:shift] == 0xA5).all()
        assert (space[shift + plain.nbytes :] == 0xA5).all()


def test_strides_that_are_no_multiple_of_the_item(device):
    """A field of packed records."""
    records = np.zeros((7, 9), np.dtype([("tag", "u1"), ("value", "f4"), ("rest", "u2")]))
    values = Case(shape=(7, 9)).values("f4")
    records["value"] = values
    case = Case(shape=(7, 9), kernel_size=3)
    assert records["value"].strides[1] == 7
    assert_forward(case.norm(device)(records["value"]), case.forward(values), case.beta)
    out = records["value"]
    case.norm(device)(values, out)
    assert_forward(records["value"], case.forward(values), case.beta)
    assert (records["tag"] == 0).all()
    assert (records["rest"] == 0).all()


def test_memory_mapped_subclass(tmp_path, device):
    case = Case(shape=(2, 30, 40))
    x = np.memmap(tmp_path / "x", np.float32, "w+", shape=case.shape)
    x[...] = case.values("f4")
    out = np.memmap(tmp_path / "y", np.float32, "w+", shape=case.shape)
    assert case.norm(device)(x, out) is out
    assert_forward(np.asarray(out), case.forward(x), case.beta)
    assert type(case.norm(device)(x)) is np.ndarray


def test_other_subclasses(device):
    class Tagged(np.ndarray):
        pass

    case = Case(shape=(6, 7))
    x = case.values("f4").view(Tagged)
    assert_forward(np.asarray(case.norm(device)(x)), case.forward(np.asarray(x)), case.beta)
    assert type(case.norm(device)(x)) is np.ndarray


def test_page_aligned_arrays(device):
    case = Case(shape=(2, 33, 47))
    x, out = sn.empty(case.shape, "f4"), sn.empty_like(case.values("f4"))
    x[...] = case.values("f4")
    case.norm(device)(x, out)
    assert_forward(out, case.forward(x), case.beta)
