"""Buffers: how many, how long, and what is allocated in a run."""

import os
import platform
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from cases import DEVICE
from programs import tool
from test_graph_cases import chain, norm_node, norm_of, training

import spatialnorm as sn
from spatialnorm.graph import AdditionNode, Graph, ImageNode
from spatialnorm.graph import _program as program


@pytest.fixture
def x():
    return ImageNode("x")


@pytest.fixture
def allocations(monkeypatch):
    """Sizes of all buffers that graphs allocate."""
    sizes = []

    def counting(shape, dtype):
        sizes.append(shape)
        return sn.empty(shape, dtype)

    monkeypatch.setattr(program, "empty", counting)
    return sizes


def test_ten_nodes_use_few_buffers(x, images, allocations, device):
    nodes = chain(x, 10)
    graph = Graph(nodes[-1].result_image, device=device)
    expected = images[0]
    for node in nodes:
        expected = norm_of(node)(expected)
    np.testing.assert_array_equal(graph(images[0]), expected)
    assert 1 <= len(allocations) <= 3
    assert max(allocations) == images[0].nbytes


def test_ten_nodes_with_forks_use_few_buffers(x, images, allocations, device):
    """Four residual blocks and what joins them."""
    image, expected = x, images[0]
    for i in range(5):
        node = norm_node(image, 3 + i, beta=0.5)
        image = AdditionNode(node.result_image, image).result_image
        expected = norm_of(node)(expected) + expected
    graph = Graph(image, device=device)
    assert len(graph.nodes) == 10
    np.testing.assert_array_equal(graph(images[0]), expected)
    assert 1 <= len(allocations) <= 3


def test_training_graph_keeps_what_its_widest_point_needs(x, images, allocations, device):
    """Five nodes forward, five backward: four results are kept for the way back, and one gradient."""
    nodes = chain(x, 5)
    (last,) = nodes[-1].training_graph(ImageNode("dy"))
    Graph(last.result_image, device=device).run({"x": images[0], "dy": images[1]})
    assert len(allocations) <= 5


def test_nothing_is_allocated_from_the_second_run_on(x, rng, allocations, device):
    graph = training(x, device)
    a, dy = rng.normal(size=(2, 1, 1, 300, 300)).astype("f4")
    outs = [np.empty_like(a), np.empty_like(a)]
    sources = {"x": a, "dy": dy}
    graph.run(sources, outs)
    count = len(allocations)
    (buffers,) = next(iter(graph._programs.values())).pool
    tracemalloc.start()
    try:
        for _ in range(3):
            graph.run(sources, outs)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(allocations) == count
    (after,) = next(iter(graph._programs.values())).pool
    assert after is buffers
    assert peak < a.nbytes / 20  # Python's own small objects
    tracemalloc.start()
    try:
        graph.run(sources)  # two new results: the measurement sees arrays
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak > 2 * a.nbytes


# Ten nodes, then ten nodes there and back with images in float16 between them, then additions, on both sizes.
HUNDRED_RUNS = """
import ctypes, numpy as np
from test_graph_cases import Graph, ImageNode, chain, training

calls, largest = (ctypes.c_long.in_dll(ctypes.CDLL(None), n) for n in ("count_allocations", "largest_allocation"))
nodes = chain(ImageNode("x"), 10)
(last,) = nodes[-1].training_graph(ImageNode("dy"))
y, dx = nodes[-1].result_image, last.result_image
graphs = [Graph([y], "cpu"), Graph([y, dx], "cpu"), training(ImageNode("x"), "cpu")]
for node in nodes[:-1]:
    node.result_image.format = "float16"
graphs.append(Graph([y, dx], "cpu"))
for size in (16, 300):
    a, *outs = np.ones((3, size, size), "f4")
    for graph in graphs:
        sources = {handle: a for handle in graph.source_image_handles}
        mine = outs[: len(graph.result_handles)]
        graph.run(sources, mine), graph.run(sources, mine)
        print(largest.value, end=" ")
        calls.value = largest.value = 0
        for _ in range(100):
            graph.run(sources, mine)
        print(calls.value, largest.value)
        calls.value = largest.value = 0
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="interposes glibc's allocator, which this system lacks")
@pytest.mark.skipif(DEVICE != "cpu", reason="counts what the library allocates on the CPU")
def test_the_allocator_is_left_alone_from_the_second_run_on(tmp_path):
    """Of the whole process: the core, NumPy, the interpreter. NumPy asks for 32 bytes to compare two arrays' memory."""
    counter = tmp_path / "count_allocations.so"
    source = Path(__file__).parent / "native" / "count_allocations.c"
    subprocess.run([tool("cc", "gcc", "clang"), "-shared", "-fPIC", "-O2", source, "-o", counter], check=True)
    environment = {**os.environ, "LD_PRELOAD": str(counter), "PYTHONPATH": str(Path(__file__).parent)}
    command = [sys.executable, "-c", HUNDRED_RUNS]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    rows = [[int(word) for word in line.split()] for line in done.stdout.splitlines()]
    assert len(rows) == 8
    for first_largest, calls, largest in rows:
        assert first_largest > 1000  # what is counted is seen
        assert largest <= 64, rows
        assert calls <= 100 * 2 * 2, rows  # a pair of sources and outputs each


def test_the_graph_keeps_no_array_of_the_caller(x, images):
    import sys

    graph = training(x, DEVICE)
    a, dy, y, dx = (images[0].copy() for _ in range(4))
    before = [sys.getrefcount(array) for array in (a, dy, y, dx)]
    graph.run({"x": a, "dy": dy}, [y, dx])
    assert [sys.getrefcount(array) for array in (a, dy, y, dx)] == before


def test_reload_from_nodes(x, images, allocations, device):
    a, b, c = chain(x, 3)
    graph = Graph(c.result_image, device=device)
    out = np.empty_like(images[0])
    graph.run({"x": images[0]}, out)
    count = len(allocations)
    b.beta, b.alpha, b.kernel_height = 0.9, 0.1, 7
    graph.reload_from_nodes()
    graph.run({"x": images[0]}, out)
    np.testing.assert_array_equal(out, norm_of(c)(norm_of(b)(norm_of(a)(images[0]))))
    assert len(allocations) == count


def test_format_saves_memory(x, allocations, device):
    """Images kept from the forward to the backward pass take half the memory in float16."""
    sizes = {}
    for kind in (None, "float16"):
        nodes = chain(ImageNode("x"), 16)
        for node in nodes:
            node.result_image.format = kind
        (last,) = nodes[-1].training_graph(ImageNode("dy"))
        allocations.clear()
        graph = Graph(last.result_image, device=device)
        a = np.ones((32, 32), "f4")
        graph.run({"x": a, "dy": a})
        sizes[kind] = sum(allocations)
    assert sizes["float16"] < 0.75 * sizes[None]
