"""Objects that are not what they say, or do not stay it: an error or a right result, never a crash."""

import ctypes
import mmap
import threading
import warnings
from unittest.mock import Mock

import numpy as np
import pytest
from cases import DEVICE

import spatialnorm as sn

NORM = sn.SpatialNorm(3, device=DEVICE)
X = np.random.default_rng(1).normal(size=(6, 8)).astype("f4")
RIGHT = NORM(X).tobytes()


class Exporter:
    """A DLPack exporter that runs code of its own before it lends `array`."""

    def __init__(self, array, before=lambda: None):
        self.array, self.before = array, before

    def __dlpack_device__(self):
        return (1, 0)

    def __dlpack__(self, **options):
        self.before()
        return self.array.__dlpack__(**options)


def reshape(array, shape):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NumPy 2.5 deprecates setting the shape
        array.shape = shape


def churn():
    """Give memory that was freed to others, so that a stale pointer is seen."""
    return [np.ones((3,) * n) for n in (1, 2, 3, 5) for _ in range(50)]


@pytest.mark.parametrize("call", [NORM.gradient, NORM.jvp, NORM.parameter_gradients, NORM.bind_gradient])
def test_an_operand_reshapes_one_before_it(call):
    array = np.ones((64, 64), "f4")

    def before():
        reshape(array, (1, 1, 1, 2, 2048))
        churn()

    with pytest.raises(ValueError, match=r"\(1, 1, 1, 2, 2048\) and \(64, 64\)"):
        call(array, Exporter(np.ones((64, 64), "f4"), before))


def test_the_output_reshapes_the_input():
    array, out = np.ones((64, 64), "f4"), np.ones((64, 64), "f4")

    def before():
        reshape(array, (4096, 1))
        churn()

    with pytest.raises(ValueError, match=r"\(4096, 1\) and \(64, 64\)"):
        NORM(array, Exporter(out, before))


def test_an_operand_makes_the_output_read_only():
    class Output(np.ndarray):
        pass

    out = np.zeros((6, 8), "f4").view(Output)

    def before():
        out.flags.writeable = False

    with pytest.raises(ValueError, match="out must be writable"):
        NORM(Exporter(X, before), out)
    assert not out.any()


@pytest.mark.parametrize("error", [RuntimeError, MemoryError, KeyboardInterrupt, SystemExit, BufferError])
def test_exporters_that_fail(error):
    def before():
        raise error("on purpose")

    for call in (
        lambda: NORM(Exporter(X, before)),
        lambda: NORM(X, Exporter(X.copy(), before)),
        lambda: NORM.gradient(memoryview(X), Exporter(X, before)),
        lambda: NORM.bind(Exporter(X, before)),
    ):
        with pytest.raises(error, match="on purpose"):
            call()


def test_exporters_that_lend_something_else_each_time():
    arrays = [X, X.astype("f8"), X[:, ::2], X[0], X.astype("i4"), np.ones((0, 3), "f4")]
    if DEVICE != "cpu":
        arrays.pop(1)
    turn = iter(arrays * 3)
    expected = {str(a.dtype) + str(a.shape): a for a in arrays}
    for _ in range(len(arrays) * 3):
        array = next(turn)
        try:
            result = NORM(Exporter(array))
        except (TypeError, ValueError):
            assert array.ndim == 1 or array.dtype == np.int32
        else:
            assert result.tobytes() == NORM(expected[str(array.dtype) + str(array.shape)]).tobytes()


NO_CAPSULES = [None, 5, "text", object(), (), [], X.__dlpack__(), type, Mock(), NORM, iter(()), {1: 2}]


@pytest.mark.parametrize("what", NO_CAPSULES, ids=lambda what: type(what).__name__)
def test_a_capsule_that_is_none(what):
    class Wrong(Exporter):
        def __dlpack__(self, **options):
            return what

    if type(what).__name__ == "PyCapsule":
        assert NORM(Wrong(X)).tobytes() == RIGHT
        assert NORM(Wrong(X)).tobytes() == RIGHT
        return
    with pytest.raises((TypeError, ValueError)):
        NORM(Wrong(X))


class Tensor(ctypes.Structure):
    _fields_ = [
        *(("data", ctypes.c_void_p), ("device_type", ctypes.c_int32), ("device_id", ctypes.c_int32)),
        *(("ndim", ctypes.c_int32), ("code", ctypes.c_uint8), ("bits", ctypes.c_uint8), ("lanes", ctypes.c_uint16)),
        *(("shape", ctypes.POINTER(ctypes.c_int64)), ("strides", ctypes.POINTER(ctypes.c_int64))),
        *(("byte_offset", ctypes.c_uint64), ("context", ctypes.c_void_p), ("deleter", ctypes.c_void_p)),
    ]


def capsule(**fields):
    """Return an exporter of a hand-made tensor of 6 x 8 float32, with some fields changed."""
    make = ctypes.pythonapi.PyCapsule_New
    make.restype, make.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
    arrays = {k: (ctypes.c_int64 * len(v))(*v) for k, v in fields.items() if k in ("shape", "strides") and v}
    shape = arrays.get("shape", (ctypes.c_int64 * 2)(6, 8))
    values = {"data": X.ctypes.data, "device_type": 1, "ndim": 2, "code": 2, "bits": 32, "lanes": 1, **fields}
    values["shape"] = None if fields.get("shape", ()) is None else ctypes.cast(shape, ctypes.POINTER(ctypes.c_int64))
    values["strides"] = arrays.get("strides")
    if values["strides"] is not None:
        values["strides"] = ctypes.cast(values["strides"], ctypes.POINTER(ctypes.c_int64))
    tensor = Tensor(**values)

    class Handmade(Exporter):
        keep = tensor, shape, arrays

        def __dlpack__(self, **options):
            return make(ctypes.addressof(tensor), b"dltensor", None)

    return Handmade(X)


def test_a_right_tensor_made_by_hand():
    assert NORM(capsule()).tobytes() == RIGHT
    assert NORM(capsule(shape=[6, 8], strides=[8, 1])).tobytes() == RIGHT


@pytest.mark.parametrize(
    "fields",
    [
        {"shape": None},
        {"ndim": -1},
        {"ndim": -(2**31)},
        {"ndim": 1},
        {"ndim": 100, "shape": [1] * 100},
        {"shape": [-6, 8]},
        {"shape": [2**62, 8]},
        {"shape": [6, 8], "strides": [2**62, 1]},
        {"shape": [6, 8], "strides": [-(2**63), 1]},
        {"shape": [6, 8], "strides": [2**61, 1]},
        {"code": 0},
        {"code": 77},
        {"bits": 8},
        {"lanes": 4},
        {"data": None},
    ],
    ids=str,
)
def test_tensors_that_cannot_be(fields):
    with pytest.raises((TypeError, ValueError, BufferError)):
        NORM(capsule(**fields))


def test_subclasses_of_ndarray():
    class Lies(np.ndarray):
        shape = property(lambda self: (10**9, 10**9))
        strides = property(lambda self: (1, 1))
        ndim = property(lambda self: 64)
        dtype = property(lambda self: np.dtype("f8"))
        size = property(lambda self: 10**18)
        flags = property(lambda self: None)
        ctypes = property(lambda self: None)
        __array_interface__ = property(lambda self: None)

        def __len__(self):
            return 10**9

        def __array_finalize__(self, other):
            pass

        def __dlpack__(self, **options):
            raise AssertionError("an array of NumPy's needs no DLPack")

    x = X.view(Lies)
    out = np.zeros_like(X)
    assert NORM(x, out) is out
    assert out.tobytes() == RIGHT
    with pytest.raises((MemoryError, ValueError, TypeError)):
        NORM(x)  # the new array is asked to have what the object says


def test_pretenders():
    class Pretends:
        __class__ = np.ndarray

    for thing in (
        Mock(spec=np.ndarray),
        Mock(),
        Pretends(),
        np.ndarray,
        np.float32,
        np.float32(1),
        1.0,
        "x",
        b"x" * 64,
    ):
        with pytest.raises((TypeError, ValueError)):
            NORM(thing)
        with pytest.raises((TypeError, ValueError)):
            NORM(X, thing)


@pytest.mark.parametrize("text", ["f", "<f", "=f", "@f", ">f", "!f", "ff", "2f", "T{f:a:}", "x", "g", "Zf", "O", "?"])
def test_formats(text):
    """What NumPy or ctypes can be made to lend with such a format."""
    try:
        dtype = np.dtype(text)
    except (TypeError, ValueError):
        dtype = np.dtype([("a", "f4")])
    lent = memoryview(np.zeros((6, 8), dtype))
    if lent.format == "f":
        assert NORM(lent).tobytes() == NORM(np.zeros(lent.shape, "f4")).tobytes()
    else:
        with pytest.raises((TypeError, ValueError)):
            NORM(lent)


def test_released_and_closed():
    view = memoryview(X)
    view.release()
    with pytest.raises(ValueError, match="released"):
        NORM(view)
    memory = mmap.mmap(-1, 4096)
    array = np.frombuffer(memory, "f4").reshape(32, 32)
    bound = NORM.bind(array)
    with pytest.raises(BufferError):
        memory.close()
    bound()
    del bound, array
    memory.close()
    with pytest.raises((TypeError, ValueError, BufferError)):
        NORM(memory)


def test_lent_memory_cannot_be_resized_during_calls():
    """An array.array is resized by one thread while others use it: BufferError there or a right result here."""
    import array

    owner = array.array("f", X.ravel().tolist())
    refused, stop = [], threading.Event()

    def resize():
        while not stop.is_set():
            try:
                owner.append(0)
                owner.pop()
            except BufferError:
                refused.append(1)

    thread = threading.Thread(target=resize)
    thread.start()
    try:
        for _ in range(2000):
            try:
                view = memoryview(owner).cast("B")[: 4 * 48].cast("f", (6, 8))
            except (BufferError, TypeError):
                continue
            assert NORM(view).tobytes() == RIGHT
            del view
    finally:
        stop.set()
        thread.join()
