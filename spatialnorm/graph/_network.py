"""A graph as it was when `Graph` was made: later changes to the nodes do not reach it."""

from __future__ import annotations

import warnings
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from spatialnorm.graph._errors import GraphError, ParameterMismatchWarning
from spatialnorm.graph._nodes import FilterNode, ImageNode
from spatialnorm.graph._order import execution_order
from spatialnorm.graph._spatial import SpatialNormalizationGradientNode


@dataclass(frozen=True)
class Image:
    """An image node, as it was."""

    node: ImageNode
    handle: Hashable
    format: str | None


@dataclass(frozen=True)
class Filter:
    """A filter node, as it was. Images are numbered as in `Network.images`."""

    node: FilterNode
    name: str
    label: str | None
    parameters: dict[str, Any]
    sources: tuple[int, ...]
    result: int


@dataclass(frozen=True)
class Network:
    """What a graph computes.

    Attributes
    ----------
    images : tuple of Image
        Sources first.
    filters : tuple of Filter
        In the order of execution.
    n_sources : int
        How many images are sources.
    results, exported : tuple of int
        Images to return, and to hand out as intermediate images.
    """

    images: tuple[Image, ...]
    filters: tuple[Filter, ...]
    n_sources: int
    results: tuple[int, ...]
    exported: tuple[int, ...]

    def handles(self, images: Iterable[int]) -> tuple[Hashable, ...]:
        """Name images by their handles."""
        return tuple(self.images[i].handle for i in images)

    @property
    def source_handles(self) -> tuple[Hashable, ...]:
        """Name the sources."""
        return self.handles(range(self.n_sources))

    def with_parameters(self) -> Network:
        """Read the nodes' parameters again."""
        filters = tuple(replace(f, parameters=read_parameters(f.node)) for f in self.filters)
        return replace(self, filters=filters)

    def warn_of_mismatches(self, stacklevel: int) -> None:
        """Compare gradient nodes with their forward nodes; the caller has `stacklevel` 1."""
        for f in self.filters:
            if isinstance(f.node, SpatialNormalizationGradientNode) and (text := f.node._mismatch()):
                warnings.warn(text, ParameterMismatchWarning, stacklevel=stacklevel + 1)


def read_parameters(node: FilterNode) -> dict[str, Any]:
    """Say what a node does."""
    return {name: getattr(node, name) for name in node._parameters}


def read_nodes(result_images: Sequence[ImageNode]) -> Network:
    """Read what the results need, and check that it is a graph.

    Raises
    ------
    GraphError
        It is none; the message names the node or the handle.
    """
    if not result_images:
        raise GraphError("result_images must have at least one image, but is empty")
    if len(set(result_images)) != len(result_images):
        raise GraphError("result_images must have every image once, but has one twice")
    order = execution_order(result_images)
    read = [image for node in order for image in node.source_images]
    sources = list(dict.fromkeys(image for image in [*read, *result_images] if image._producer is None))
    made = [node.result_image for node in order]
    numbers = {image: i for i, image in enumerate([*sources, *made])}
    _check_sources(sources, order)
    exported = [image for image in made if image.export_from_graph]
    _check_results(result_images, exported)
    return Network(
        tuple(Image(image, image.handle, image.format) for image in numbers),
        tuple(
            Filter(
                node,
                node.name,
                node.label,
                read_parameters(node),
                tuple(numbers[image] for image in node.source_images),
                numbers[node.result_image],
            )
            for node in order
        ),
        len(sources),
        tuple(numbers[image] for image in result_images),
        tuple(numbers[image] for image in exported),
    )


def _check_sources(sources: list[ImageNode], order: list[FilterNode]) -> None:
    seen: set[Hashable] = set()
    for image in sources:
        if image.handle is None:
            reader = next((node.name for node in order if image in node.source_images), "the graph's result")
            raise GraphError(
                f"every image must come from a node or have a handle, but {reader} reads an image from nowhere"
            )
        if image.handle in seen:
            raise GraphError(
                f"source handles must differ, but two image nodes have {image.handle!r}; use one ImageNode for both"
            )
        if image.format is not None:
            raise GraphError(
                f"sources are used as they are given and take no format, but {image.handle!r} has {image.format!r}"
            )
        seen.add(image.handle)


def _check_results(results: Sequence[ImageNode], exported: list[ImageNode]) -> None:
    seen: set[Hashable] = set()
    for image in dict.fromkeys([*results, *exported]):
        name = image._producer.name if image._producer is not None else "a source"
        if image.handle is None and image in exported:
            raise GraphError(f"an image with export_from_graph must have a handle, but that of {name} has none")
        if image.handle is not None and image.handle in seen:
            raise GraphError(f"result handles must differ, but two results have {image.handle!r}, one from {name}")
        seen.add(image.handle)
