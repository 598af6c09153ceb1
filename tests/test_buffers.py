"""Everything that lends memory: the buffer protocol, DLPack, and that every loan is given back."""

import array
import ctypes
import mmap
import re
import sys

import numpy as np
import pytest
from cases import BFLOAT16, DEVICE, Case, assert_derivative, assert_forward, needs_float64

CASE = Case(shape=(6, 7), kernel_size=3)
NORM = CASE.norm(DEVICE)
VALUES = CASE.values("f4")
EXPECTED = NORM(VALUES)


def floats(code="f", values=VALUES):
    return array.array(code, values.ravel().tolist())


def test_array_module():
    x, out = floats(), array.array("f", bytes(4 * 42))
    view = memoryview(out).cast("B").cast("f", (6, 7))
    assert NORM(memoryview(x).cast("B").cast("f", (6, 7)), view) is view
    assert np.asarray(view).tobytes() == EXPECTED.tobytes()
    del view
    x.append(0)  # BufferError if the buffer were still lent
    out.append(0)
    with pytest.raises(ValueError, match=r"x must have at least 2 axes.*\(43,\)"):
        NORM(x)
    x.append(0)


@needs_float64
def test_double():
    x = memoryview(floats("d")).cast("B").cast("d", (6, 7))
    result = NORM(x)
    assert result.dtype == np.float64
    assert_forward(result, CASE.forward(VALUES.astype("f8")), CASE.beta)


def test_half_format():
    half = VALUES.astype("f2")
    assert memoryview(half).format == "e"
    assert NORM(memoryview(half)).tobytes() == NORM(half).tobytes()


def test_bytes_are_read_only():
    view = memoryview(VALUES.tobytes()).cast("f", (6, 7))
    assert NORM(view).tobytes() == EXPECTED.tobytes()
    with pytest.raises(ValueError, match="out must be writable"):
        NORM(VALUES, view)


def test_mmap():
    with mmap.mmap(-1, 4 * 42) as memory:
        memory[:] = VALUES.tobytes()
        with memoryview(memory) as raw, raw.cast("f", (6, 7)) as view:
            assert NORM(view).tobytes() == EXPECTED.tobytes()
            NORM(view, view)
        assert memory[:] == EXPECTED.tobytes()
        with pytest.raises(TypeError, match=r"x must be float16.*memoryview.*cast"):
            NORM(memory)


def test_ctypes():
    """Its buffers say '<f' and leave out the strides."""
    rows = (ctypes.c_float * 7) * 6
    x, out = rows.from_buffer_copy(VALUES.tobytes()), rows()
    assert memoryview(x).format == ("<f" if sys.byteorder == "little" else ">f")
    assert NORM(x, out) is out
    assert bytes(out) == EXPECTED.tobytes()
    assert NORM(x).tobytes() == EXPECTED.tobytes()


def test_memoryview_of_a_strided_array():
    block = np.zeros((12, 21), "f4")
    x = block[::-2, 1::3]
    x[...] = VALUES
    assert NORM(memoryview(x)).tobytes() == EXPECTED.tobytes()
    out = np.zeros((12, 21), "f4")
    view = memoryview(out)[::-2]  # rows only: memoryview slices one axis
    NORM(np.repeat(VALUES, 3, axis=1), view)
    assert (out[::2] == 0).all()


@pytest.mark.parametrize("code", ["B", "i", "l", "q", "?", "H"])
def test_other_formats(code):
    view = memoryview(bytes(8 * 8)).cast(code)
    name = np.dtype(code).name
    with pytest.raises(TypeError, match=rf"x must be float16.*not {name} \(buffer format {re.escape(repr(code))}\)"):
        NORM(view.cast("B").cast(code, (2, len(view) // 2)))


def test_released_memoryview():
    view = memoryview(VALUES.copy())
    view.release()
    with pytest.raises(ValueError, match="released"):
        NORM(view)


def test_buffers_are_given_back_after_failures():
    x, out = floats(), array.array("f", bytes(4 * 42))
    view = memoryview(x).cast("B").cast("f", (6, 7))
    bad = memoryview(out).cast("B").cast("f", (7, 6))
    for call in (lambda: NORM(view, bad), lambda: NORM.gradient(view, bad), lambda: NORM.gradient(view, view, bad),
                 lambda: NORM(view, 3), lambda: NORM.parameter_gradients(view, bad)):  # fmt: skip
        with pytest.raises((TypeError, ValueError)):
            call()
    view.release()
    bad.release()
    x.append(0)
    out.append(0)


def test_all_passes_take_buffers():
    x, g = memoryview(VALUES), memoryview(CASE.values("f4", 2))
    assert_derivative(NORM.gradient(g, x), CASE.vjp(np.asarray(g), VALUES))
    assert_derivative(NORM.jvp(x, g), CASE.jvp(VALUES, np.asarray(g)))
    assert NORM.parameter_gradients(g, x) == NORM.parameter_gradients(np.asarray(g), VALUES)


def test_matrix():
    with pytest.warns(PendingDeprecationWarning):
        matrix = np.asmatrix(VALUES)
    assert NORM(matrix).tobytes() == EXPECTED.tobytes()


# DLPack -------------------------------------------------------------------------------------------------------


class Exporter:
    """Lends an array by DLPack and nothing else."""

    def __init__(self, values, versioned=True, device=(1, 0)):
        self.values, self.versioned, self.device = values, versioned, device
        self.calls = 0

    def __dlpack_device__(self):
        return self.device

    def __dlpack__(self, **options):
        if options and not self.versioned:
            raise TypeError("unexpected keyword")
        self.calls += 1
        return self.values.__dlpack__(**options)


@pytest.mark.parametrize("versioned", [True, False])
def test_dlpack(versioned):
    x, out = VALUES.copy(), np.zeros((6, 7), "f4")
    lender, borrower = Exporter(x, versioned), Exporter(out, versioned)
    before = sys.getrefcount(x), sys.getrefcount(out)
    for _ in range(3):
        assert NORM(lender, borrower) is borrower
        assert out.tobytes() == EXPECTED.tobytes()
        out[...] = 0
    assert (sys.getrefcount(x), sys.getrefcount(out)) == before
    new = NORM(lender)
    assert type(new) is np.ndarray
    assert new.tobytes() == EXPECTED.tobytes()


@pytest.mark.parametrize("versioned", [True, False])
def test_dlpack_strides(versioned):
    block = np.zeros((12, 21), "f4")
    block[::-2, 1::3] = VALUES
    assert NORM(Exporter(block[::-2, 1::3], versioned)).tobytes() == EXPECTED.tobytes()
    fortran = np.asfortranarray(VALUES)
    assert NORM(Exporter(fortran, versioned)).tobytes() == EXPECTED.tobytes()


@pytest.mark.skipif(
    np.lib.NumpyVersion(np.__version__) < "2.1.0", reason="this NumPy exports no read-only array by DLPack"
)
def test_dlpack_read_only():
    out = np.zeros((6, 7), "f4")
    out.flags.writeable = False
    with pytest.raises(ValueError, match="out must be writable"):
        NORM(VALUES, Exporter(out))
    assert NORM(Exporter(out)).tobytes() == NORM(out).tobytes()


def test_dlpack_of_another_device():
    for kind in (2, 8):
        exporter = Exporter(VALUES, device=(kind, 0))
        with pytest.raises(TypeError, match=rf"x must be in the CPU's memory, not on DLPack device type {kind}"):
            NORM(exporter)
        assert exporter.calls == 0


@pytest.mark.parametrize(("dtype", "name"), [("i4", "int32"), ("u1", "uint8"), ("c8", "complex64"), ("?", "bool8")])
def test_dlpack_dtypes(dtype, name):
    with pytest.raises(TypeError, match=f"x must be float16.*{name}"):
        NORM(Exporter(np.ones((4, 4), dtype)))


def test_dlpack_exporter_that_fails():
    class Broken(Exporter):
        def __dlpack__(self, **options):
            raise BufferError("not today")

    with pytest.raises(BufferError, match="not today"):
        NORM(Broken(VALUES))

    class Liar(Exporter):
        def __dlpack__(self, **options):
            return "no capsule"

    with pytest.raises((TypeError, ValueError)):
        NORM(Liar(VALUES))


# PyTorch ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch", reason="PyTorch is not installed")


def test_torch(torch):
    x, out = torch.from_numpy(VALUES.copy()), torch.zeros(6, 7)
    assert NORM(x, out) is out
    assert out.numpy().tobytes() == EXPECTED.tobytes()
    assert NORM(x.T.contiguous().T).tobytes() == EXPECTED.tobytes()
    assert NORM(x[None].expand(3, 6, 7)).tobytes() == EXPECTED.tobytes() * 3


def test_torch_bfloat16(torch):
    if BFLOAT16 is None:
        pytest.skip("ml_dtypes is not installed")
    x = torch.from_numpy(VALUES.copy()).to(torch.bfloat16)
    result, out = NORM(x), torch.zeros_like(x)
    assert result.dtype == BFLOAT16
    assert NORM(x, out) is out
    assert out.view(torch.int16).numpy().tobytes() == result.tobytes()


def test_torch_that_requires_grad(torch):
    with pytest.raises((BufferError, RuntimeError), match="grad"):
        NORM(torch.zeros(4, 4, requires_grad=True))
