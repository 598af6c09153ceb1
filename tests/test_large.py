"""Outputs too large for a cache are stored past it, from the first aligned sample of a row on: the same bits."""

import numpy as np
import pytest
from cases import EDGES, FLOAT64, Case, cpu_only, each_dtype

SHAPE = (1290, 1001)  # over 4 MiB in float32; rows begin at every alignment


def place(dtype, offset):
    """Return a view of `SHAPE` at a byte offset from a multiple of 64, and the bytes before and after it."""
    size = SHAPE[0] * SHAPE[1] * np.dtype(dtype).itemsize
    memory = np.full(size + 256, 0xA5, np.uint8)
    start = 64 + offset - memory.ctypes.data % 64
    view = memory[start : start + size].view(dtype).reshape(SHAPE)
    return view, (memory[:start], memory[start + size :])


@cpu_only
@each_dtype
@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize("kernel_size", [5, (3, 12)], ids=str)
def test_streamed_output(kernel_size, edge, dtype):
    norm = Case(SHAPE, kernel_size, edge=edge).norm("cpu")
    x, dy = Case(SHAPE).values(dtype, 1), Case(SHAPE).values(dtype, 2)
    y, dx = x.copy(), x.copy()
    norm(y, y)  # in place, nothing is streamed
    norm.gradient(dy, dx, dx)
    for offset in (0, 1, *range(np.dtype(dtype).itemsize, 64, 8 if dtype == FLOAT64 else 12)):
        for expected, call in ((y, lambda out: norm(x, out)), (dx, lambda out: norm.gradient(dy, x, out))):
            out, around = place(dtype, offset)
            call(out)
            assert out.tobytes() == expected.tobytes()
            assert all((part == 0xA5).all() for part in around)
