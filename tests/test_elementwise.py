"""Addition and conversion: steps of graphs, on every device, dtype and layout; NumPy judges."""

import os
import subprocess
import sys

import numpy as np
import pytest
from cases import BFLOAT16, DEVICE, DTYPES, each_dtype

from spatialnorm import _core
from spatialnorm._devices import device_number

ADD = _core.Elementwise("add", device_number(DEVICE))
CONVERT = _core.Elementwise("convert", device_number(DEVICE))
SHAPE = (2, 3, 13, 37)

LAYOUTS = {
    "C": lambda a: a.copy(),
    "channels last": lambda a: np.ascontiguousarray(a.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2),
    "transposed": lambda a: np.ascontiguousarray(a.swapaxes(2, 3)).swapaxes(2, 3),
    "padded": lambda a: np.pad(a, [(0, 0), (0, 0), (0, 0), (1, 4)])[..., 1:-4],
    "every second": lambda a: np.repeat(a, 2, axis=-1)[..., ::2],
    "backwards": lambda a: a[..., ::-1, ::-1].copy()[..., ::-1, ::-1],
    "odd bytes": lambda a: at_odd_byte(a),
}


def at_odd_byte(a):
    memory = np.zeros(a.nbytes + 1, "u1")
    view = memory[1:].view(a.dtype).reshape(a.shape)
    view[...] = a
    return view


def values(dtype, seed=0, shape=SHAPE):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def special(dtype):
    """Powers of two from beyond the least to beyond the greatest number, their neighbours, and what is no number."""
    with np.errstate(over="ignore"):
        powers = np.ldexp(1.0, np.arange(-160, 130))
        numbers = np.concatenate([powers, powers * 1.5, powers * (1 + 2.0**-11), powers * (1 + 3 * 2.0**-11)])
        numbers = np.concatenate([numbers, powers * (1 + 2.0**-8), powers * (1 + 3 * 2.0**-8), [65519, 65520, 0]])
        numbers = np.concatenate([numbers, -numbers, [np.inf, -np.inf, np.nan]])
        return numbers.astype(dtype).reshape(-1, 1)


def same(result, expected):
    """Compare bits, those of NaNs excepted."""
    assert result.dtype == expected.dtype
    with np.errstate(invalid="ignore"):  # signalling NaNs
        nan = np.isnan(expected)
        np.testing.assert_array_equal(np.isnan(result), nan)
    bits = f"u{expected.itemsize}"
    np.testing.assert_array_equal(
        np.ascontiguousarray(result).view(bits)[~nan], np.ascontiguousarray(expected).view(bits)[~nan]
    )


def convert(x, dtype):
    with np.errstate(all="ignore"):
        return x.astype(dtype)


@each_dtype
@pytest.mark.parametrize("layout", LAYOUTS)
def test_addition(layout, dtype, device):
    a, b = LAYOUTS[layout](values(dtype, 1)), values(dtype, 2)
    for left, right, form in [(a, b, "C"), (b, a, layout), (a, a, layout)]:
        out = LAYOUTS[form](np.zeros_like(a))
        assert ADD(left, right, out) is out
        same(out, left + right)


@each_dtype
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("to", DTYPES, ids=lambda d: getattr(d, "name", None))
def test_conversion(to, layout, dtype, device):
    x = LAYOUTS[layout](values(dtype))
    for form in ("C", layout):
        out = LAYOUTS[form](np.zeros(SHAPE, to))
        assert CONVERT(x, out) is out
        same(out, expected_conversion(x, to))


def expected_conversion(x, to):
    """NumPy's, but for float64 to bfloat16, which ml_dtypes rounds twice."""
    if x.dtype != np.float64 or to != BFLOAT16:
        return convert(x, to)
    _, exponent = np.frexp(x)
    least = np.maximum(exponent - 8, -133)  # exponent of the unit in the last place
    with np.errstate(all="ignore"):
        return np.ldexp(np.rint(np.ldexp(x, -least)), least).astype(to)  # the rounding is done: the cast is exact


@each_dtype
@pytest.mark.parametrize("to", DTYPES, ids=lambda d: getattr(d, "name", None))
def test_conversion_of_the_smallest_and_the_largest(to, dtype, device):
    x = special(dtype)
    if dtype == np.float64:  # what two roundings would get wrong
        ties = special("f4").astype("f8")
        x = np.concatenate([x, ties * (1 + 2.0**-40), ties * (1 - 2.0**-40), [[1e300], [-1e300], [1e-300]]])
    out = np.zeros(x.shape, to)
    CONVERT(x, out)
    same(out, expected_conversion(x, to))


@each_dtype
def test_addition_of_the_smallest_and_the_largest(dtype, device):
    a = special(dtype)
    for b in (a, np.roll(a, 1), -a, a[::-1]):
        out = np.zeros_like(a)
        ADD(a, b, out)
        with np.errstate(all="ignore"):
            same(out, a + b)


@each_dtype
def test_every_16_bit_number(dtype, device):
    if dtype.itemsize != 2:
        pytest.skip("the dtype has more numbers than can be listed")
    x = np.arange(1 << 16, dtype="u2").view(dtype).reshape(256, 256)
    wide = np.zeros(x.shape, "f4")
    CONVERT(x, wide)
    same(wide, convert(x, "f4"))
    back = np.zeros_like(x)
    CONVERT(wide, back)
    same(back, x)
    copied = np.zeros_like(x)
    CONVERT(x, copied)
    same(copied, x)


@each_dtype
@pytest.mark.parametrize("shape", [(0, 4), (3, 0), (2, 0, 5, 7), (1, 1), (1, 1, 1, 1), (5, 1), (1, 9)])
def test_small_and_empty(shape, dtype, device):
    a = values(dtype, 3, shape)
    out = np.zeros_like(a)
    same(ADD(a, a, out), a + a)
    same(CONVERT(a, np.zeros(shape, "f4")), a.astype("f4"))


def test_many_axes(device):
    a = values("f4", 4, (2, 3) * 5)[:, ::2, :, ::2, :, ::2, :, ::2, :, ::2]
    assert a.ndim == 10
    out = np.zeros_like(a)
    same(ADD(a, a[::-1], out), a + a[::-1])
    half = np.zeros(a.shape, "f2")
    same(CONVERT(a, half), a.astype("f2"))


def test_large_work_by_several_threads(device):
    a, b = values("f4", 5, (3, 700, 613)), values("f4", 6, (3, 700, 613))
    for left in (a, a.transpose(0, 2, 1).copy().transpose(0, 2, 1), a[:, ::-1]):
        out = np.zeros_like(a)
        same(ADD(left, b, out), left + b)
        half = np.zeros(a.shape, "f2")
        same(CONVERT(left, half), left.astype("f2"))


@each_dtype
def test_in_place(dtype, device):
    a, b = values(dtype, 1), values(dtype, 2)
    for operands, target in [((a.copy(), b), 0), ((b, a.copy()), 1)]:
        ADD(*operands, operands[target])
        same(operands[target], a + b)
    both = a.copy()
    ADD(both, both, both)
    same(both, a + a)
    CONVERT(both, both)
    same(both, a + a)


def test_in_place_between_dtypes_of_one_size(device):
    if BFLOAT16 is None:
        pytest.skip("ml_dtypes is not installed")
    memory = values("f2")
    expected = memory.astype(BFLOAT16)
    same(CONVERT(memory, memory.view(BFLOAT16)), expected)


def test_broadcast_input(device):
    row = np.broadcast_to(values("f4", 1, (1, 37)), (13, 37))
    out = np.zeros((13, 37), "f4")
    same(ADD(row, row, out), row + row)


def refused(kind, message, operation, *operands):
    before = operands[-1].tobytes()
    with pytest.raises(kind, match=message):
        operation(*operands)
    assert operands[-1].tobytes() == before


def test_errors(device):
    a, b = values("f4"), np.full(SHAPE, 7, "f4")
    refused(ValueError, r"a and b must have one shape.*\(2, 3, 13, 37\) and \(2, 3, 13\)", ADD, a, a[..., 0], b)
    refused(ValueError, "x and out must have one shape", CONVERT, a, b[:1])
    refused(TypeError, "a and b must have one dtype, but are float32 and float16", ADD, a, a.astype("f2"), b)
    refused(TypeError, "a and out must have one dtype", ADD, a, a, b.astype("f2"))
    refused(TypeError, "not int32", CONVERT, a.astype("i4"), b)
    refused(ValueError, "at least 2 axes", CONVERT, a.ravel(), b.ravel())
    refused(ValueError, "out must be b itself or share no memory with it", ADD, a[:, 1:], b[:, :2], b[:, 1:])
    memory = np.zeros((4, 8), "f4")
    refused(
        ValueError, "out must share no memory with x.*float16 and float32", CONVERT, memory, memory.view("f2")[:, :8]
    )
    refused(ValueError, "out", ADD, a, a, np.broadcast_to(np.zeros(37, "f4"), SHAPE))
    refused(TypeError, "add takes 3 arrays, not 2", ADD, a, b)
    with pytest.raises(TypeError, match=r"b must be a numpy.ndarray, not list"):
        ADD(a, [1.0], b)
    with pytest.raises(ValueError, match="name must be 'add' or 'convert', not 'multiply'"):
        _core.Elementwise("multiply", device_number(DEVICE))


def test_metal_has_no_float64(device):
    if device != "metal":
        pytest.skip("about the Metal device")
    a = values("f4")
    with pytest.raises(TypeError, match="no float64"):
        CONVERT(a, a.astype("f8"))
    with pytest.raises(TypeError, match="no float64"):
        ADD(a.astype("f8"), a.astype("f8"), a.astype("f8"))


PROGRAM = """
import hashlib, sys
import numpy as np
from spatialnorm import _core
bits = np.random.default_rng(7).integers(0, 1 << 32, (3, 1237), "u4")
x, h = bits.view("f4"), bits.astype("u2").view("f2")
add, convert = (_core.Elementwise(name, 0) for name in ("add", "convert"))
out = [add(h, h, np.zeros_like(h)), add(h, np.where(np.isnan(h[::-1]), h.dtype.type(1), h[::-1]), np.zeros_like(h))]
out += [convert(x, np.zeros(x.shape, "f2")), convert(h, np.zeros(h.shape, "f4"))]
print(_core.isa(), hashlib.sha256(b"".join(a.tobytes() for a in out)).hexdigest())
"""


def test_same_bits_on_every_instruction_set():
    """NaNs too, where one operand has them."""
    hashes = {}
    for isa in ("scalar", "avx2", "avx512", "neon"):
        made = subprocess.run(
            [sys.executable, "-c", PROGRAM], env={**os.environ, "SPATIALNORM_ISA": isa}, capture_output=True, text=True
        )
        if made.returncode == 0:
            ran, digest = made.stdout.split()
            assert ran == isa
            hashes[isa] = digest
        else:
            assert "cannot run" in made.stderr
    assert "scalar" in hashes
    assert len(set(hashes.values())) == 1, hashes
