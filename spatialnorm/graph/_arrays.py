"""Arrays that users give, viewed in place."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

import numpy
from numpy.typing import NDArray

Array = NDArray[Any]


def view(name: str, array: Any) -> Array:
    """View anything with the buffer protocol or ``__dlpack__``, without a copy.

    Raises
    ------
    TypeError
        It has neither, or is a masked array.
    """
    if type(array) is numpy.ndarray:
        return array
    if isinstance(array, numpy.ndarray):
        masked = sys.modules.get("numpy.ma")
        if masked is not None and isinstance(array, masked.MaskedArray):
            raise TypeError(f"{name} must not be a masked array, whose mask would be ignored; pass its data")
        return array.view(numpy.ndarray)
    try:
        return numpy.asarray(memoryview(array))
    except TypeError:
        if not hasattr(array, "__dlpack__"):
            raise TypeError(
                f"{name} must be an array (an object with the buffer protocol or __dlpack__), "
                f"not {type(array).__name__}"
            ) from None
    return numpy.from_dlpack(array)


def same(a: Array, b: Array) -> bool:
    """Whether two arrays are the same samples in the same order."""
    return a is b or (
        a.shape == b.shape
        and a.strides == b.strides
        and a.dtype == b.dtype
        and a.__array_interface__["data"][0] == b.__array_interface__["data"][0]
    )


def overlap(a: Array, b: Array) -> bool:
    """Whether two arrays share memory; yes, where it would take long to know."""
    if not numpy.may_share_memory(a, b):
        return False
    try:
        return numpy.shares_memory(a, b, max_work=100_000)  # type: ignore[arg-type]  # NumPy's stub knows two values only
    except numpy.exceptions.TooHardError:
        return True


def names_of(handles: Iterable[Any]) -> str:
    """List handles for a message."""
    return ", ".join(map(repr, handles)) or "none"
