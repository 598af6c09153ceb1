"""Arrays that fill whole pages of memory."""

from __future__ import annotations

import mmap
import operator
from collections.abc import Iterable
from math import prod
from typing import Any, SupportsIndex

import numpy as np
from numpy.typing import DTypeLike, NDArray


def empty(shape: SupportsIndex | Iterable[SupportsIndex], dtype: DTypeLike = np.float32) -> NDArray[Any]:
    """Make an uninitialized array, in C order, that starts at a page and shares its pages with nothing.

    Metal uses such an array where it lies, without a copy even of its edges. On the CPU it is an
    array like any other.

    Parameters
    ----------
    shape : int or sequence of int
        Shape of the array.
    dtype : numpy dtype, default float32
        Type of its samples; any fixed-size type without Python objects.

    Returns
    -------
    numpy.ndarray
        A view of a larger block; a small array takes up to two pages.

    Raises
    ------
    ValueError
        A size is negative.
    MemoryError
        There is not that much memory.
    """
    dtype = np.dtype(dtype)
    sizes = tuple(map(operator.index, shape if isinstance(shape, Iterable) else (shape,)))
    if min(sizes, default=0) < 0:
        raise ValueError(f"shape must have no negative size, but is {sizes}")
    n_bytes = prod(sizes) * dtype.itemsize
    pages = max(1, -(-n_bytes // mmap.PAGESIZE))
    block = np.empty((pages + 1) * mmap.PAGESIZE, np.uint8)
    start = -block.ctypes.data % mmap.PAGESIZE
    return block[start : start + n_bytes].view(dtype).reshape(sizes)


def empty_like(x: Any) -> NDArray[Any]:
    """Make an array as `empty` does, with the shape and dtype of `x`.

    Parameters
    ----------
    x : array
        Any object that `numpy.asarray` takes.

    Returns
    -------
    numpy.ndarray
        Uninitialized, in C order whatever the order of `x`.
    """
    x = np.asarray(x)
    return empty(x.shape, x.dtype)
