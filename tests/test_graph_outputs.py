"""Arrays that graphs write to: results and intermediate images."""

import numpy as np
import pytest
from test_graph_cases import chain, norm_of, training

from spatialnorm.graph import Graph, GraphError, ImageNode


@pytest.fixture
def x():
    return ImageNode("x")


def test_out(x, images, device):
    graph = training(x, device)
    sources = {"x": images[0], "dy": images[1]}
    y, dx = graph.run(sources)
    outs = np.empty_like(images)
    result = graph.run(sources, list(outs))
    assert all(given is got for given, got in zip(result, graph.run(sources, result), strict=True))
    np.testing.assert_array_equal(outs, [y, dx])
    outs[:] = 0
    wide = np.zeros((2, 3, 13, 40), "f4")
    result = graph.run(sources, {"x": wide[..., 3:37:2]})
    np.testing.assert_array_equal(wide[..., 3:37:2], dx)
    assert not wide[..., 4:37:2].any()
    np.testing.assert_array_equal(result[0], y)
    result = graph.run(sources, (None, outs[0]))
    assert result[1] is not None
    np.testing.assert_array_equal(outs[0], dx)


def test_out_may_be_a_source(x, images, device):
    """Also where the source is read after the result is written."""
    graph = training(x, device)
    y, dx = graph.run({"x": images[0], "dy": images[1]})
    for first, second in ((0, 1), (1, 0), (0, None), (None, 0), (1, None), (None, 1)):
        copies = images.copy()
        out = [None if i is None else copies[i] for i in (first, second)]
        result = graph.run({"x": copies[0], "dy": copies[1]}, out)
        np.testing.assert_array_equal(result[0], y)
        np.testing.assert_array_equal(result[1], dx)
        assert all(o is None or o is r for o, r in zip(out, result, strict=True))


def test_bad_out(x, images, device):
    graph = training(x, device)
    sources = {"x": images[0], "dy": images[1]}
    before = images.copy()
    untouched = np.full_like(images[0], 7)
    wide = np.zeros((2, 3, 13, 18), "f4")
    shifted = {"x": wide[..., 1:], "dy": images[1]}
    read_only = np.empty_like(images[0])
    read_only.flags.writeable = False
    other = np.empty_like(images[0])
    for given, bad, error, text in [
        (sources, np.empty((2, 2), "f4"), GraphError, r"out\[1\] must have the shape \(2, 3, 13, 17\)"),
        (sources, np.empty(other.shape, "f2"), TypeError, "dtype float32 of the result, not float16"),
        (sources, read_only, ValueError, "writable"),
        (sources, untouched, ValueError, "share memory with another result"),
        (sources, np.broadcast_to(np.float32(0), other.shape), ValueError, "writable"),
        (sources, [1.0], TypeError, "out must be an array"),
        (shifted, wide[..., :-1], ValueError, "out.1. must be source 'x' exactly, or not overlap it"),
    ]:
        with pytest.raises(error, match=text):
            graph.run(given, [untouched, bad])
        assert (untouched == 7).all()
    with pytest.raises(GraphError, match="one array for each of 2 results, not 1"):
        graph.run(sources, [other])
    with pytest.raises(GraphError, match="'z' is no result of the graph, which has 'y', 'x'"):
        graph.run(sources, {"z": other})
    with pytest.raises(TypeError, match="out must be a list"):
        graph.run(sources, other)
    np.testing.assert_array_equal(images, before)


@pytest.mark.parametrize("n", [1, 3])
def test_bad_out_of_one_result(n, x, images, device):
    graph = Graph(chain(x, n)[-1].result_image, device=device)
    with pytest.raises(ValueError, match="shape"):
        graph.run({"x": images[0]}, np.empty((2, 2), "f4"))
    wide = np.zeros((5, 9), "f4")
    with pytest.raises(ValueError, match="overlap"):
        graph.run({"x": wide[:, 1:]}, wide[:, :-1])
    read_only = np.empty_like(images[0])
    read_only.flags.writeable = False
    with pytest.raises(ValueError, match="writable"):
        graph(images[0], out=read_only)


def test_intermediate_images(x, images, device):
    a, b, c = chain(x, 3)
    for node, handle in ((a, "a"), (b, "b"), (c, "c")):
        node.result_image.handle = handle
    a.result_image.export_from_graph = c.result_image.export_from_graph = True
    graph = Graph(c.result_image, device=device)
    assert graph.intermediate_image_handles == ("a", "c")
    hidden = norm_of(a)(images[0])
    expected = norm_of(c)(norm_of(b)(hidden))
    kept = {}
    result = graph.run({"x": images[0]}, None, kept)
    np.testing.assert_array_equal(result, expected)
    np.testing.assert_array_equal(kept["a"], hidden)
    assert kept["c"] is result
    before = kept["a"]
    kept["a"][...] = 0
    graph.run({"x": images[0]}, result, kept)
    assert kept["a"] is before
    np.testing.assert_array_equal(before, hidden)
    graph.run({"x": images[0][..., 1:]}, None, kept)
    assert kept["a"].shape == (2, 3, 13, 16)
    with pytest.raises(TypeError, match="intermediate_images must be a dictionary"):
        graph.run({"x": images[0]}, None, [])
    np.testing.assert_array_equal(graph(images[0]), expected)
