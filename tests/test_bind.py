"""Calls bound to their arrays: equal results, lifetimes, arrays changed since, errors when bound and when called."""

import array
import gc
import inspect
import mmap
import pickle
import sys
import weakref

import numpy as np
import pytest
from cases import DEVICE, Case

CASE = Case(shape=(2, 3, 9, 8), kernel_size=4)
NORM = CASE.norm(DEVICE)


@pytest.fixture
def x():
    return CASE.values("f4")


@pytest.fixture
def grad_y(x):
    return np.cos(x)


def test_forward_follows_its_input(x):
    out = np.empty_like(x)
    step = NORM.bind(x, out)
    assert step() is out
    assert out.tobytes() == NORM(x).tobytes()
    x *= -0.5
    assert step() is out
    assert out.tobytes() == NORM(x).tobytes()


def test_gradient(x, grad_y):
    out = np.empty_like(x)
    step = NORM.bind_gradient(grad_y, x, out)
    assert step() is out
    assert out.tobytes() == NORM.gradient(grad_y, x).tobytes()
    grad_y[0] = 2
    assert step().tobytes() == NORM.gradient(grad_y, x).tobytes()


def test_out_is_made_where_none_is_given(x, grad_y):
    for step, expected in ((NORM.bind(x), NORM(x)), (NORM.bind_gradient(grad_y, x), NORM.gradient(grad_y, x))):
        assert step.out.shape == x.shape
        assert step.out.dtype == x.dtype
        assert step() is step.out
        assert step.out.tobytes() == expected.tobytes()


def test_in_place(x):
    expected = NORM(x)
    step = NORM.bind(x, out=x)
    step()
    assert x.tobytes() == expected.tobytes()


def test_several_at_once(x):
    """A bound call keeps its plan, also after its object has forgotten it."""
    steps = [NORM.bind(x[..., :n]) for n in range(1, 9)] + [NORM.bind(x[:, :, :n]) for n in range(1, 9)]
    for step, part in zip(steps, [x[..., :n] for n in range(1, 9)] + [x[:, :, :n] for n in range(1, 9)], strict=True):
        assert step().tobytes() == NORM(part).tobytes()


def test_keeps_its_arrays_alive():
    class Traced(np.ndarray):
        pass

    x, out = np.ones((5, 5), np.float32).view(Traced), np.empty((5, 5), np.float32).view(Traced)
    step = NORM.bind(x, out)
    alive = [weakref.ref(x), weakref.ref(out)]
    del x, out
    gc.collect()
    assert all(reference() is not None for reference in alive)
    step()
    del step
    gc.collect()
    assert all(reference() is None for reference in alive)


def test_an_array_that_holds_its_bound_call_is_collected():
    class Holder(np.ndarray):
        pass

    x = np.ones((5, 5), np.float32).view(Holder)
    x.step = NORM.bind(x)
    alive = weakref.ref(x)
    del x
    gc.collect()
    assert alive() is None


def test_reference_counts_do_not_grow(x):
    out = np.empty_like(x)
    before = sys.getrefcount(x), sys.getrefcount(out)
    step = NORM.bind(x, out)
    for _ in range(100):
        step()
    del step
    assert (sys.getrefcount(x), sys.getrefcount(out)) == before


def test_lent_buffers_cannot_be_resized():
    memory = array.array("f", range(30))
    view = memoryview(memory).cast("B").cast("f", (5, 6))
    step = NORM.bind(view)
    with pytest.raises(BufferError):
        memory.append(1)
    step()
    del step, view
    memory.append(1)


def test_a_map_stays_open():
    with mmap.mmap(-1, 4 * 30) as pages:
        view = memoryview(pages).cast("f", (5, 6))
        step = NORM.bind(view)
        with pytest.raises(BufferError):
            pages.close()
        del step, view


def change_size(a):
    a.resize((a.shape[0], 3, 9, 4), refcheck=False)


def change_shape(a):
    a.shape = (3, *a.shape[:1], *a.shape[2:])


def change_memory(a):
    a.resize((64, *a.shape[1:]), refcheck=False)


@pytest.mark.parametrize("change", [change_size, change_shape, change_memory])
@pytest.mark.parametrize("which", ["x", "out"])
@pytest.mark.filterwarnings("ignore:Setting the shape:DeprecationWarning")
def test_arrays_changed_since(change, which, x):
    arrays = {"x": x.copy(), "out": np.empty_like(x)}
    step = NORM.bind(**arrays)
    step()
    change(arrays[which])
    before = arrays["out"].tobytes()
    with pytest.raises(ValueError, match="was resized, reshaped or made read-only after it was bound"):
        step()
    assert arrays["out"].tobytes() == before


def test_out_made_read_only(x):
    out = np.empty_like(x)
    step = NORM.bind(x, out)
    out.flags.writeable = False
    with pytest.raises(ValueError, match="made read-only"):
        step()
    out.flags.writeable = True
    step()


def test_input_made_read_only_is_fine(x):
    step = NORM.bind(x)
    x.flags.writeable = False
    assert step().tobytes() == NORM(x).tobytes()


def test_errors_when_bound(x, grad_y):
    with pytest.raises(TypeError, match="x must be an array"):
        NORM.bind([[1.0, 2.0]])
    with pytest.raises(TypeError, match="int32"):
        NORM.bind(x.astype("i4"))
    with pytest.raises(ValueError, match=r"one shape.*\(2, 3, 9, 7\)"):
        NORM.bind(x, np.empty((2, 3, 9, 7), np.float32))
    with pytest.raises(TypeError, match="one dtype"):
        NORM.bind(x, np.empty(x.shape, np.float16))
    with pytest.raises(ValueError, match="out must be writable"):
        NORM.bind(x, np.broadcast_to(np.float32(0), x.shape))
    with pytest.raises(ValueError, match="x must have at least 2 axes"):
        NORM.bind(x.ravel())
    with pytest.raises(TypeError, match="grad_y must be an array"):
        NORM.bind_gradient(None, x)
    with pytest.raises(ValueError, match="grad_y and x must have one shape"):
        NORM.bind_gradient(grad_y[:1], x)


def test_partial_overlap_is_found_when_called():
    memory = np.arange(60, dtype=np.float32)
    step = NORM.bind(memory[:30].reshape(5, 6), memory[1:31].reshape(5, 6))
    before = memory.tobytes()
    with pytest.raises(ValueError, match="overlap in part"):
        step()
    assert memory.tobytes() == before


def test_arguments_are_refused(x):
    step = NORM.bind(x)
    for arguments, named in (((x,), {}), ((), {"out": x})):
        with pytest.raises(TypeError, match="takes no arguments"):
            step(*arguments, **named)


def test_no_copies_of_the_binding(x):
    with pytest.raises(TypeError):
        pickle.dumps(NORM.bind(x))


def test_a_bound_call_is_never_without_arrays(x):
    with pytest.raises(TypeError):
        type(NORM.bind(x))()
    with pytest.raises(TypeError, match="takes 1 inputs, not 2"):
        type(NORM.bind(x))(NORM, 0, (x, x), x)


def test_documented():
    for method in (NORM.bind, NORM.bind_gradient):
        assert "Raises" in inspect.getdoc(method)
