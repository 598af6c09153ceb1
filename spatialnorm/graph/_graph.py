"""The graph: nodes compiled into steps, and run."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, MutableMapping, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Literal

import numpy

from spatialnorm._arguments import GRADIENTS, to_axes, to_choice, to_device
from spatialnorm._core import Elementwise
from spatialnorm._devices import device_number, may_be_metal
from spatialnorm.graph._arrays import Array, names_of, view
from spatialnorm.graph._compile import Key, compile_network
from spatialnorm.graph._errors import GraphError
from spatialnorm.graph._executor import get_executor
from spatialnorm.graph._network import read_nodes
from spatialnorm.graph._nodes import FilterNode, ImageNode, Step, to_images
from spatialnorm.graph._outputs import check_outputs, find_kept, to_outputs
from spatialnorm.graph._program import Program

if TYPE_CHECKING:
    from spatialnorm._devices import Device

# Programs, with their buffers, that one graph keeps; the oldest goes first.
KEPT_PROGRAMS = 4


class Graph:
    """Nodes compiled into a list of steps, with intermediate images in a few reused buffers.

    The graph is read when it is made: nodes that no result needs are left out, and later changes to
    nodes do not reach it (but see `reload_from_nodes`). It is compiled at its first run, and again when
    the shapes or dtypes of the sources change; it remembers the last four of them, with their buffers.
    From its second run on, a run with `out` allocates no array, unless `out` is a source that is still
    to be read when the result is there. It may be run from many threads at once: each run takes a set
    of buffers from a pool, so there are as many sets as there ever were runs at a time.

    Parameters
    ----------
    result_images : ImageNode or list of ImageNode
        What to compute. It may be any image of the graph, an interior one too.
    device : str or Device, default "auto"
        As for `spatialnorm.SpatialNorm`.
    axes : (int, int), default (-2, -1)
        The spatial axes of all images, height first: (-2, -1) for NCHW, (1, 2) for NHWC.
    gradient : {"exact", "documented"}
        What gradient nodes compute: the exact vector-Jacobian product, or the formula printed in
        Apple's header, which is not the derivative (what Apple's framework itself computes has never
        been measured in public).

    Raises
    ------
    GraphError
        A cycle, an image from nowhere, two results for one handle; the message names node or handle.
    TypeError
        `result_images` is no image node.
    RuntimeError
        The device is not there or cannot run.

    Warns
    -----
    ParameterMismatchWarning
        A gradient node's parameters differ from its forward node's.

    Examples
    --------
    >>> import numpy as np
    >>> from spatialnorm.graph import Graph, ImageNode, SpatialNormalizationNode
    >>> x = ImageNode("x")
    >>> node = SpatialNormalizationNode(x, kernel_size=5)
    >>> (last,) = node.training_graph(ImageNode("dy"))
    >>> graph = Graph([node.result_image, last.result_image])
    >>> graph.source_image_handles
    ('x', 'dy')
    >>> a = np.ones((8, 8), np.float32)
    >>> y, dx = graph.run({"x": a, "dy": a})
    """

    def __init__(
        self,
        result_images: ImageNode | Sequence[ImageNode],
        device: str | Device = "auto",
        *,
        axes: Sequence[int] = (-2, -1),
        gradient: Literal["exact", "documented"] = "exact",
    ) -> None:
        self._single = isinstance(result_images, ImageNode)
        self._network = read_nodes(to_images("result_images", result_images))
        self._device = to_device(device)
        self._axes = to_axes(axes)
        to_choice("gradient", gradient, GRADIENTS)
        self._gradient = gradient
        self._sources = self._network.source_handles
        self._programs: dict[tuple[Key, bool], Program] = {}
        self._load()

    def _load(self) -> None:
        """Make what each step calls."""
        network = self._network
        network.warn_of_mismatches(stacklevel=3)  # who makes or reloads the graph
        steps: list[Step | None] = []
        for f in network.filters:
            try:
                steps.append(f.node._step(self._axes, self._gradient, self._device))
            except ValueError as error:
                raise GraphError(f"{f.name}: {error}") from error
        self._calls = (*steps, Elementwise("convert", device_number(self._device)))
        # One node on sources alone: its own call checks everything and needs no buffers.
        direct = None
        if self._single and len(steps) == 1 and steps[0] is not None and not isinstance(steps[0], Elementwise):
            (f,) = network.filters
            if network.images[f.result].format is None and network.results == (f.result,):
                direct = steps[0], network.handles(f.sources)
        self._direct: tuple[Step, tuple[Hashable, ...]] | None = direct

    @property
    def source_image_handles(self) -> tuple[Hashable, ...]:
        """Handles of the sources, in the order in which the graph reads them first."""
        return self._sources

    @property
    def intermediate_image_handles(self) -> tuple[Hashable, ...]:
        """Handles of the images that have `export_from_graph`."""
        return self._network.handles(self._network.exported)

    @property
    def result_handles(self) -> tuple[Hashable, ...]:
        """Handles of the results in the order given, None for those without."""
        return self._network.handles(self._network.results)

    @property
    def nodes(self) -> tuple[FilterNode, ...]:
        """The filter nodes that the results need, in the order in which they run."""
        return tuple(f.node for f in self._network.filters)

    @property
    def device(self) -> str | Device:
        """The device asked for."""
        return self._device

    def __repr__(self) -> str:
        """Show what goes in and what comes out."""
        sources, results = names_of(self._sources), names_of(self.result_handles)
        return f"<Graph of {len(self._network.filters)} nodes, sources {sources}, results {results}>"

    def __call__(self, *sources: Any, out: Any = None) -> Any:
        """Run on arrays in the order of `source_image_handles`; otherwise as `run`.

        Parameters
        ----------
        *sources : array
            One for each source.
        out : array, or list or dict of arrays, optional
            As for `run`.

        Returns
        -------
        array or tuple of arrays
            As for `run`.

        Raises
        ------
        GraphError, TypeError, ValueError
            As for `run`.
        """
        if self._direct is not None and len(sources) == len(self._sources) == len(self._direct[1]):
            try:
                return self._direct[0](*sources, out)
            except (TypeError, ValueError):
                pass  # said below, in the words of a graph
        if len(sources) != len(self._sources):
            raise GraphError(
                f"the graph has the sources {names_of(self._sources)}, but {len(sources)} arrays are given"
            )
        return self.run(dict(zip(self._sources, sources, strict=True)), out)

    def run(
        self,
        sources: Mapping[Any, Any],
        out: Any = None,
        intermediate_images: MutableMapping[Any, Any] | None = None,
    ) -> Any:
        """Compute the results.

        Parameters
        ----------
        sources : dict
            An array for each of `source_image_handles`: any object with the buffer protocol or
            ``__dlpack__``, at least 2-D, float16, bfloat16, float32 or float64, all of one dtype.
            Never copied.
        out : array, or list or dict of arrays, optional
            Where to write the results: an array for a graph of one image node, else a list in the order
            of the results, with None where a new array is wanted, or a dictionary by handle. It may be
            a source itself; other overlaps are an error.
        intermediate_images : dict, optional
            Receives the images that have `export_from_graph`, by handle. Arrays that it holds already
            are written to if they have the right shape and dtype.

        Returns
        -------
        array or tuple of arrays
            An array for a graph of one image node, else a tuple in the order given. `out` where given,
            else new arrays in C order.

        Raises
        ------
        GraphError
            Unknown or missing handles, shapes that disagree; the message names node or handle.
        TypeError
            An argument is no array, has a dtype that is not taken, or dtypes differ.
        ValueError
            `out` is read-only, or overlaps a source or another result in part.
        """
        direct = self._direct
        if direct is not None and intermediate_images is None and type(sources) is dict:
            step, handles = direct
            try:
                if len(sources) == len(self._sources):
                    if len(handles) == 1:
                        return step(sources[handles[0]], out)
                    return step(sources[handles[0]], sources[handles[1]], out)
            except (KeyError, TypeError, ValueError):
                pass  # said below, in the words of a graph
        return self._run(sources, out, intermediate_images)

    def _run(self, sources: Any, out: Any, intermediate_images: Any) -> Any:
        arrays = self._to_arrays(sources)
        key = tuple([(a.shape, a.dtype) for a in arrays])
        export = intermediate_images is not None and bool(self._network.exported)
        program = self._programs.get((key, export)) or self._compile(key, export)
        n = len(self._network.results)
        given = to_outputs(out, self._single, self.result_handles)
        if export:
            handles = self._network.handles(self._images(export)[n:])
            given += find_kept(intermediate_images, handles, program.outputs[n:])
        outputs = [
            numpy.empty(shape, dtype) if o is None else view("out", o)
            for o, (shape, dtype) in zip(given, program.outputs, strict=True)
        ]
        written = outputs
        if any(o is not None for o in given):
            written = check_outputs(given, outputs, program, arrays, self._sources)
        program.run(self._calls, arrays, written)  # type: ignore[arg-type]
        if written is not outputs:
            for array, own in zip(outputs, written, strict=True):
                if own is not array:
                    numpy.copyto(array, own)
        results = [array if o is None else o for o, array in zip(given, outputs, strict=True)]
        if export:
            made = dict(zip(self._images(export), results, strict=True))
            intermediate_images.update((self._network.images[i].handle, made[i]) for i in self._network.exported)
        return results[0] if self._single else tuple(results[:n])

    def _to_arrays(self, sources: Any) -> list[Array]:
        if type(sources) is not dict and not isinstance(sources, Mapping):
            raise TypeError(f"sources must be a dictionary of arrays by handle, not {type(sources).__name__}")
        known = self._sources
        if missing := [handle for handle in known if handle not in sources]:
            raise GraphError(f"every source needs an array, but {names_of(missing)} has none")
        if unknown := [handle for handle in sources if handle not in known]:
            raise GraphError(f"{names_of(unknown)} is no source of the graph, which has {names_of(known)}")
        return [view(f"source {handle!r}", sources[handle]) for handle in known]

    def _images(self, export: bool) -> list[int]:
        """Images to compute: results, and what is exported without being a result."""
        network = self._network
        extra = [i for i in network.exported if i not in network.results] if export else []
        return [*network.results, *extra]

    def _compile(self, key: Key, export: bool) -> Program:
        # Without a lock: if two threads compile at a time, one program is kept and the other runs once.
        program = compile_network(self._network, self._calls, key, self._images(export), may_be_metal(self._device))
        kept = list(self._programs.items())[1 - KEPT_PROGRAMS :]
        self._programs = {**dict(kept), (key, export): program}
        return program

    def run_async(
        self,
        sources: Mapping[Any, Any],
        out: Any = None,
        intermediate_images: MutableMapping[Any, Any] | None = None,
    ) -> Future[Any]:
        """Run in another thread.

        Parameters
        ----------
        sources, out, intermediate_images
            As for `run`; neither to be changed nor read before the future is done.

        Returns
        -------
        concurrent.futures.Future
            Its result is what `run` returns, its exception what `run` raises.
        """
        return get_executor().submit(self.run, sources, out, intermediate_images)

    def run_batch(self, batch: Iterable[Mapping[Any, Any]], out: Sequence[Any] | None = None) -> list[Any]:
        """Run on several sets of sources, one after the other.

        Parameters
        ----------
        batch : iterable of dict
            As the sources of `run`.
        out : list, optional
            For each set what `run` takes as `out`.

        Returns
        -------
        list
            For each set what `run` returns.

        Raises
        ------
        GraphError, TypeError, ValueError
            As for `run`; earlier sets have then been computed.
        """
        sets = list(batch)
        outs = [None] * len(sets) if out is None else list(out)
        if len(outs) != len(sets):
            raise GraphError(f"out must have one entry for each of {len(sets)} sets of sources, not {len(outs)}")
        return [self.run(sources, o) for sources, o in zip(sets, outs, strict=True)]

    def reload_from_nodes(self) -> None:
        """Take over the parameters that the nodes have now, and keep steps and buffers.

        For training: change `beta` of a node of `nodes`, reload, run. Connections, handles and formats
        stay as they were when the graph was made. Runs that are under way finish with the old
        parameters.

        Raises
        ------
        GraphError
            A node's parameters do not go together.

        Warns
        -----
        ParameterMismatchWarning
            A gradient node's parameters differ from its forward node's.
        """
        old = self._network
        try:
            self._network = old.with_parameters()
            self._load()
        except BaseException:
            self._network = old
            raise

    def to_json(self) -> str:
        """Write the graph as JSON; `from_json` reads it.

        Returns
        -------
        str
            Nodes, parameters, connections and device (a `Device` as its kind). No arrays.

        Raises
        ------
        GraphError
            A handle is neither a string, an int nor None.
        """
        from spatialnorm.graph._json import to_json

        return to_json(self)

    @classmethod
    def from_json(cls, text: str | bytes, device: str | Device | None = None) -> Graph:
        """Make a graph from what `to_json` wrote. Nothing in the text is executed.

        Parameters
        ----------
        text : str or bytes
            JSON, from any source: what is wrong with it is said by `GraphError`.
        device : str or Device, optional
            In place of the device that the text names.

        Returns
        -------
        Graph
            Its `nodes` are new.

        Raises
        ------
        GraphError
            The text is no JSON, or describes no graph.
        RuntimeError
            The device is not there or cannot run.
        """
        from spatialnorm.graph._json import from_json

        return from_json(text, device)

    def __reduce__(self) -> tuple[Callable[..., Graph], tuple[Any, ...]]:
        """Pickle the description; programs are made anew."""
        from spatialnorm.graph._json import build, describe

        return build, (describe(self),)
