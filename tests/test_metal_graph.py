"""Graphs on Metal: one command buffer and one wait."""

import numpy as np
import pytest
from metal_device import LIBRARY, count, counted, needs_emulation, needs_metal, planted
from test_graph_cases import chain, norm_of

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


def test_addition_is_numpys_and_parts_the_command_buffers(images):
    a, b = chain(ImageNode("x"), 2)
    last = AdditionNode(a.result_image, b.result_image)
    (end,) = chain(last.result_image, 1)
    graph = Graph(end.result_image, device="metal")
    graph.run({"x": images[0]})
    with counted() as grown:
        graph.run({"x": images[0]})
    assert (grown["runs"], grown["command_buffers"]) == (3, 2)


@needs_emulation
def test_failure(images):
    nodes = chain(ImageNode("x"), 3)
    graph = Graph(nodes[-1].result_image, device="metal")
    out = np.full_like(images[0], 7)
    graph.run({"x": images[0]})
    with planted("command_buffer", "hang"), pytest.raises(RuntimeError, match="hang"):
        graph.run({"x": images[0]}, out)
    assert (out == 7).all()
