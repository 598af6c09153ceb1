"""Arrays that a run writes to."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, MutableMapping, Sequence
from typing import Any

import numpy

from spatialnorm.graph._arrays import Array, names_of, overlap, same
from spatialnorm.graph._errors import GraphError
from spatialnorm.graph._program import Program


def to_outputs(out: Any, single: bool, handles: Sequence[Hashable]) -> list[Any]:
    """List what `out` has for each result, None where it has nothing."""
    if single:
        return [out]
    if out is None:
        return [None] * len(handles)
    if isinstance(out, Mapping):
        if unknown := [handle for handle in out if handle is None or handle not in handles]:
            raise GraphError(f"{names_of(unknown)} is no result of the graph, which has {names_of(handles)}")
        return [out.get(handle) for handle in handles]
    if not isinstance(out, (list, tuple)):
        raise TypeError(f"out must be a list of arrays, or a dictionary by handle, not {type(out).__name__}")
    if len(out) != len(handles):
        raise GraphError(f"out must have one array for each of {len(handles)} results, not {len(out)}")
    return list(out)


def find_kept(
    images: Any, handles: Sequence[Hashable], expected: Sequence[tuple[tuple[int, ...], numpy.dtype[Any]]]
) -> list[Any]:
    """List the arrays that `intermediate_images` holds already and that fit, None for the others."""
    if not isinstance(images, MutableMapping):
        raise TypeError(f"intermediate_images must be a dictionary, not {type(images).__name__}")
    kept = []
    for handle, (shape, dtype) in zip(handles, expected, strict=True):
        array: Any = images.get(handle)
        fits = type(array) is numpy.ndarray and array.shape == shape and array.dtype == dtype
        kept.append(array if fits and array.flags.writeable else None)
    return kept


def check_outputs(
    given: Sequence[Any],
    outputs: list[Array],
    program: Program,
    sources: Sequence[Array],
    handles: Sequence[Hashable],
) -> list[Array]:
    """Check the arrays; replace those that are a source which is still to be read when they are written."""
    written = outputs
    for i, (array, (shape, dtype)) in enumerate(zip(outputs, program.outputs, strict=True)):
        if given[i] is None:
            continue
        name = f"out[{i}]" if len(outputs) > 1 else "out"
        if array.shape != shape:
            raise GraphError(f"{name} must have the shape {shape} of the result, not {array.shape}")
        if array.dtype != dtype:
            raise TypeError(f"{name} must have the dtype {dtype} of the result, not {array.dtype}")
        if not array.flags.writeable:
            raise ValueError(f"{name} must be writable, but is read-only")
        if 0 in array.strides and any(n > 1 for n, stride in zip(shape, array.strides, strict=True) if stride == 0):
            raise ValueError(f"{name} must hold each sample at a place of its own, but has a stride of 0")
        if i and any(overlap(array, other) for other in outputs[:i]):
            raise ValueError(f"{name} must not share memory with another result")
        for k, source in enumerate(sources):
            if not overlap(array, source):
                continue
            if not same(array, source):
                raise ValueError(f"{name} must be source {handles[k]!r} exactly, or not overlap it")
            if (i, k) in program.written_early:
                written = list(written)
                written[i] = numpy.empty(shape, dtype)
    return written
