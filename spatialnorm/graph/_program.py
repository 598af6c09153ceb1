"""A network compiled for given shapes and dtypes: a flat list of steps over a few reused buffers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from operator import itemgetter
from typing import Any

import numpy
from numpy.typing import NDArray

from spatialnorm._core import Operation as CoreOperation
from spatialnorm._core import run_sequence
from spatialnorm._memory import empty
from spatialnorm.graph._nodes import Step

Array = NDArray[Any]


@dataclass(eq=False)
class Value:
    """An array that exists at some time during a run.

    Attributes
    ----------
    source, output : int or None
        Which source or output it is, if any. All others lie in buffers.
    first, last : int
        The steps that make it and that read it last.
    """

    shape: tuple[int, ...]
    dtype: numpy.dtype[Any]
    source: int | None = None
    output: int | None = None
    first: int = -1
    last: int = -1

    @property
    def n_bytes(self) -> int:
        """Size in memory."""
        return prod(self.shape) * self.dtype.itemsize


@dataclass(frozen=True)
class Operation:
    """One step: which of the graph's calls, on what. `in_place`: the target may lie where a source lies."""

    call: int
    sources: tuple[Value, ...]
    target: Value
    in_place: bool


class Program:
    """Steps and buffers for one set of source shapes and dtypes.

    Any number of threads may run it at a time: each takes a set of buffers from a pool, or makes one.

    Parameters
    ----------
    operations : sequence of Operation
        In the order of execution.
    sources, outputs : sequence of Value
        What the caller gives.
    together : bool
        Whether all steps are run as one, as Metal wants it.
    """

    def __init__(
        self,
        operations: Sequence[Operation],
        sources: Sequence[Value],
        outputs: Sequence[Value],
        together: bool = False,
    ) -> None:
        self.together = together
        self.outputs = tuple((value.shape, value.dtype) for value in outputs)
        # An output that is a source, and is written before that source is read for the last time.
        self.written_early = {
            (output.output, source.source) for output in outputs for source in sources if output.first < source.last
        }
        self.buffer_sizes, places = assign_buffers(operations)
        self.views = list(dict.fromkeys((place, v.shape, v.dtype) for v, place in places.items()))
        n_sources, n_outputs = len(sources), len(outputs)

        def position(value: Value) -> int:
            if value.source is not None:
                return value.source
            if value.output is not None:
                return n_sources + value.output
            return n_sources + n_outputs + self.views.index((places[value], value.shape, value.dtype))

        self.steps = tuple(
            (operation.call, itemgetter(*map(position, operation.sources), position(operation.target)))
            for operation in operations
        )
        self.pool: list[list[Array]] = []

    def make_buffers(self) -> list[Array]:
        """Allocate one set of buffers: each value's view of its buffer."""
        buffers = [empty(size, numpy.uint8) for size in self.buffer_sizes]
        return [
            buffers[place][: prod(shape) * dtype.itemsize].view(dtype).reshape(shape)
            for place, shape, dtype in self.views
        ]

    def run(self, calls: Sequence[Step], sources: Sequence[Array], outputs: Sequence[Array]) -> None:
        """Run the steps. Sources and outputs must have the shapes and dtypes compiled for."""
        try:
            buffers = self.pool.pop()
        except IndexError:
            buffers = self.make_buffers()
        operands = [*sources, *outputs, *buffers]
        try:
            self.run_steps(calls, operands)
        finally:
            self.pool.append(buffers)

    def run_steps(self, calls: Sequence[Step], operands: list[Array]) -> None:
        """Call one step after the other, or give all of them to the core at once."""
        if not self.together:
            for call, pick in self.steps:
                calls[call](*pick(operands))
            return
        run_sequence([(*to_operation(calls[call]), pick(operands)) for call, pick in self.steps])


def to_operation(step: Step) -> tuple[Any, bool]:
    """Take a step apart: the operation of the core, and whether its gradient is meant."""
    return (step, False) if isinstance(step, CoreOperation) else (step.__self__, True)  # type: ignore[attr-defined]


def assign_buffers(operations: Sequence[Operation]) -> tuple[list[int], dict[Value, int]]:
    """Give each value a buffer from its first step to its last: sizes in bytes, and the buffer of each value.

    A buffer that is free is taken first; then, where the step can work in place, that of a source which
    it is the last to read; a new one only when there is neither.
    """
    sizes: list[int] = []
    places: dict[Value, int] = {}
    free: list[int] = []
    for i, operation in enumerate(operations):
        ending = [v for v in dict.fromkeys(operation.sources) if v in places and v.last == i]
        target = operation.target
        if target.output is None:
            same = [v for v in ending if operation.in_place and (v.shape, v.dtype) == (target.shape, target.dtype)]
            large = [place for place in free if sizes[place] >= target.n_bytes]
            if large:
                place = min(large, key=sizes.__getitem__)
            elif same:
                place = places[same[0]]
                ending.remove(same[0])
            elif free:
                place = max(free, key=sizes.__getitem__)
                sizes[place] = target.n_bytes
            else:
                place = len(sizes)
                sizes.append(target.n_bytes)
            if place in free:
                free.remove(place)
            places[target] = place
        free += [places[v] for v in ending]
    return sizes, places
