"""Nodes and graphs, in the vocabulary of MPSNNGraph (docs/mps.md says what corresponds to what).

>>> import numpy as np
>>> from spatialnorm.graph import Graph, ImageNode, SpatialNormalizationNode
>>> node = SpatialNormalizationNode(ImageNode("x"), kernel_size=5)
>>> graph = Graph(node.result_image)
>>> graph.run({"x": np.ones((1, 3, 8, 8), np.float32)}).shape
(1, 3, 8, 8)
"""

from spatialnorm.graph._addition import AdditionGradientNode, AdditionNode
from spatialnorm.graph._errors import GraphError, ParameterMismatchWarning
from spatialnorm.graph._graph import Graph
from spatialnorm.graph._nodes import FilterNode, GradientFilterNode, GradientStateNode, ImageNode, StateNode
from spatialnorm.graph._spatial import NormalizationNode, SpatialNormalizationGradientNode, SpatialNormalizationNode

__all__ = [
    "AdditionGradientNode",
    "AdditionNode",
    "FilterNode",
    "GradientFilterNode",
    "GradientStateNode",
    "Graph",
    "GraphError",
    "ImageNode",
    "NormalizationNode",
    "ParameterMismatchWarning",
    "SpatialNormalizationGradientNode",
    "SpatialNormalizationNode",
    "StateNode",
]
