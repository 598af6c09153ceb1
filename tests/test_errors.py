"""Every bad input: its exception, with argument and value in the message, and `out` as it was."""

import gc
import re
import sys

import numpy as np
import pytest
from cases import BFLOAT16, DEVICE, Case

import spatialnorm as sn

X = Case(shape=(2, 5, 6)).values("f4")
NORM = sn.SpatialNorm(3, device=DEVICE)

# Construction -------------------------------------------------------------------------------------------------

NOT_A_SIZE = [0, -1, -7, 2.5, 3.0, "3", None, True, np.True_, (3, 0), (0, 3), (-2, 5), (3,), (3, 3, 3), (2.0, 3),
              (1, True), (), 2**70, (5, -(2**70)), 1 + 0j, np.float32(3), [3, "3"], {3: 3, 5.5: 5}]  # fmt: skip


@pytest.mark.parametrize("value", NOT_A_SIZE, ids=repr)
def test_kernel_size(value):
    for make in (
        sn.SpatialNorm,
        sn.halo,
        lambda k: sn.spatial_norm(X, k),
        lambda k: sn.spatial_norm_gradient(X, X, k),
        lambda k: sn.convert("caffe", k),
    ):
        with pytest.raises(ValueError, match="kernel_size") as caught:
            make(value)
        numbers = re.findall(r"\d+", repr(value))
        assert all(n in str(caught.value) for n in numbers)


@pytest.mark.parametrize("size", [(3, 5), [3, 5], np.array([3, 5]), (np.int64(3), np.uint8(5))], ids=repr)
def test_kernel_size_of_two(size):
    assert sn.SpatialNorm(size).kernel_size == (3, 5)
    assert sn.SpatialNorm(np.int16(4)).kernel_size == (4, 4)


def test_huge_window_is_refused_or_right():
    with pytest.raises(ValueError, match=r"kernel_size.*1000000000"):
        sn.SpatialNorm(1_000_000_000)


@pytest.mark.parametrize("name", ["alpha", "beta", "delta"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, np.float32("nan"), 10**400])
def test_not_finite(name, value):
    for call in (
        sn.SpatialNorm,
        lambda **kw: sn.spatial_norm(X, **kw),
        lambda **kw: sn.spatial_norm_gradient(X, X, **kw),
    ):
        with pytest.raises(ValueError, match=name) as caught:
            call(**{name: value})
        assert "finite" in str(caught.value)
        assert str(value)[:6] in str(caught.value)


@pytest.mark.parametrize("name", ["alpha", "beta", "delta"])
@pytest.mark.parametrize("value", ["1", None, 1j, [1.0], b"2", {}, object])
def test_not_a_number(name, value):
    with pytest.raises(TypeError, match=f"{name} must be a number, not {re.escape(repr(value))}"):
        sn.SpatialNorm(**{name: value})


@pytest.mark.parametrize("alpha", [-1, -1e-30, -0.25])
def test_negative_alpha(alpha):
    with pytest.raises(ValueError, match=f"alpha .*{alpha:g}"):
        sn.SpatialNorm(alpha=alpha)


@pytest.mark.parametrize("value", ["", "Zero", "reflect", None, 0, ["zero"], b"zero"], ids=repr)
def test_edge(value):
    with pytest.raises(ValueError, match=f"edge must be 'zero' or 'clamp', not {re.escape(repr(value))}"):
        sn.SpatialNorm(edge=value)


@pytest.mark.parametrize("value", ["", "apple", None, 1], ids=repr)
def test_gradient(value):
    with pytest.raises(ValueError, match=f"gradient must be 'exact' or 'documented', not {value!r}"):
        sn.SpatialNorm(gradient=value)


def test_documented_gradient_with_clamped_edge():
    with pytest.raises(ValueError, match=r"gradient.*documented.*clamp"):
        sn.SpatialNorm(gradient="documented", edge="clamp")
    with pytest.raises(ValueError, match=r"gradient.*documented.*clamp"):
        sn.spatial_norm_gradient(X, X, gradient="documented", edge="clamp")


@pytest.mark.parametrize("value", ["gpu", "CPU", "", None, 0, ["cpu"]], ids=repr)
def test_device(value):
    with pytest.raises(ValueError, match=f"device must be .*not {re.escape(repr(value))}"):
        sn.SpatialNorm(device=value)


def test_device_that_is_not_here():
    metal = [d for d in sn.devices() if d.kind == "metal"]
    if metal and metal[0].available:
        pytest.skip("this build has a Metal device")
    with pytest.raises(RuntimeError, match=r"device 'metal' cannot run here: .*Metal"):
        sn.SpatialNorm(device="metal")
    with pytest.raises(RuntimeError, match="metal"):
        sn.spatial_norm(X, device="metal")
    with pytest.raises(RuntimeError, match="M9 Ultra"):
        sn.SpatialNorm(device=sn.Device("M9 Ultra", "metal", "a machine of the future"))


@pytest.mark.parametrize(
    "value", [(0,), (0, 1, 2), (1, 1), (-1, -1), (0.0, 1), "hw", None, 3, (True, 0), (0, 2**40)], ids=repr
)
def test_axes(value):
    with pytest.raises(ValueError, match=f"axes must .*not {re.escape(repr(value))}"):
        sn.SpatialNorm(axes=value)


@pytest.mark.parametrize("axes", [(0, 3), (-4, 0), (1, -2), (5, 6), (2, -1)], ids=repr)
def test_axes_of_this_array(axes):
    with pytest.raises(ValueError, match=rf"axes .*3 axes, not {re.escape(str(axes))}"):
        sn.SpatialNorm(3, axes=axes, device=DEVICE)(X)


# Operands -----------------------------------------------------------------------------------------------------


def untouched(call, exception, *words, out=None):
    """The call raises, names every word, and leaves `out` as it was."""
    before = None if out is None else np.asarray(out).tobytes()
    with pytest.raises(exception) as caught:
        call()
    for word in words:
        assert word in str(caught.value), f"{word!r} not in {caught.value}"
    assert before is None or np.asarray(out).tobytes() == before


WRONG_DTYPES = [
    ("int32", np.ones((4, 4), "i4")),
    ("uint8", np.ones((4, 4), "u1")),
    ("bool", np.ones((4, 4), "?")),
    ("complex64", np.ones((4, 4), "c8")),
    ("complex128", np.ones((4, 4), "c16")),
    ("object", np.ones((4, 4), "O")),
    ("datetime64", np.zeros((4, 4), "M8[s]")),
    ("<U3", np.full((4, 4), "abc")),
    ("'a'", np.zeros((4, 4), [("a", "f4")])),
    (str(np.dtype(np.longdouble)), np.ones((4, 4), np.longdouble)),
]


@pytest.mark.parametrize(("name", "x"), WRONG_DTYPES, ids=[name for name, _ in WRONG_DTYPES])
def test_dtype(name, x):
    if x.dtype == np.float64:
        pytest.skip("long double is float64 on this machine")
    out = np.full(x.shape, 7, "f4")
    for call in (lambda: NORM(x, out), lambda: NORM.gradient(x, out, out), lambda: NORM.jvp(x, out, out)):
        untouched(call, TypeError, name, "astype(numpy.float32)", "float16, bfloat16, float32 or float64", out=out)
    untouched(lambda: NORM(x, out), TypeError, "x must be", out=out)
    untouched(lambda: NORM.gradient(x, out), TypeError, "grad_y must be")
    untouched(lambda: NORM.gradient(out, x), TypeError, "x must be")
    untouched(lambda: NORM.jvp(out, x), TypeError, "dx must be")
    untouched(lambda: NORM.parameter_gradients(x, out), TypeError, "grad_y must be")
    untouched(lambda: NORM(np.ones((4, 4), "f4"), x), TypeError, "out must be", name)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
def test_byte_order(dtype):
    swapped = np.ones((4, 4), np.dtype(dtype).newbyteorder())
    out = np.full((4, 4), 7, dtype)
    untouched(lambda: NORM(swapped, out), TypeError, "x must", swapped.dtype.str, "byte order", "newbyteorder", out=out)
    untouched(lambda: NORM(memoryview(swapped), out), TypeError, "x must", "byte order", out=out)
    assert (NORM(swapped.astype(swapped.dtype.newbyteorder("=")).astype("f4")) == NORM(np.ones((4, 4), "f4"))).all()


def test_mixed_dtypes():
    half = X.astype("f2")
    out = np.full_like(X, 7)
    untouched(lambda: NORM(half, out), TypeError, "x", "out", "float16", "float32", out=out)
    untouched(lambda: NORM.gradient(half, X, out), TypeError, "grad_y", "x", "float16", "float32", out=out)
    untouched(lambda: NORM.jvp(X, half, out), TypeError, "dx", "float16", "float32", out=out)
    untouched(lambda: NORM.parameter_gradients(X, half), TypeError, "grad_y", "x", "float16", "float32")
    if BFLOAT16 is not None:
        untouched(lambda: NORM(half, X.astype(BFLOAT16)), TypeError, "float16", "bfloat16")


@pytest.mark.parametrize(
    "x", [[[1.0, 2.0]], "text", 3.5, None, object(), {}, (1.0, 2.0)], ids=lambda x: type(x).__name__
)
def test_no_array(x):
    out = np.full((4, 4), 7, "f4")
    untouched(lambda: NORM(x, out), TypeError, "x must be an array", type(x).__name__, "numpy.asarray", out=out)
    if x is not None:
        untouched(lambda: NORM(X, x), TypeError, "out must be a writable array", type(x).__name__)


@pytest.mark.parametrize("shape", [(), (3,), (0,)])
def test_too_few_axes(shape):
    x = np.ones(shape, "f4")
    text = f"({shape[0]},)" if shape else "()"
    untouched(lambda: NORM(x), ValueError, "x must have at least 2 axes", text)
    untouched(lambda: NORM(x, x), ValueError, "x must have at least 2 axes", text)
    untouched(lambda: NORM.gradient(x, x), ValueError, "grad_y must have at least 2 axes", text)


@pytest.mark.parametrize("shape", [(2, 5, 7), (2, 6, 5), (5, 6), (1, 5, 6), (2, 1, 5, 6), (0, 5, 6), (60,)])
def test_shapes_that_differ(shape):
    other = np.full(shape, 7, "f4")
    text = str(shape)
    untouched(lambda: NORM(X, other), ValueError, "out", "(2, 5, 6)", text, out=other)
    untouched(lambda: NORM.gradient(X, X, other), ValueError, "out", "(2, 5, 6)", text, out=other)
    out = np.full_like(X, 7)
    untouched(lambda: NORM.gradient(X, other, out), ValueError, "grad_y", "x", "(2, 5, 6)", text, out=out)
    untouched(lambda: NORM.jvp(X, other, out), ValueError, "dx", "(2, 5, 6)", text, out=out)
    untouched(lambda: NORM.parameter_gradients(X, other), ValueError, "grad_y", "x", "(2, 5, 6)", text)


def test_read_only_output():
    out = np.full_like(X, 7)
    out.flags.writeable = False
    untouched(lambda: NORM(X, out), ValueError, "out must be writable", out=out)
    untouched(lambda: NORM(X, memoryview(out)), ValueError, "out must be writable", out=out)
    view = memoryview(bytes(16)).cast("f", (2, 2))
    untouched(lambda: NORM(X[0, :2, :2], view), ValueError, "out must be writable", out=view)
    broadcast = np.broadcast_to(np.float32(1), (2, 5, 6))
    untouched(lambda: NORM(X, broadcast), ValueError, "out must be writable")


def overlaps():
    """Outputs that share some memory with an input, and are not that input."""
    block = np.zeros((40, 40), "f4")
    yield "one row down", block[:20], block[1:21]
    yield "one column on", block[:20, :20], block[:20, 1:21]
    yield "upside down", block[:20], block[19::-1]
    yield "mirrored", block[:20], block[:20, ::-1]
    yield "transposed", block[:20, :20], block[:20, :20].T
    yield "every other row", block[:20], block[::2]
    yield "broadcast", np.broadcast_to(block[:1], (20, 40)), block[:20]
    raw = np.zeros(4000, np.uint8)
    yield "two bytes on", raw[:1600].view("f4").reshape(20, 20), raw[2:1602].view("f4").reshape(20, 20)


@pytest.mark.parametrize(("x", "out"), [pytest.param(x, out, id=name) for name, x, out in overlaps()])
def test_partial_overlap(x, out):
    untouched(lambda: NORM(x, out), ValueError, "out must", "x", "overlap", out=out)
    other = np.ones(x.shape, "f4")
    untouched(lambda: NORM.gradient(x, other, out), ValueError, "out must", "grad_y", "overlap", out=out)
    untouched(lambda: NORM.gradient(other, x, out), ValueError, "out must", "x", "overlap", out=out)
    untouched(lambda: NORM.jvp(other, x, out), ValueError, "out must", "dx", "overlap", out=out)


def test_output_that_overlaps_itself():
    block = np.zeros(100, "f4")
    for strides in ((0, 4), (4, 4), (8, 4), (20, 0)):
        out = np.lib.stride_tricks.as_strided(block, (10, 6), strides, writeable=True)
        untouched(lambda out=out: NORM(np.ones((10, 6), "f4"), out), ValueError, "out must", out=block)


def test_strides_that_overflow():
    far = np.lib.stride_tricks.as_strided(np.zeros(1, "f4"), (2, 4, 4), (2**62, 2**62, 2**62))
    out = np.full((2, 4, 4), 7, "f4")
    untouched(lambda: NORM(far, out), ValueError, "x", "64 bits", out=out)
    untouched(lambda: NORM.gradient(out, far, out), ValueError, "x", "64 bits", out=out)
    untouched(lambda: NORM(np.ones((2, 4, 4), "f4"), far), ValueError, "out", "64 bits")
    assert NORM(far[:0]).shape == (0, 4, 4)  # no sample, so nothing is far


def test_masked_array():
    masked = np.ma.masked_array(X, mask=X > 0)
    untouched(lambda: NORM(masked), TypeError, "x must not be a masked array", "filled")
    untouched(lambda: NORM(X, masked), TypeError, "out must not be a masked array")


def test_float64_on_metal():
    if DEVICE != "metal":
        pytest.skip("the device under test is not Metal")
    wide = X.astype("f8")
    untouched(lambda: NORM(wide), TypeError, "float64", "Metal")


# The call itself ----------------------------------------------------------------------------------------------


def test_wrong_calls():
    for call in (
        lambda: NORM(),
        lambda: NORM(X, X, X),
        lambda: NORM(X, X, out=X),
        lambda: NORM(X, where=X),
        lambda: NORM(out=X),
        lambda: NORM.gradient(X),
        lambda: NORM.gradient(X, X, X, X),
        lambda: NORM.jvp(X),
        lambda: NORM.parameter_gradients(X),
        lambda: NORM.parameter_gradients(X, X, X),
        lambda: sn.SpatialNorm(3, 1, 2, 3, (0, 1)),
        lambda: sn.SpatialNorm(size=3),
        lambda: sn.spatial_norm(),
    ):
        with pytest.raises(TypeError):
            call()


def test_keywords():
    expected = NORM(X)
    out = np.empty_like(X)
    for result in (NORM(x=X), NORM(X, out=None), NORM(X, None), NORM(x=X, out=out), NORM(out=out, x=X)):
        assert result.tobytes() == expected.tobytes()
    assert NORM.gradient(grad_y=X, x=X, out=out) is out
    assert NORM.jvp(X, dx=X, out=out) is out


@pytest.mark.parametrize("n", [0, -1, 2.5, "2", True, 2**40], ids=repr)
def test_threads(n):
    before = sn.get_num_threads()
    with pytest.raises(ValueError, match="n must be an int, at least 1"):
        sn.set_num_threads(n)
    assert sn.get_num_threads() == before


def test_device_from_the_environment(monkeypatch):
    monkeypatch.setenv("SPATIALNORM_DEVICE", "abacus")
    with pytest.raises(ValueError, match=r"SPATIALNORM_DEVICE must be .*'abacus'"):
        sn.SpatialNorm(3)
    with pytest.raises(ValueError, match="SPATIALNORM_DEVICE"):
        sn.spatial_norm(X, 3)
    sn.SpatialNorm(3, device="cpu")  # asked for by name: nothing to override
    monkeypatch.setenv("SPATIALNORM_DEVICE", "cpu")
    assert sn.SpatialNorm(3).device == "auto"
    assert np.array_equal(sn.spatial_norm(X, 3), sn.spatial_norm(X, 3, device="cpu"))


def test_failure_keeps_no_reference():
    out = np.full((3, 3), 7, "f4")
    gc.collect()  # what earlier tests left: a collection between the two counts would change them
    base = sys.getrefcount(X), sys.getrefcount(out)
    for _ in range(50):
        for call in (
            lambda: NORM(X, out),
            lambda: NORM(X[..., None].astype("i4"), out),
            lambda: NORM.gradient(X, out, out),
        ):
            with pytest.raises((TypeError, ValueError)):
                call()
    assert (sys.getrefcount(X), sys.getrefcount(out)) == base
