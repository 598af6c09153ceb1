"""The order in which nodes run."""

from __future__ import annotations

from collections.abc import Sequence

from spatialnorm.graph._errors import GraphError
from spatialnorm.graph._nodes import FilterNode, ImageNode


def execution_order(images: Sequence[ImageNode], *, stop_gradient: bool = False) -> list[FilterNode]:
    """List the nodes that the images need, each after those it reads from.

    Parameters
    ----------
    images : sequence of ImageNode
        What is wanted.
    stop_gradient : bool
        Whether to go no further than images with `stop_gradient`.

    Raises
    ------
    GraphError
        The nodes are in a cycle.
    """
    order: list[FilterNode] = []
    done: set[FilterNode] = set()
    path: dict[FilterNode, None] = {}  # the nodes entered and not yet left
    # A stack of its own: graphs may be deeper than Python's.
    stack = [(image, False) for image in reversed(images)]
    while stack:
        image, leave = stack.pop()
        node = image._producer
        if node is None or node in done or (stop_gradient and image.stop_gradient):
            continue
        if leave:
            del path[node]
            done.add(node)
            order.append(node)
        elif node in path:
            names = list(path)
            cycle = ", ".join(n.name for n in names[names.index(node) :])
            raise GraphError(f"nodes must not be in a cycle, but each of these reads from the next: {cycle}")
        else:
            path[node] = None
            stack.append((image, True))
            stack += [(source, False) for source in reversed(node.source_images)]
    return order
