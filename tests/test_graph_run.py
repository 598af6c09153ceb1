"""Running graphs: sources, formats, threads."""

import os
import subprocess
import sys
import threading
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import pytest
from cases import BFLOAT16, FLOAT16, FLOAT32, FLOAT64, needs_float64
from test_graph_cases import chain, norm_node, norm_of, training

from spatialnorm.graph import AdditionNode, Graph, GraphError, ImageNode


@pytest.fixture
def x():
    return ImageNode("x")


# Running ------------------------------------------------------------------------------------------------------


def test_one_result_or_several(x, images, device):
    a, b = chain(x, 2)
    expected = norm_of(a)(images[0]), norm_of(b)(norm_of(a)(images[0]))
    alone = Graph(b.result_image, device=device)(images[0])
    assert isinstance(alone, np.ndarray)
    np.testing.assert_array_equal(alone, expected[1])
    in_list = Graph([b.result_image], device=device)(images[0])
    assert isinstance(in_list, tuple)
    assert len(in_list) == 1
    both = Graph([b.result_image, a.result_image], device=device).run({"x": images[0]})
    np.testing.assert_array_equal(both[0], expected[1])
    np.testing.assert_array_equal(both[1], expected[0])


def test_source_as_result(x, images, device):
    y, same = Graph([norm_node(x).result_image, x], device=device)(images[0])
    assert not np.shares_memory(same, images[0])
    np.testing.assert_array_equal(same, images[0])


def test_both_gradients_of_an_addition_are_arrays_of_their_own(images, device):
    ends = AdditionNode(ImageNode("a"), ImageNode("b")).training_graph(ImageNode("dy"))
    left, right = Graph([node.result_image for node in ends], device=device)(images[0])
    assert not np.shares_memory(left, right)
    np.testing.assert_array_equal(left, images[0])
    np.testing.assert_array_equal(right, images[0])


def test_unknown_and_missing_handles(x, images, device):
    for n in (1, 2):
        graph = Graph(chain(x, n)[-1].result_image, device=device)
        with pytest.raises(GraphError, match="every source needs an array, but 'x' has none"):
            graph.run({})
        with pytest.raises(GraphError, match="every source needs an array, but 'x' has none"):
            graph.run({"z": images[0]})
        with pytest.raises(GraphError, match="'z' is no source of the graph, which has 'x'"):
            graph.run({"x": images[0], "z": images[0]})
        with pytest.raises(GraphError, match="the graph has the sources 'x', but 2 arrays are given"):
            graph(images[0], images[0])
        with pytest.raises(TypeError, match="sources must be a dictionary"):
            graph.run([images[0]])


def test_shapes_that_disagree(images, device):
    a, b = ImageNode("a"), ImageNode("b")
    addition = AdditionNode(norm_node(a).result_image, b)
    addition.label = "sum"
    graph = Graph(addition.result_image, device=device)
    with pytest.raises(GraphError, match=r"source images of 'sum' .* \(2, 3, 13, 17\) .*'b'\) has \(2, 3, 13, 16\)"):
        graph.run({"a": images[0], "b": images[1][..., 1:]})
    gradient = norm_node(a, label="forward").gradient_filter(b)
    gradient.label = "backward"
    graph = Graph(gradient.result_image, device=device)
    with pytest.raises(GraphError, match="source images of 'backward'"):
        graph.run({"a": images[0], "b": images[1][..., 1:]})


def test_two_parts_may_have_two_shapes(images, device):
    a, b = ImageNode("a"), ImageNode("b")
    graph = Graph([norm_node(a).result_image, norm_node(b).result_image], device=device)
    left, right = graph(images[0], images[1][..., 1:])
    assert (left.shape, right.shape) == ((2, 3, 13, 17), (2, 3, 13, 16))


@pytest.mark.parametrize("n", [1, 3])
def test_bad_arrays(n, x, images, device):
    nodes = chain(x, n)
    graph = Graph(nodes[-1].result_image, device=device)
    with pytest.raises(TypeError, match=r"source 'x' must be .* not int64"):
        graph(np.zeros((4, 4), np.int64))
    with pytest.raises(TypeError, match="byte order"):
        graph(np.zeros((4, 4), np.dtype("f4").newbyteorder()))
    with pytest.raises(TypeError, match=r"source 'x' must be an array .* not list"):
        graph([[1.0]])
    with pytest.raises(TypeError, match="masked"):
        graph(np.ma.masked_array(images[0]))
    with pytest.raises(GraphError, match=r"source 'x' must have at least 2 axes, but its shape is \(4,\)"):
        graph(np.zeros(4, "f4"))
    far = Graph(nodes[-1].result_image, device=device, axes=(0, 5))
    with pytest.raises(GraphError, match=r"'node 0' .*: axes must name two different ones"):
        far(images[0])


def test_sources_must_have_one_dtype(images):
    graph = Graph(AdditionNode(ImageNode("a"), ImageNode("b")).result_image)
    with pytest.raises(TypeError, match="sources must have one dtype, but 'a' has float32 and 'b' float16"):
        graph(images[0], images[1].astype("f2"))


def test_other_arrays(x, images, device):
    """Anything with a buffer; strides as they are."""
    nodes = chain(x, 2)
    graph = Graph(nodes[-1].result_image, device=device)
    view = images[0][..., ::-1, ::2]
    expected = norm_of(nodes[1])(norm_of(nodes[0])(view))
    np.testing.assert_array_equal(graph(view), expected)
    out = memoryview(np.empty(view.shape, "f4"))
    assert graph(memoryview(view), out=out) is out
    np.testing.assert_array_equal(np.asarray(out), expected)


def test_dlpack(x, images, device):
    class Exporter:
        def __init__(self, array):
            self.array = array

        def __dlpack__(self, **options):
            return self.array.__dlpack__(**options)

        def __dlpack_device__(self):
            return self.array.__dlpack_device__()

    nodes = chain(x, 2)
    result = Graph(nodes[-1].result_image, device=device)(Exporter(images[0]))
    np.testing.assert_array_equal(result, norm_of(nodes[1])(norm_of(nodes[0])(images[0])))


def test_empty_arrays(x, device):
    graph = Graph(chain(x, 3)[-1].result_image, device=device)
    for shape in ((0, 4), (3, 0), (2, 0, 5, 5)):
        assert graph(np.empty(shape, "f4")).shape == shape


@needs_float64
def test_float64(x, rng):
    nodes = chain(x, 2)
    a = rng.normal(size=(9, 9))
    result = Graph(nodes[-1].result_image, device="cpu")(a)
    assert result.dtype == FLOAT64
    np.testing.assert_array_equal(result, norm_of(nodes[1])(norm_of(nodes[0])(a)))


def test_compiles_again_when_shapes_change(x, images, device):
    nodes = chain(x, 3)
    graph = Graph(nodes[-1].result_image, device=device)
    sizes = [5, 6, 7, 8, 9, 10, 5, 9]
    for n in [*sizes, *sizes]:
        a = images[0][..., :n, :]
        np.testing.assert_array_equal(graph(a), norm_of(nodes[2])(norm_of(nodes[1])(norm_of(nodes[0])(a))))
    assert len(graph._programs) <= 4


def test_additions_are_quiet(images, device):
    """No warning from NumPy where values overflow; the results say it."""
    graph = Graph(AdditionNode(ImageNode("a"), ImageNode("b")).result_image, device=device)
    big = np.full((3, 3), np.finfo("f4").max, "f4")
    assert np.isinf(graph(big, big)).all()
    assert np.isnan(graph(np.full((3, 3), np.inf, "f4"), np.full((3, 3), -np.inf, "f4"))).all()


# Formats ------------------------------------------------------------------------------------------------------


def test_format_of_an_intermediate_image(x, images, device):
    a, b = chain(x, 2)
    a.result_image.format = "float16"
    result = Graph(b.result_image, device=device)(images[0])
    stored = norm_of(a)(images[0]).astype(FLOAT16)
    np.testing.assert_array_equal(result, norm_of(b)(stored.astype(FLOAT32)))
    assert (result != norm_of(b)(norm_of(a)(images[0]))).any()


def test_format_of_a_result(x, images, device):
    a, b = chain(x, 2)
    b.result_image.format = "float16"
    result = Graph(b.result_image, device=device)(images[0])
    assert result.dtype == FLOAT16
    np.testing.assert_array_equal(result, norm_of(b)(norm_of(a)(images[0])).astype(FLOAT16))


def test_wider_format(x, images, device):
    a, b = chain(x, 2)
    a.result_image.format = "float32"
    half = images[0].astype(FLOAT16)
    result = Graph(b.result_image, device=device)(half)
    assert result.dtype == FLOAT16
    expected = norm_of(b)(norm_of(a)(half.astype(FLOAT32))).astype(FLOAT16)
    np.testing.assert_array_equal(result, expected)


@pytest.mark.skipif(BFLOAT16 is None, reason="ml_dtypes is not installed")
def test_bfloat16(x, images, device):
    a, b = chain(x, 2)
    total = AdditionNode(b.result_image, x)
    (last,) = total.training_graph(ImageNode("dy"))
    brain = images.astype(BFLOAT16)
    result = Graph(last.result_image, device=device).run({"x": brain[0], "dy": brain[1]})
    assert result.dtype == BFLOAT16
    a.result_image.format = "bfloat16"
    result = Graph(b.result_image, device=device)(images[0])
    stored = norm_of(a)(images[0]).astype(BFLOAT16)
    np.testing.assert_array_equal(result, norm_of(b)(stored.astype(FLOAT32)))


def test_overflow_of_a_format_is_quiet(x, device):
    a, b = chain(x, 2)
    a.alpha = a.beta = b.beta = 0.0
    a.result_image.format = "float16"
    assert np.isinf(Graph(b.result_image, device=device)(np.full((3, 3), 1e6, "f4"))).all()


# Threads ------------------------------------------------------------------------------------------------------


def test_run_async(x, images, device):
    graph = training(x, device)
    sources = {"x": images[0], "dy": images[1]}
    expected = graph.run(sources)
    out = [np.empty_like(images[0]), None]
    futures = [graph.run_async(sources, out), *(graph.run_async(sources) for _ in range(5))]
    assert all(isinstance(future, Future) for future in futures)
    for future in futures:
        for got, wanted in zip(future.result(timeout=60), expected, strict=True):
            np.testing.assert_array_equal(got, wanted)
    assert futures[0].result()[0] is out[0]
    assert isinstance(graph.run_async({}).exception(timeout=60), GraphError)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="os.fork does not exist here")
def test_run_async_after_fork():
    """The child has none of its parent's threads and makes its own."""
    script = """
import os, warnings, numpy as np
from spatialnorm.graph import Graph, ImageNode, SpatialNormalizationNode
warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of forking with threads
graph = Graph(SpatialNormalizationNode(ImageNode("x")).result_image)
run = lambda: graph.run_async({"x": np.ones((4, 4), "f4")}).result(timeout=30)
expected = run()
child = os.fork()
if child == 0:
    os._exit(0 if (run() == expected).all() else 1)
raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    assert subprocess.run([sys.executable, "-c", script], timeout=60, check=False).returncode == 0


def test_run_batch(x, images, device):
    graph = training(x, device)
    batch = [{"x": images[0], "dy": images[1]}, {"x": images[1], "dy": images[0]}]
    expected = [graph.run(sources) for sources in batch]
    results = graph.run_batch(batch)
    assert isinstance(results, list)
    np.testing.assert_array_equal(results, expected)
    outs = [[np.empty_like(images[0]) for _ in range(2)] for _ in batch]
    results = graph.run_batch(iter(batch), outs)
    assert results[1][0] is outs[1][0]
    np.testing.assert_array_equal(outs, expected)
    with pytest.raises(GraphError, match="one entry for each of 2 sets"):
        graph.run_batch(batch, [None])


def test_many_threads_at_once(x, rng, device):
    """One graph, many threads, two shapes: everybody gets the result of their own sources."""
    graph = training(x, device)
    a = rng.normal(size=(8, 2, 40, 50)).astype("f4")
    pairs = [(pair if i % 2 else pair[..., 1:]) for i, pair in enumerate(a)]
    expected = [training(ImageNode("x"), device)(*pair) for pair in pairs]
    barrier = threading.Barrier(8)

    def work(i):
        barrier.wait(timeout=60)
        outs = [np.empty_like(pairs[i][0]) for _ in range(2)]
        for _ in range(20):
            graph.run({"x": pairs[i][0], "dy": pairs[i][1]}, outs)
            if any(got.tobytes() != wanted.tobytes() for got, wanted in zip(outs, expected[i], strict=True)):
                return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(8)))
