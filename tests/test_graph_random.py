"""Random graphs: whatever is connected with what, the result has the bits of one plain call after the other."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from test_graph_cases import norm_node, norm_of

from spatialnorm.graph import (
    AdditionGradientNode,
    AdditionNode,
    Graph,
    ImageNode,
    SpatialNormalizationGradientNode,
)

SHAPE = (2, 6, 7)
FORMATS = [None, None, None, "float16", "float32"]


@st.composite
def networks(draw):
    """Images in the order in which they are made, sources first."""
    dtype = draw(st.sampled_from(["float32", "float16"]))
    n_sources = draw(st.integers(1, 3))
    images = [ImageNode(f"source {i}") for i in range(n_sources)]
    nodes = []
    for i in range(draw(st.integers(0, 12))):
        a, b = draw(st.sampled_from(images)), draw(st.sampled_from(images))
        kind = draw(st.sampled_from(["forward", "gradient", "addition", "addition gradient"]))
        forward = norm_node(a, draw(st.integers(1, 4)), beta=0.5, alpha=0.5)
        node = {
            "forward": lambda f=forward: f,
            "gradient": lambda f=forward, g=b: f.gradient_filter(g),
            "addition": lambda f=a, g=b: AdditionNode(f, g),
            "addition gradient": lambda f=a, g=b: AdditionNode(f, g).gradient_filters(g)[0],
        }[kind]()
        node.label = f"node {i}"
        node.result_image.handle = f"result {i}"
        node.result_image.format = draw(st.sampled_from(FORMATS))
        node.result_image.export_from_graph = draw(st.integers(0, 4)) == 0
        nodes.append(node)
        images.append(node.result_image)
    results = draw(st.lists(st.sampled_from(images), min_size=1, max_size=4, unique=True))
    choices = [None, "new", *range(n_sources)]
    out = draw(st.lists(st.sampled_from(choices), min_size=len(results), max_size=len(results)))
    return dtype, images[:n_sources], nodes, results, out


def plainly(dtype, sources, nodes):
    """Every image, by one call after the other, with the conversions that formats ask for."""
    values = dict(sources)
    for node in nodes:
        operands = [values[image] for image in node.source_images]
        stored = np.dtype(node.result_image.format or dtype)
        if isinstance(node, AdditionGradientNode):
            result = operands[0]
        else:
            same = {stored, *(operand.dtype for operand in operands)}
            working = stored if len(same) == 1 else np.dtype("f4")
            operands = [operand.astype(working) for operand in operands]
            if isinstance(node, AdditionNode):
                result = operands[0] + operands[1]
            elif isinstance(node, SpatialNormalizationGradientNode):
                result = norm_of(node).gradient(*operands)
            else:
                result = norm_of(node)(operands[0])
        values[node.result_image] = result.astype(stored)
    return values


@settings(max_examples=400, deadline=None)
@given(networks(), st.integers(0, 2**32))
def test_random_graph(device, network, seed):
    dtype, sources, nodes, results, out = network
    rng = np.random.default_rng(seed)
    arrays = {image: rng.normal(size=SHAPE).astype(dtype) for image in sources}
    with np.errstate(all="ignore"):
        expected = plainly(dtype, arrays, nodes)
    graph = Graph(results, device)
    assert set(graph.nodes) <= set(nodes)
    for _ in range(2):  # the second run finds buffers with the first run's values
        given_arrays = {image.handle: array.copy() for image, array in arrays.items()}
        needed = {handle: given_arrays[handle] for handle in graph.source_image_handles}
        outs, taken = [], set()
        for image, choice in zip(results, out, strict=True):
            shape, stored = expected[image].shape, expected[image].dtype
            if choice is None or choice in taken:
                outs.append(None)
            elif choice == "new" or stored != dtype:
                outs.append(np.full(shape, 7, stored))
            else:
                taken.add(choice)
                outs.append(given_arrays[sources[choice].handle])
        kept = {}
        got = graph.run(needed, outs, kept)
        for image, result, wanted in zip(results, got, outs, strict=True):
            assert wanted is None or result is wanted
            assert result.dtype == expected[image].dtype
            assert result.tobytes() == expected[image].tobytes(), image
        by_handle = {node.result_image.handle: node.result_image for node in nodes}
        assert set(kept) == set(graph.intermediate_image_handles)
        for handle, array in kept.items():
            assert array.tobytes() == expected[by_handle[handle]].tobytes(), handle
        for handle, array in given_arrays.items():  # sources are left alone, unless they are outputs
            if not any(array is o for o in outs):
                np.testing.assert_array_equal(array, arrays[next(s for s in sources if s.handle == handle)])
