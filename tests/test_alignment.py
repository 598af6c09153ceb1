"""Long rows are computed in vectors that are aligned in the input: the same bits wherever an array begins."""

import numpy as np
import pytest
from cases import EDGES, Case, cpu_only, each_dtype

ROWS, MARGIN = 19, 64


def at(offset, values):
    """Return a copy of `values`, `offset` samples after a multiple of 128 bytes and with such rows; and its memory."""
    size, width = values.dtype.itemsize, -(-values.shape[-1] // MARGIN) * MARGIN
    memory = np.full((ROWS + 2) * width * size + 128, 0xA5, np.uint8)
    begin = (-memory.ctypes.data % 128) + (width + offset) * size
    rows = memory[begin : begin + ROWS * width * size].view(values.dtype).reshape(ROWS, width)
    view = rows[:, : values.shape[-1]]
    view[...] = values
    return view, memory


def test_places():
    view, _ = at(3, np.zeros((ROWS, 600), "f4"))
    assert view.ctypes.data % 128 == 12
    assert view.strides[0] % 128 == 0


@cpu_only
@each_dtype
@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize("width", [520, 600, 6200])
@pytest.mark.parametrize("kernel_size", [3, 9, (16, 15), (17, 70)], ids=str)
def test_every_alignment(kernel_size, width, edge, dtype):
    case = Case((ROWS, width), kernel_size, edge=edge)
    norm, x, dy = case.norm("cpu"), case.values(dtype, 1), case.values(dtype, 2)
    expected = norm(x), norm.gradient(dy, x), norm.jvp(x, dy), norm.parameter_gradients(dy, x)
    for offset in (1, 4, 7, 12, 15):
        moved, memory = at(offset, x)
        rest = memory.copy()
        gradient, other = at(16 - offset, dy)[0], at(offset, dy)[0]
        assert norm(moved).tobytes() == expected[0].tobytes()
        for dys in (gradient, other):
            assert norm.gradient(dys, moved).tobytes() == expected[1].tobytes()
            assert norm.jvp(moved, dys).tobytes() == expected[2].tobytes()
            assert norm.parameter_gradients(dys, moved) == expected[3]
        assert (memory == rest).all()
        norm(moved, moved)  # in place
        assert moved.tobytes() == expected[0].tobytes()
        moved[...] = x
        assert (memory == rest).all()
        norm.gradient(other, moved, moved)
        assert moved.tobytes() == expected[1].tobytes()
