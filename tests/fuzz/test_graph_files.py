"""Graphs from hostile files: `GraphError`, or a graph that runs; JSON never runs code."""

import contextlib
import copy
import json
import pickle
import random
import sys

import numpy as np
import pytest

from spatialnorm.graph import (
    AdditionNode,
    Graph,
    GraphError,
    ImageNode,
    SpatialNormalizationNode,
)

hypothesis = pytest.importorskip("hypothesis", reason="hypothesis is not installed")
from hypothesis import HealthCheck, given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

quick = settings(
    max_examples=400, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
)


def good():
    """Return the text of a training graph: every type of node, states, exported images."""
    x = ImageNode("x")
    norm = SpatialNormalizationNode(x, 3)
    both = AdditionNode(norm.result_image, SpatialNormalizationNode(x, 5).result_image)
    gradient = both.training_graph(ImageNode("dy"))
    return Graph([both.result_image, *(node.result_image for node in gradient)], device="cpu").to_json()


GOOD = good()


def check(text):
    """Read a text; whatever can be read can be written, and read again."""
    try:
        graph = Graph.from_json(text)
    except GraphError:
        return None
    again = graph.to_json()
    assert Graph.from_json(again).to_json() == again
    return graph


scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from([2**63, -1, 1e400, 10**400]),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=8), inner, max_size=4)),
    max_leaves=12,
)


def places(value, path=()):
    """Every place in a description."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from places(inner, (*path, key))


PLACES = list(places(json.loads(GOOD)))


def changed(path, value, remove=False):
    description = copy.deepcopy(json.loads(GOOD))
    if not path:
        return value
    at = description
    for key in path[:-1]:
        at = at[key]
    if remove:
        del at[path[-1]]
    else:
        at[path[-1]] = value
    return description


pytestmark = pytest.mark.filterwarnings("ignore::spatialnorm.graph.ParameterMismatchWarning")


class TestJson:
    def test_good(self):
        assert check(GOOD).to_json() == GOOD

    @pytest.mark.parametrize("path", [p for p in PLACES if p], ids=str)
    def test_each_field_is_taken_away(self, path):
        check(json.dumps(changed(path, None, remove=True)))

    @quick
    @given(st.sampled_from(PLACES), values)
    def test_each_field_is_another_value(self, path, value):
        check(json.dumps(changed(path, value)))

    @quick
    @given(values)
    def test_any_json(self, value):
        check(json.dumps(value))

    @quick
    @given(st.one_of(st.text(), st.binary()))
    def test_any_text(self, text):
        check(text)

    @quick
    @given(st.integers(0, len(GOOD)), st.integers(0, len(GOOD)), st.binary(max_size=4))
    def test_damaged_text(self, at, to, put):
        check(GOOD.encode()[: min(at, to)] + put + GOOD.encode()[max(at, to) :])

    @pytest.mark.parametrize("opening", ["[", '{"a":', '{"images":['])
    def test_deep(self, opening):
        for depth in (100, sys.getrecursionlimit() - 60, 100_000):
            closing = "]" if opening == "[" else "}" if opening == '{"a":' else "]}"
            check(opening * depth + "0" + closing * depth)
            check(json.dumps(changed(("device",), 0)).replace('"device": 0', f'"device": {"[" * 800}{"]" * 800}'))

    def test_long(self):
        description = json.loads(GOOD)
        for _ in range(12):
            description["images"] += description["images"]
        check(json.dumps(description))

    def test_numbers_beyond_their_types(self):
        for path in PLACES:
            for value in (2**63, -(2**63) - 1, 10**4000, float("inf"), float("nan"), -0.0, 1e308):
                check(json.dumps(changed(path, value)).replace("Infinity", "1e999"))

    def test_code_is_data(self):
        for text in ("__import__('os').abort()", "cos\nabort\n(tR.", "${x}", "{0.__class__}", "%s%n"):
            for path in PLACES:
                check(json.dumps(changed(path, text)))


def test_pickles_with_other_states():
    """What a pickle of a graph says goes through the same checks as JSON."""
    graph = Graph.from_json(GOOD)
    rebuild, arguments, *_ = graph.__reduce_ex__(4)
    assert rebuild(*arguments).to_json() == GOOD
    chance = random.Random(1)
    for path in PLACES:
        for value in (None, 7, -1, [], {}, "x", 2**70, float("nan"), object(), chance.random()):
            with contextlib.suppress(GraphError, TypeError):
                rebuild(changed(path, value), *arguments[1:])
    for at in range(0, len(pickle.dumps(graph)), 3):
        data = bytearray(pickle.dumps(graph))
        data[at] ^= 0x11
        with contextlib.suppress(Exception):  # pickle's own errors are of any kind
            pickle.loads(bytes(data))


def test_the_graph_still_runs():
    graph = Graph.from_json(GOOD)
    x = np.ones((4, 5), "f4")
    assert all(result.shape == (4, 5) for result in graph.run({"x": x, "dy": x}))
