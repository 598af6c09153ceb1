"""From a graph of forward nodes to the gradient nodes that belong to it."""

from __future__ import annotations

from typing import Any

from spatialnorm.graph._addition import AdditionNode
from spatialnorm.graph._nodes import FilterNode, ImageNode, NodeHandler
from spatialnorm.graph._order import execution_order


def training_graph(last: FilterNode, source_gradient: Any, node_handler: NodeHandler | None) -> list[FilterNode]:
    """Build what `FilterNode.training_graph` returns."""
    if source_gradient is None:
        source_gradient = last.result_image
    elif not isinstance(source_gradient, ImageNode):
        raise TypeError(f"source_gradient must be an ImageNode or None, not {source_gradient!r}")
    if node_handler is not None and not callable(node_handler):
        raise TypeError(f"node_handler must be callable or None, not {node_handler!r}")
    return _Walk(node_handler).run(last, source_gradient)


class _Walk:
    """One walk backwards. Every node comes after all that read its result, so its gradient is complete."""

    def __init__(self, node_handler: NodeHandler | None) -> None:
        self.node_handler = node_handler
        self.gradients: dict[ImageNode, ImageNode] = {}  # the gradient of each image, so far
        self.makers: dict[ImageNode, FilterNode] = {}  # the node that makes it
        self.pruned: list[FilterNode] = []

    def run(self, last: FilterNode, source_gradient: ImageNode) -> list[FilterNode]:
        nodes = execution_order([last.result_image], stop_gradient=True)
        self.gradients[last.result_image] = source_gradient
        for node in reversed(nodes):
            # A branch that the handler pruned leaves nodes without a gradient.
            gradient = self.gradients.pop(node.result_image, None)
            if gradient is not None:
                self.finish(node.result_image, gradient)
                self.makers.pop(node.result_image, None)
                for filter_node, source in zip(node.gradient_filters(gradient), node.source_images, strict=True):
                    self.add(filter_node, node, source, gradient)
        for image, gradient in self.gradients.items():
            self.finish(image, gradient)
        return [*self.makers.values(), *self.pruned]

    def finish(self, image: ImageNode, gradient: ImageNode) -> None:
        """Do what the default handler does with a gradient that is complete."""
        if self.node_handler is None and image in self.makers:
            gradient.handle = image.handle

    def add(self, node: FilterNode, forward: FilterNode, source: ImageNode, gradient: ImageNode) -> None:
        """Take up a new gradient node, and add its result to the gradient that the image has already."""
        if self.pruned_by_handler(node, forward, source, gradient):
            return
        if source in self.gradients:
            first = self.gradients[source]
            node = AdditionNode(first, node.result_image)
            if self.pruned_by_handler(node, None, source, first):
                del self.gradients[source], self.makers[source]
                return
        self.gradients[source] = node.result_image
        self.makers[source] = node

    def pruned_by_handler(
        self, node: FilterNode, forward: FilterNode | None, source: ImageNode, gradient: ImageNode
    ) -> bool:
        if self.node_handler is not None:
            self.node_handler(node, forward, source, gradient)
        if node.result_image.stop_gradient:
            self.pruned.append(node)
        return node.result_image.stop_gradient
