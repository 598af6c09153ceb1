"""Graphs on Metal: one command buffer and one wait."""

import numpy as np
import pytest
from metal_device import LIBRARY, count, counted, needs_emulation, needs_metal, planted
from test_graph_cases import chain, norm_node, norm_of

from spatialnorm.graph import AdditionNode, Graph, ImageNode

pytestmark = needs_metal


def one_wait(graph, *arguments):
    """Run twice; the second run, which has its buffers and kernels, must cost one command buffer and one wait."""
    graph.run(*arguments)
    waits = count("waits") if LIBRARY else 0
    with counted() as grown:
        graph.run(*arguments)
    assert grown["command_buffers"] == 1
    assert grown["staged_buffers"] == grown["allocated_buffers"] == 0
    if LIBRARY:
        assert count("waits") == waits + 1
    return grown["runs"]


def assert_like_cpu(graph, sources, results, rtol=1e-3):
    """Compare with the same graph on the CPU, in parts of the largest value."""
    for result, expected in zip(results, Graph.from_json(graph.to_json(), "cpu").run(sources), strict=True):
        assert result.dtype == expected.dtype
        wide = expected.astype("f4")
        assert np.abs(result.astype("f4") - wide).max() <= rtol * np.abs(wide).max()


@pytest.fixture
def images(rng):
    return rng.normal(size=(2, 2, 3, 19, 23)).astype("f4")


def test_chain_of_ten(images):
    nodes = chain(ImageNode("x"), 10)
    graph = Graph(nodes[-1].result_image, device="metal")
    out = np.empty_like(images[0])
    assert one_wait(graph, {"x": images[0]}, out) == 10
    expected = images[0]
    for node in nodes:
        expected = norm_of(node)(expected)
    np.testing.assert_allclose(out, expected, rtol=2e-4)


def test_forward_and_gradient(images):
    nodes = chain(ImageNode("x"), 3)
    (last,) = nodes[-1].training_graph(ImageNode("dy"))
    graph = Graph([nodes[-1].result_image, last.result_image], device="metal")
    outs = [np.empty_like(images[0]) for _ in range(2)]
    assert one_wait(graph, {"x": images[0], "dy": images[1]}, outs) == 6


def test_result_that_is_read_again(images):
    a, b, c = chain(ImageNode("x"), 3)
    graph = Graph([a.result_image, b.result_image, c.result_image], device="metal")
    assert one_wait(graph, {"x": images[0]}) == 3


def test_addition(images):
    a, b = chain(ImageNode("x"), 2)
    last = AdditionNode(a.result_image, b.result_image)
    (end,) = chain(last.result_image, 1)
    graph = Graph(end.result_image, device="metal")
    assert one_wait(graph, {"x": images[0]}) == 4
    first = norm_of(a)(images[0])
    expected = norm_of(end)(first + norm_of(b)(first))
    np.testing.assert_allclose(graph.run({"x": images[0]}), expected, rtol=2e-4)


def test_addition_alone(images):
    graph = Graph(AdditionNode(ImageNode("x"), ImageNode("y")).result_image, device="metal")
    assert one_wait(graph, {"x": images[0], "y": images[1]}) == 1
    np.testing.assert_array_equal(graph.run({"x": images[0], "y": images[1]}), images[0] + images[1])


def test_gradients_that_meet(images):
    """Four residual blocks, forward and backward: an addition at every fork, on both ways."""
    image = ImageNode("x")
    for i in range(4):
        node = norm_node(image, 2 + i, beta=0.5)
        total = AdditionNode(node.result_image, image)
        image = total.result_image
    (last,) = total.training_graph(ImageNode("dy"))
    graph = Graph([image, last.result_image], device="metal")
    outs = [np.empty_like(images[0]) for _ in range(2)]
    assert one_wait(graph, {"x": images[0], "dy": images[1]}, outs) == 2 * (4 + 4)
    assert_like_cpu(graph, {"x": images[0], "dy": images[1]}, outs)


@pytest.mark.parametrize("kind", ["float16", "bfloat16"])
def test_intermediates_of_16_bits(images, kind):
    if kind == "bfloat16":
        pytest.importorskip("ml_dtypes")
    nodes = chain(ImageNode("x"), 4)
    for node in nodes[:-1]:
        node.result_image.format = kind
    (last,) = nodes[-1].training_graph(ImageNode("dy"))
    graph = Graph([nodes[-1].result_image, nodes[1].result_image, last.result_image], device="metal")
    sources = {"x": images[0], "dy": images[1]}
    results = graph.run(sources)
    assert results[1].dtype.name == kind
    outs = [np.empty_like(result) for result in results]
    one_wait(graph, sources, outs)
    assert_like_cpu(graph, sources, outs, rtol=0.1 if kind == "bfloat16" else 0.02)


def test_result_that_is_a_source_and_one_given_twice(images):
    x = ImageNode("x")
    (node,) = chain(x, 1)
    y = node.result_image
    y.format = "float16"
    total = AdditionNode(y, x)
    graph = Graph([total.result_image, y, x], device="metal")
    outs = [np.empty_like(result) for result in graph.run({"x": images[0]})]
    one_wait(graph, {"x": images[0]}, outs)
    np.testing.assert_array_equal(outs[2], images[0])
    np.testing.assert_array_equal(outs[0], outs[1].astype("f4") + images[0])


def test_addition_in_place(images):
    x, y = images[0].copy(), images[1]
    graph = Graph(AdditionNode(ImageNode("x"), ImageNode("y")).result_image, device="metal")
    with counted() as grown:
        graph.run({"x": x, "y": y}, x)
    assert (grown["command_buffers"], grown["staged_buffers"]) == (1, 0)
    np.testing.assert_array_equal(x, images[0] + y)


def test_batch(images):
    """One command buffer for each set of sources."""
    nodes = chain(ImageNode("x"), 2)
    graph = Graph(AdditionNode(nodes[0].result_image, nodes[1].result_image).result_image, device="metal")
    batch = [{"x": image} for image in images]
    expected = graph.run_batch(batch)
    with counted() as grown:
        results = graph.run_batch(batch)
    assert (grown["command_buffers"], grown["runs"]) == (2, 6)
    np.testing.assert_array_equal(results, expected)


@needs_emulation
def test_failure(images):
    nodes = chain(ImageNode("x"), 3)
    graph = Graph(nodes[-1].result_image, device="metal")
    out = np.full_like(images[0], 7)
    graph.run({"x": images[0]})
    with planted("command_buffer", "hang"), pytest.raises(RuntimeError, match="hang"):
        graph.run({"x": images[0]}, out)
    assert (out == 7).all()
