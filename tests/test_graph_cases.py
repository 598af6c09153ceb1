"""Parts that the tests of graphs share."""

import numpy as np
from cases import DEVICE

import spatialnorm as sn
from spatialnorm.graph import AdditionNode, Graph, ImageNode, SpatialNormalizationNode


def norm_node(source, kernel_size=3, label=None, **parameters):
    node = SpatialNormalizationNode(source, kernel_size)
    node.label = label
    for name, value in parameters.items():
        setattr(node, name, value)
    return node


def chain(source, n):
    """Nodes one after the other, none like another."""
    nodes = []
    for i in range(n):
        nodes.append(norm_node(source, 2 + i % 4, f"node {i}", beta=0.25 + 0.1 * i, alpha=0.5))
        source = nodes[-1].result_image
    return nodes


def norm_of(node):
    """The reusable object with a node's parameters."""
    size = node.kernel_height, node.kernel_width
    return sn.SpatialNorm(size, node.alpha, node.beta, node.delta, edge=node.padding_policy, device=DEVICE)


def training(x=None, device=DEVICE):
    """y and dx of two nodes and an addition."""
    x = x or ImageNode("x")
    total = AdditionNode(chain(x, 2)[-1].result_image, x)
    total.result_image.handle = "y"
    (last,) = total.training_graph(ImageNode("dy"))
    return Graph([total.result_image, last.result_image], device=device)


def random_images(rng, shape=(2, 2, 3, 13, 17)):
    return rng.normal(size=shape).astype(np.float32)
