"""From a network and the arrays it is run on to a program."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy

from spatialnorm._core import Elementwise
from spatialnorm.graph._errors import GraphError
from spatialnorm.graph._network import Filter, Network
from spatialnorm.graph._nodes import FORMATS, Step
from spatialnorm.graph._program import Operation, Program, Value

# The shapes and dtypes of the sources, and whether intermediate images are wanted.
Key = tuple[tuple[tuple[int, ...], numpy.dtype[Any]], ...]


def compile_network(
    network: Network, calls: Sequence[Step | None], key: Key, outputs: Sequence[int], together: bool = False
) -> Program:
    """Compile for sources of given shapes and dtypes.

    Parameters
    ----------
    network : Network
        What to compute.
    calls : sequence
        What each filter calls, None where it passes its source on; last, what copies and converts.
    key : tuple
        Shape and dtype of each source.
    outputs : sequence of int
        Images to give to the caller.
    together : bool
        Whether all steps are run as one, no normalization in place.

    Raises
    ------
    GraphError, TypeError
        Shapes or dtypes do not fit; the message names node or handle.
    """
    _check_sources(network.source_handles, key)
    return _Compiler(network, calls, key, together).run(outputs)


def _check_sources(handles: Sequence[Hashable], key: Key) -> None:
    for handle, (shape, dtype) in zip(handles, key, strict=True):
        if dtype.name not in FORMATS:
            raise TypeError(f"source {handle!r} must be {', '.join(FORMATS[:-1])} or {FORMATS[-1]}, not {dtype}")
        if not dtype.isnative:
            raise TypeError(f"source {handle!r} must have this machine's byte order, not {dtype.str!r}")
        if dtype != key[0][1]:
            raise TypeError(f"sources must have one dtype, but {handles[0]!r} has {key[0][1]} and {handle!r} {dtype}")
        if len(shape) < 2:
            raise GraphError(f"source {handle!r} must have at least 2 axes, but its shape is {shape}")


def _to_dtype(name: str) -> numpy.dtype[Any]:
    if name != "bfloat16":
        return numpy.dtype(name)
    try:
        from ml_dtypes import bfloat16
    except ImportError:
        raise ImportError("an image of format 'bfloat16' needs the package ml_dtypes; install it") from None
    dtype: numpy.dtype[Any] = numpy.dtype(bfloat16)
    return dtype


class _Compiler:
    def __init__(self, network: Network, calls: Sequence[Step | None], key: Key, together: bool) -> None:
        self.together = together
        self.network = network
        self.calls = calls
        self.dtype = key[0][1]
        self.sources = [Value(shape, dtype, source=i) for i, (shape, dtype) in enumerate(key)]
        self.values: dict[int, Value] = dict(enumerate(self.sources))  # by image
        self.operations: list[Operation] = []

    def run(self, outputs: Sequence[int]) -> Program:
        for i, f in enumerate(self.network.filters):
            self.add_filter(i, f)
        return Program(self.operations, self.sources, self.take_outputs(outputs), self.together)

    def add_filter(self, call: int, f: Filter) -> None:
        sources = [self.values[image] for image in f.sources]
        for value, image in zip(sources, f.sources, strict=True):
            if value.shape != sources[0].shape:
                first = self.network.images[f.sources[0]].node
                raise GraphError(
                    f"source images of {f.name} must have one shape, but {first!r} has {sources[0].shape} "
                    f"and {self.network.images[image].node!r} has {value.shape}"
                )
        name = self.network.images[f.result].format
        stored = self.dtype if name is None else _to_dtype(name)
        step = self.calls[call]
        if step is None:
            self.values[f.result] = self.convert(sources[0], stored)
            return
        dtypes = {stored, *(value.dtype for value in sources)}
        if len(dtypes) == 1:
            working = stored
        else:
            working = numpy.dtype(numpy.float64 if numpy.dtype(numpy.float64) in dtypes else numpy.float32)
        self.check_step(step, f, len(sources[0].shape), working)
        converted = [self.convert(value, working) for value in sources]
        # A device that works on all samples at once would need a copy to work in place.
        in_place = not self.together or isinstance(step, Elementwise)
        result = self.emit(call, converted, working, in_place=in_place)
        self.values[f.result] = self.convert(result, stored)

    def check_step(self, step: Step, f: Filter, ndim: int, dtype: numpy.dtype[Any]) -> None:
        """Let the native core judge dtype, axes and device on an array without samples: nothing fails later."""
        array = numpy.empty((0,) * ndim, dtype)
        try:
            step(*[array] * (len(f.sources) + 1))
        except TypeError as error:
            raise TypeError(f"{f.name}: {error}") from error
        except ValueError as error:
            raise GraphError(f"{f.name}: {error}") from error

    def emit(self, call: int, sources: list[Value], dtype: numpy.dtype[Any], *, in_place: bool) -> Value:
        i = len(self.operations)
        for value in sources:
            value.last = i
        target = Value(sources[0].shape, dtype, first=i)
        self.operations.append(Operation(call, tuple(sources), target, in_place))
        return target

    def convert(self, value: Value, dtype: numpy.dtype[Any]) -> Value:
        return value if value.dtype == dtype else self.copy(value, dtype)

    def copy(self, value: Value, dtype: numpy.dtype[Any]) -> Value:
        return self.emit(len(self.calls) - 1, [value], dtype, in_place=False)

    def take_outputs(self, images: Sequence[int]) -> list[Value]:
        outputs: list[Value] = []
        for i, image in enumerate(images):
            value = self.values[image]
            if value.source is not None or value.output is not None:  # two images may be one value
                value = self.copy(value, value.dtype)
            value.output = i
            outputs.append(value)
        return outputs
