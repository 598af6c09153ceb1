"""Graphs as text and as pickles: round trips, and text that describes no graph."""

import copy
import json
import pickle
import subprocess
import sys
import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from test_graph_cases import chain, norm_node, training

from spatialnorm.graph import (
    AdditionNode,
    Graph,
    GraphError,
    ImageNode,
    ParameterMismatchWarning,
    SpatialNormalizationGradientNode,
)


def all_kinds(device="auto"):
    """Every kind of node, format, export, stop, and a state whose forward node is not in the graph."""
    x = ImageNode("x")
    a = norm_node(x, (2, 5), "a", beta=0.75, alpha=0.1, delta=0.30000000000000004, padding_policy="clamp")
    a.result_image.handle = "hidden"
    a.result_image.format = "float16"
    a.result_image.export_from_graph = True
    b = norm_node(a.result_image, 4, "b")
    total = AdditionNode(b.result_image, x)
    (last,) = total.training_graph(ImageNode(7))
    return Graph([total.result_image, last.result_image], device)


def alone():
    node = norm_node(ImageNode("x"), 5, "forward", beta=0.75)
    return Graph(node.training_graph(ImageNode("dy"))[0].result_image)


def run(graph, images):
    kept = {}
    results = graph.run(dict(zip(graph.source_image_handles, images, strict=False)), None, kept)
    return [*(results if isinstance(results, tuple) else [results]), *kept.values()]


def by_pickle(graph):
    return pickle.loads(pickle.dumps(graph))


def by_json(graph):
    return Graph.from_json(graph.to_json())


# Round trips --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", [by_pickle, by_json, copy.deepcopy])
@pytest.mark.parametrize("make", [all_kinds, alone, training])
def test_round_trip(make, way, images):
    graph = make()
    again = way(graph)
    assert again is not graph
    for name in ("source_image_handles", "intermediate_image_handles", "result_handles", "device"):
        assert getattr(again, name) == getattr(graph, name)
    assert [repr(node) for node in again.nodes] == [repr(node) for node in graph.nodes]
    assert again.to_json() == graph.to_json()
    for got, wanted in zip(run(again, images), run(graph, images), strict=True):
        assert got.dtype == wanted.dtype
        assert got.tobytes() == wanted.tobytes()
    assert way(again).to_json() == graph.to_json()  # also when it has been run


def test_pickle_keeps_any_handle(images):
    handle = ("x", frozenset({1.5}))
    graph = Graph(norm_node(ImageNode(handle)).result_image)
    assert by_pickle(graph).source_image_handles == (handle,)
    with pytest.raises(GraphError, match="a handle must be a string, an int or None to be written as JSON"):
        graph.to_json()


def test_a_loaded_graph_can_be_changed(images):
    graph, again = training(), by_json(training())
    before = run(graph, images)
    for node in again.nodes:
        if hasattr(node, "beta"):
            node.beta = 0.9
    again.reload_from_nodes()
    assert run(again, images)[0].tobytes() != before[0].tobytes()
    forward = again.nodes[0]
    forward.beta = 0.1
    with pytest.warns(ParameterMismatchWarning, match=r"beta 0\.9 against 0\.1"):
        again.reload_from_nodes()


def test_mismatch_with_a_node_outside_the_graph_is_kept():
    node = norm_node(ImageNode("x"), 5, "forward", beta=0.75)
    gradient = SpatialNormalizationGradientNode(ImageNode("dy"), node.source_images[0], node.result_state, 5)
    text = r"'forward' .*beta 5\.0 against 0\.75"
    with pytest.warns(ParameterMismatchWarning, match=text):
        graph = Graph(gradient.result_image)
    for way in (by_json, by_pickle):
        with pytest.warns(ParameterMismatchWarning, match=text):
            way(graph)


def test_training_graph_of_a_loaded_graph():
    (node,) = by_json(Graph(norm_node(ImageNode("x"), 5, beta=0.75).result_image)).nodes
    (last,) = node.training_graph(ImageNode("dy"))
    assert last.beta == 0.75


def test_device():
    import spatialnorm as sn

    cpu = sn.devices()[0]
    graph = all_kinds(cpu)
    assert by_pickle(graph).device == cpu
    assert by_json(graph).device == "cpu"
    assert Graph.from_json(all_kinds().to_json(), "cpu").device == "cpu"


def test_json_is_plain():
    text = all_kinds().to_json()
    data = json.loads(text)
    assert (data["format"], data["version"]) == ("spatialnorm.graph", 1)
    assert Graph.from_json(text.encode()).to_json() == text


def test_another_process_reads_the_pickle(images):
    """Without having imported the module before."""
    graph = training()
    script = "import pickle, sys; sys.stdout.write(pickle.load(sys.stdin.buffer).to_json())"
    result = subprocess.run([sys.executable, "-c", script], input=pickle.dumps(graph), capture_output=True, check=True)
    assert result.stdout.decode() == graph.to_json()


def test_importing_the_package_does_not_import_graphs():
    script = "import spatialnorm, sys; sys.exit('spatialnorm.graph' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


# Text that describes no graph ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    ["", "{", "null", "3", "[]", "{}", '"x"', "[" * 100_000, "1" * 10_000, b"\xff\xfe", '{"images": []}', "NaN"],
    ids=lambda t: repr(t[:12]),
)
def test_no_description(text):
    with pytest.raises(GraphError):
        Graph.from_json(text)


def test_text_must_be_text():
    with pytest.raises(TypeError, match="text must be str or bytes, not dict"):
        Graph.from_json({})


TYPES = [node["type"] for node in json.loads(all_kinds().to_json())["nodes"]]
GRADIENT = TYPES.index("SpatialNormalizationGradientNode")


def change(path, value):
    """The description of a graph, with one thing changed."""
    data = json.loads(all_kinds().to_json())
    *steps, name = path
    place = data
    for step in steps:
        place = place[step]
    if value is ...:
        del place[name]
    else:
        place[name] = value
    return json.dumps(data)


@pytest.mark.parametrize(
    ("path", "value", "text"),
    [
        (["version"], 2, "format and version must be 'spatialnorm.graph' and 1"),
        (["device"], "gpu", "device must be"),
        (["device"], ["cpu"], "device must be"),
        (["axes"], [0, 0], "axes must be two different axes"),
        (["axes"], None, "axes must be a list"),
        (["gradient"], "right", "gradient must be"),
        (["single"], 1, "single must be true or false"),
        (["single"], True, "results must be one image"),
        (["results"], [], "at least one image"),
        (["results"], [99], "results must be an int from 0 to"),
        (["results"], [True], "results must be an int from 0 to"),
        (["results"], [-1], "results must be an int from 0 to"),
        (["images", 0, "handle"], ["x"], "handle must be a string, an int or null"),
        (["images", 0, "handle"], None, "from nowhere"),
        (["images", 0, "handle"], 7, "two image nodes have 7"),
        (["images", 2, "format"], "int8", "format must be None or"),
        (["images", 2, "format"], [], "format must be None or"),
        (["images", 2, "export_from_graph"], "yes", "export_from_graph must be true or false"),
        (["images", 2], 3, "must be an object"),
        (["nodes", 0, "type"], "os.system", "type must be one of"),
        (["nodes", 0, "type"], "FilterNode", "type must be one of"),
        (["nodes", 0, "label"], 3, "label must be a string or null"),
        (["nodes", 0, "sources"], [0, 0], "sources of SpatialNormalizationNode must be 1 images"),
        (["nodes", 0, "sources"], [10**30], "sources must be an int"),
        (["nodes", 0, "result"], 3, "result must be made by one node"),
        (["nodes", 0, "parameters", "beta"], "5", "'a' .*: beta must be a number"),
        (["nodes", 0, "parameters", "beta"], float("nan"), "beta must be a finite number"),
        (["nodes", 0, "parameters", "beta"], 10**400, "beta must be a finite number"),
        (["nodes", 0, "parameters", "alpha"], -1, "alpha must not be negative"),
        (["nodes", 0, "parameters", "kernel_height"], 10**30, "kernel_size must fit 64 bits"),
        (["nodes", 0, "parameters", "kernel_height"], 2**40, "kernel_size must be at most"),
        (["nodes", 0, "parameters", "kernel_height"], True, "kernel_size must be"),
        (["nodes", 0, "parameters", "_sources"], [], "parameters must be"),
        (["nodes", 0, "parameters", "beta"], ..., "parameters must be"),
        (["nodes", GRADIENT, "state"], 2, "state must be the number of a node of type SpatialNormalizationNode"),
        (["nodes", GRADIENT, "state"], 99, "state must be the number of a node of type SpatialNormalizationNode"),
        (["nodes", GRADIENT, "state"], True, "state must be"),
        (["nodes", GRADIENT, "state"], {}, "parameters must be given"),
        (["nodes", 0, "result"], ..., "result must be given"),
    ],
)
def test_hostile_text(path, value, text):
    assert TYPES[:3] == ["SpatialNormalizationNode"] * 2 + ["AdditionNode"]
    with pytest.raises(GraphError, match=text):
        Graph.from_json(change(path, value))


def test_cycle_in_text():
    nodes = chain(ImageNode("x"), 3)
    data = json.loads(Graph(nodes[-1].result_image).to_json())
    data["nodes"][0]["sources"] = [data["nodes"][2]["result"]]
    with pytest.raises(GraphError, match=r"cycle.*'node 2' .*'node 1' .*'node 0'"):
        Graph.from_json(json.dumps(data))


def paths(data, path=()):
    yield path
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for name, value in items:
        yield from paths(value, (*path, name))


PATHS = list(paths(json.loads(all_kinds().to_json())))[1:]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(["cpu", "x", "a"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=4,
)


def read_any(text, device=None):
    """The graph, or None where the text describes none; nothing else may happen."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ParameterMismatchWarning)
        try:
            graph = Graph.from_json(text, device)
        except GraphError:
            return None
        assert Graph.from_json(graph.to_json()).to_json() == graph.to_json()
        return graph


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(PATHS), JSON | st.just(...))
@example(("device",), {"kind": "cpu"})
def test_any_change_gives_a_graph_or_a_graph_error(path, value):
    text = change(path, value)
    read_any(text)
    read_any(text, "cpu")


@settings(max_examples=200, deadline=None)
@given(st.integers(min_value=0), st.binary(max_size=4))
def test_any_damaged_text_gives_a_graph_or_a_graph_error(position, garbage):
    text = training().to_json().encode()
    position %= len(text)
    read_any(text[:position] + garbage + text[position + len(garbage) :])


def test_large_text_is_quick():
    """Ten thousand nodes in a chain."""
    image = ImageNode("x")
    for _ in range(10_000):
        image = norm_node(image, 1).result_image
    graph = Graph(image)
    again = by_json(graph)
    assert len(again.nodes) == 10_000
    np.testing.assert_array_equal(again(np.zeros((2, 2), "f4")), np.zeros((2, 2)))
