"""What a graph is, and what is none."""

import numpy as np
import pytest
from cases import DEVICE
from test_graph_cases import chain, norm_node, norm_of

import spatialnorm as sn
from spatialnorm.graph import AdditionNode, Graph, GraphError, ImageNode


@pytest.fixture
def x():
    return ImageNode("x")


# What a graph is ----------------------------------------------------------------------------------------------


def test_handles(x):
    a, b = chain(x, 2)
    a.result_image.handle = "hidden"
    a.result_image.export_from_graph = True
    b.result_image.handle = "y"
    (last,) = b.training_graph(ImageNode("dy"))
    graph = Graph([b.result_image, last.result_image])
    assert graph.source_image_handles == ("x", "dy")
    assert graph.intermediate_image_handles == ("hidden",)
    assert graph.result_handles == ("y", "x")
    assert repr(graph) == "<Graph of 4 nodes, sources 'x', 'dy', results 'y', 'x'>"


def test_handles_of_any_kind(images, device):
    handles = [("a", 1), 7]
    a, b = map(ImageNode, handles)
    graph = Graph(AdditionNode(a, b).result_image, device=device)
    assert graph.source_image_handles == tuple(handles)
    np.testing.assert_array_equal(graph.run({7: images[1], ("a", 1): images[0]}), images[0] + images[1])


def test_unneeded_nodes_are_pruned(x, images, monkeypatch, device):
    """A result may be an interior image; what comes after it is not run."""
    a, b, c = chain(x, 3)
    unneeded = AdditionNode(b.result_image, ImageNode("never given"))
    graph = Graph(b.result_image, device=device)
    assert graph.nodes == (a, b)
    assert graph.source_image_handles == ("x",)
    np.testing.assert_array_equal(graph(images[0]), norm_of(b)(norm_of(a)(images[0])))
    assert unneeded not in graph.nodes
    assert c not in graph.nodes


def test_forward_node_is_not_run_for_its_gradient(x, images, device):
    """The gradient needs the forward node's parameters and source, not its result."""
    node = norm_node(x, 5, beta=0.75)
    (last,) = node.training_graph(ImageNode("dy"))
    graph = Graph(last.result_image, device=device)
    assert graph.nodes == (last,)
    expected = norm_of(node).gradient(images[1], images[0])
    np.testing.assert_array_equal(graph.run({"x": images[0], "dy": images[1]}), expected)


def test_later_changes_to_nodes_do_not_reach_the_graph(x, images, device):
    node = norm_node(x, 5)
    graph = Graph(node.result_image, device=device)
    before = graph(images[0])
    text = graph.to_json()
    node.beta, node.label, x.handle = 0.5, "other", "z"
    np.testing.assert_array_equal(graph(images[0]), before)
    assert graph.source_image_handles == ("x",)
    assert graph.to_json() == text


def test_reload_of_one_node(x, images, device):
    node = norm_node(x, 5)
    graph = Graph(node.result_image, device=device)
    graph(images[0])
    node.beta = 0.5
    graph.reload_from_nodes()
    np.testing.assert_array_equal(graph(images[0]), norm_of(node)(images[0]))


def test_axes_and_gradient(x, rng):
    node = norm_node(x, (2, 5), beta=0.75)
    (last,) = node.training_graph(ImageNode("dy"))
    a, dy = rng.normal(size=(2, 2, 9, 8, 3)).astype("f4")
    graph = Graph(last.result_image, DEVICE, axes=(1, 2), gradient="documented")
    expected = sn.spatial_norm_gradient(dy, a, (2, 5), 1, 0.75, 1, axes=(1, 2), gradient="documented", device=DEVICE)
    np.testing.assert_array_equal(graph.run({"x": a, "dy": dy}), expected)
    node.padding_policy = last.padding_policy = "clamp"
    with pytest.raises(GraphError, match='SpatialNormalizationGradientNode: gradient="documented" is defined for'):
        Graph(last.result_image, DEVICE, gradient="documented")


# What is no graph ---------------------------------------------------------------------------------------------


def test_cycle(x):
    a, b, c = chain(x, 3)
    a._sources = (c.result_image,)
    with pytest.raises(GraphError, match=r"cycle.*: 'node 2' \(.*\), 'node 1' \(.*\), 'node 0' \(") as caught:
        Graph(c.result_image)
    assert "SpatialNormalizationNode" in str(caught.value)
    with pytest.raises(GraphError, match="cycle"):
        c.training_graph()
    a._sources = (a.result_image,)
    with pytest.raises(GraphError, match="'node 0'"):
        Graph(b.result_image)


def test_image_from_nowhere(x):
    with pytest.raises(GraphError, match=r"but 'lost' .* reads an image from nowhere"):
        Graph(norm_node(ImageNode(), label="lost").result_image)
    with pytest.raises(GraphError, match="from nowhere"):
        Graph(ImageNode())


def test_two_images_for_one_handle(x):
    a, b = norm_node(x, label="a"), norm_node(x, label="b")
    a.result_image.handle = b.result_image.handle = "y"
    with pytest.raises(GraphError, match="result handles must differ, but two results have 'y', one from 'b'"):
        Graph([a.result_image, b.result_image])
    Graph(AdditionNode(a.result_image, b.result_image).result_image)  # interior: nobody asks for them by handle
    b.result_image.export_from_graph = True
    with pytest.raises(GraphError, match="two results have 'y'"):
        Graph([a.result_image, norm_node(b.result_image).result_image])
    with pytest.raises(GraphError, match="source handles must differ, but two image nodes have 'x'"):
        Graph(AdditionNode(a.result_image, ImageNode("x")).result_image)
    with pytest.raises(GraphError, match="every image once"):
        Graph([a.result_image, a.result_image])


def test_other_bad_graphs(x):
    node = norm_node(x, label="a")
    with pytest.raises(GraphError, match="at least one image"):
        Graph([])
    with pytest.raises(TypeError, match="did you mean its result_image"):
        Graph(node)
    with pytest.raises(TypeError, match="result_images"):
        Graph(["x"])
    with pytest.raises(ValueError, match="device must be"):
        Graph(node.result_image, "gpu")
    with pytest.raises(ValueError, match="gradient must be"):
        Graph(node.result_image, gradient="right")
    x.format = "float16"
    with pytest.raises(GraphError, match="take no format, but 'x' has 'float16'"):
        Graph(node.result_image)
    x.format = None
    node.result_image.export_from_graph = True
    with pytest.raises(GraphError, match="must have a handle, but that of 'a'"):
        Graph(node.result_image)
