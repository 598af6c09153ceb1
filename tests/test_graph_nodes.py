"""Nodes: defaults, copying, refusals, and the training graph."""

import numpy as np
import pytest
from test_graph_cases import norm_node

import spatialnorm as sn
from spatialnorm import reference
from spatialnorm.graph import (
    AdditionGradientNode,
    AdditionNode,
    FilterNode,
    GradientFilterNode,
    GradientStateNode,
    Graph,
    GraphError,
    ImageNode,
    NormalizationNode,
    ParameterMismatchWarning,
    SpatialNormalizationGradientNode,
    SpatialNormalizationNode,
    StateNode,
)

FIVE = ("alpha", "beta", "delta", "kernel_height", "kernel_width")


def five(node):
    return tuple(getattr(node, name) for name in FIVE)


def by_reference(node):
    """The forward and gradient functions of a node, in float64."""
    numbers = (node.kernel_height, node.kernel_width), node.alpha, node.beta, node.delta
    return (
        lambda x: reference.spatial_forward(x, *numbers, edge=node.padding_policy),
        lambda dy, x: reference.spatial_gradient(dy, x, *numbers, edge=node.padding_policy),
    )


@pytest.fixture
def x():
    return ImageNode("x")


# Nodes by themselves ------------------------------------------------------------------------------------------


def test_defaults(x):
    node = SpatialNormalizationNode(x)
    assert five(node) == (1.0, 5.0, 1.0, 3, 3)
    assert (node.label, node.padding_policy, node.source_images) == (None, "zero", (x,))
    gradient = SpatialNormalizationGradientNode(ImageNode("dy"), x, node.result_state, 7)
    assert five(gradient) == (1.0, 5.0, 1.0, 7, 7)
    assert (gradient.label, gradient.padding_policy, gradient.result_state) == (None, "zero", None)
    assert five(SpatialNormalizationNode(x, (2, 9))) == (1.0, 5.0, 1.0, 2, 9)
    image = ImageNode()
    assert (image.handle, image.format, image.stop_gradient, image.export_from_graph) == (None, None, False, False)


def test_classes():
    assert issubclass(SpatialNormalizationNode, NormalizationNode)
    assert issubclass(NormalizationNode, FilterNode)
    assert issubclass(SpatialNormalizationGradientNode, GradientFilterNode)
    assert issubclass(GradientFilterNode, FilterNode)
    assert issubclass(GradientStateNode, StateNode)
    assert issubclass(GraphError, ValueError)
    assert issubclass(ParameterMismatchWarning, UserWarning)


@pytest.mark.parametrize("abstract", [FilterNode, NormalizationNode, GradientFilterNode])
def test_abstract_nodes(abstract, x):
    with pytest.raises(TypeError, match="abstract"):
        abstract(x)


@pytest.mark.parametrize("kind", [StateNode, GradientStateNode])
def test_states_are_made_by_nodes_only(kind, x):
    with pytest.raises(TypeError, match="result_state"):
        kind()
    node = SpatialNormalizationNode(x)
    assert isinstance(node.result_state, GradientStateNode)
    assert node.result_states == [node.result_state]


@pytest.mark.parametrize("name", FIVE)
@pytest.mark.parametrize("kind", ["forward", "gradient"])
def test_parameters_are_read_write(kind, name, x):
    node = SpatialNormalizationNode(x, 5)
    if kind == "gradient":
        node = node.gradient_filter(ImageNode("dy"))
    setattr(node, name, 2)
    expected = {"alpha": 1.0, "beta": 5.0, "delta": 1.0, "kernel_height": 5, "kernel_width": 5} | {name: 2}
    assert five(node) == tuple(expected[n] for n in FIVE)
    assert type(getattr(node, name)) is (int if name.startswith("kernel") else float)


@pytest.mark.parametrize(
    ("name", "value", "error", "text"),
    [
        ("alpha", -1, ValueError, "alpha must not be negative, but is -1"),
        ("beta", float("nan"), ValueError, "beta must be a finite number, not nan"),
        ("delta", "1", TypeError, "delta must be a number, not '1'"),
        ("kernel_height", 0, ValueError, "kernel_size must be at least 1 in both directions, not (0, 3)"),
        ("kernel_width", 2.5, ValueError, "2.5"),
        ("padding_policy", "mirror", ValueError, "padding_policy must be 'zero' or 'clamp', not 'mirror'"),
    ],
)
def test_bad_parameters(name, value, error, text, x):
    node = SpatialNormalizationNode(x)
    with pytest.raises(error) as caught:
        setattr(node, name, value)
    assert text in str(caught.value)
    assert five(node) == (1.0, 5.0, 1.0, 3, 3)  # as before
    assert node.padding_policy == "zero"


def test_bad_image_attributes():
    with pytest.raises(TypeError, match=r"handle must be hashable, not \['x'\]"):
        ImageNode(["x"])
    image = ImageNode("x")
    with pytest.raises(TypeError, match="hashable"):
        image.handle = {}
    with pytest.raises(ValueError, match=r"format must be None or 'float16'.*not 'int8'"):
        image.format = "int8"
    for name in ("stop_gradient", "export_from_graph"):
        with pytest.raises(TypeError, match=f"{name} must be True or False, not 'no'"):
            setattr(image, name, "no")
        assert getattr(image, name) is False


def test_label_is_a_string(x):
    node = norm_node(x, label="a")
    with pytest.raises(TypeError, match="label must be a string or None, not 3"):
        node.label = 3
    assert node.label == "a"


@pytest.mark.parametrize("name", ["kernelWidth", "kernel_size", "betta", "exportFromGraph"])
def test_unknown_names_are_errors(name, x):
    """Nothing is set that nobody reads."""
    node = norm_node(x)
    addition = AdditionNode(x, x)
    for part in (node, node.gradient_filter(x), addition, addition.gradient_filters(x)[0], x, node.result_state):
        with pytest.raises(AttributeError, match=name):
            setattr(part, name, 3)


def test_gradient_nodes_are_named_after_their_forward_nodes(x):
    node, dy = norm_node(x, label="a"), ImageNode("dy")
    gradient = node.gradient_filter(dy)
    assert gradient.name == "gradient of 'a' (SpatialNormalizationGradientNode)"
    gradient.label = "b"
    assert gradient.name == "'b' (SpatialNormalizationGradientNode)"
    node.label = None
    assert node.gradient_filter(dy).name == "SpatialNormalizationGradientNode"


def test_sources_must_be_images(x):
    node = SpatialNormalizationNode(x)
    with pytest.raises(TypeError, match=r"source must be an ImageNode.*did you mean its result_image"):
        SpatialNormalizationNode(node)
    with pytest.raises(TypeError, match=r"result_images must be .*did you mean its result_image"):
        Graph([x, node])
    with pytest.raises(TypeError, match="left_source"):
        AdditionNode("x", x)
    with pytest.raises(TypeError, match="gradient_state must be the result_state of a SpatialNormalizationNode"):
        SpatialNormalizationGradientNode(x, x, AdditionNode(x, x).result_state, 3)
    with pytest.raises(TypeError, match="gradient_state must be the result_state of an AdditionNode"):
        AdditionGradientNode(x, x, node.result_state)


# Gradient filters ---------------------------------------------------------------------------------------------


def test_gradient_filter_copies_all_parameters(x):
    node = norm_node(x, (4, 7), alpha=0.5, beta=0.75, delta=2, padding_policy="clamp")
    dy = ImageNode("dy")
    made = [
        node.gradient_filter(dy),
        node.gradient_filter([dy]),
        *node.gradient_filters(dy),
        *node.gradient_filters([dy]),
    ]
    assert len(made) == 4
    for gradient in made:
        assert type(gradient) is SpatialNormalizationGradientNode
        assert five(gradient) == (0.5, 0.75, 2.0, 4, 7)
        assert gradient.padding_policy == "clamp"
        assert gradient.source_images == (dy, x)
    node.beta = 3
    assert made[0].beta == 0.75  # a copy


def test_gradient_nodes_refuse_second_derivatives(x):
    dy = ImageNode("dy")
    addition = AdditionNode(x, dy)
    for node in (SpatialNormalizationNode(x).gradient_filter(dy), addition.gradient_filters(dy)[0]):
        for call in (node.gradient_filter, node.gradient_filters, node.training_graph):
            with pytest.raises(TypeError, match="is a gradient node and has no gradient node"):
                call(dy)


def test_addition_has_two_gradient_nodes(x):
    other, dy = ImageNode("other"), ImageNode("dy")
    addition = AdditionNode(x, other)
    with pytest.raises(TypeError, match="2 sources: use gradient_filters"):
        addition.gradient_filter(dy)
    left, right = addition.gradient_filters(dy)
    assert type(left) is type(right) is AdditionGradientNode
    assert (left.is_secondary_source_filter, right.is_secondary_source_filter) == (False, True)


def test_gradient_filters_take_one_gradient(x):
    with pytest.raises(ValueError, match="source_gradients must be one ImageNode, not 2"):
        SpatialNormalizationNode(x).gradient_filters([x, x])


# Training graphs ----------------------------------------------------------------------------------------------


def test_chain_is_the_chain_rule(x, images, device):
    first = norm_node(x, 5, alpha=0.8, beta=0.75)
    second = norm_node(first.result_image, (3, 4), alpha=0.3, beta=1.5, delta=0.7, padding_policy="clamp")
    (last,) = second.training_graph(ImageNode("dy"))
    dx = Graph(last.result_image, device=device).run({"x": images[0], "dy": images[1]})
    forward, gradient = by_reference(first)
    expected = gradient(by_reference(second)[1](images[1].astype("f8"), forward(images[0])), images[0])
    assert np.abs(dx - expected).max() <= 1e-5 * np.abs(expected).max()


def test_fork_is_the_sum(x, images, device):
    """Three nodes read one image: y = a(x) + b(x) + c(x)."""
    a, b, c = norm_node(x, 3), norm_node(x, 5, beta=0.5), norm_node(x, 4, alpha=0.2)
    total = AdditionNode(AdditionNode(a.result_image, b.result_image).result_image, c.result_image)
    (last,) = total.training_graph(ImageNode("dy"))
    assert type(last) is AdditionNode
    dx = Graph(last.result_image, device=device).run({"x": images[0], "dy": images[1]})
    expected = sum(by_reference(node)[1](images[1], images[0]) for node in (a, b, c))
    assert np.abs(dx - expected).max() <= 1e-5 * np.abs(expected).max()


def test_fork_inside(x, images, device):
    """A residual connection: y = b(a(x)) + a(x), whose inner fork has a node before it."""
    a = norm_node(x, 3, beta=0.75)
    b = norm_node(a.result_image, 5, beta=0.5)
    total = AdditionNode(b.result_image, a.result_image)
    (last,) = total.training_graph(ImageNode("dy"))
    assert type(last) is SpatialNormalizationGradientNode
    dx = Graph(last.result_image, device=device).run({"x": images[0], "dy": images[1]})
    forward, gradient = by_reference(a)
    inner = by_reference(b)[1](images[1], forward(images[0])) + images[1]
    expected = gradient(inner, images[0])
    assert np.abs(dx - expected).max() <= 1e-5 * np.abs(expected).max()


def test_image_added_to_itself(x, images, device):
    a = norm_node(x, 3, beta=0.5)
    (last,) = AdditionNode(a.result_image, a.result_image).training_graph(ImageNode("dy"))
    dx = Graph(last.result_image, device=device).run({"x": images[0], "dy": images[1]})
    expected = by_reference(a)[1](2 * images[1].astype("f8"), images[0])
    assert np.abs(dx - expected).max() <= 1e-5 * np.abs(expected).max()


def test_training_graph_against_central_differences(x, rng):
    """The whole of a small network, in float64 on the CPU."""
    a = norm_node(x, (2, 3), beta=0.75, alpha=0.6)
    b = norm_node(a.result_image, 4, beta=0.5, padding_policy="clamp")
    total = AdditionNode(AdditionNode(b.result_image, x).result_image, a.result_image)
    (last,) = total.training_graph(ImageNode("dy"))
    image, dy, step = rng.normal(size=(3, 5, 6))
    forward = Graph(total.result_image, device="cpu")
    h = 1e-6
    difference = np.vdot(dy, forward(image + h * step) - forward(image - h * step)) / (2 * h)
    dx = Graph(last.result_image, device="cpu").run({"x": image, "dy": dy})
    assert np.vdot(dx, step) == pytest.approx(difference, rel=1e-7)


def test_without_gradient_starts_from_the_result(x, images, device):
    """The gradient of half the sum of squares of y."""
    node = norm_node(x, 5, beta=0.75)
    (last,) = node.training_graph()
    graph = Graph(last.result_image, device=device)
    assert graph.source_image_handles == ("x",)
    forward, gradient = by_reference(node)
    expected = gradient(forward(images[0]), images[0])
    assert np.abs(graph(images[0]) - expected).max() <= 1e-5 * np.abs(expected).max()


def test_stop_gradient(x):
    a, b = norm_node(x), None
    b = norm_node(a.result_image)
    a.result_image.stop_gradient = True
    (last,) = b.training_graph(ImageNode("dy"))
    assert last.source_images[1] is a.result_image  # the gradient of that image, and no further
    b.result_image.stop_gradient = True
    assert b.training_graph(ImageNode("dy")) == []


def test_stop_gradient_on_one_path(x, images, device):
    """y = a(x) + b(x), with a treated as constant."""
    a, b = norm_node(x, 3), norm_node(x, 5)
    a.result_image.stop_gradient = True
    ends = AdditionNode(a.result_image, b.result_image).training_graph(ImageNode("dy"))
    assert {type(node) for node in ends} == {AdditionGradientNode, SpatialNormalizationGradientNode}
    (dx,) = [node for node in ends if type(node) is SpatialNormalizationGradientNode]
    result = Graph(dx.result_image, device=device).run({"x": images[0], "dy": images[1]})
    expected = sn.spatial_norm_gradient(images[1], images[0], 5, device=device)
    assert result.tobytes() == expected.tobytes()


def test_handles_of_gradients(x):
    """Without a handler, a gradient is named as the image it belongs to."""
    other = ImageNode("other")
    a = norm_node(x)
    a.result_image.handle = "hidden"
    ends = AdditionNode(a.result_image, other).training_graph(ImageNode("dy"))
    assert {node.result_image.handle for node in ends} == {"x", "other"}
    (gradient,) = [node for node in ends if node.result_image.handle == "x"]
    hidden, _ = gradient.source_images
    assert hidden.handle == "hidden"
    ends = a.training_graph(ImageNode("dy"), lambda *_: None)
    assert [node.result_image.handle for node in ends] == [None]


def test_node_handler(x):
    a, b = norm_node(x, label="a"), norm_node(x, label="b")
    total = AdditionNode(a.result_image, b.result_image)
    total.label = "total"
    calls = []

    def handler(gradient_node, inference_node, inference_source, gradient_source):
        gradient_node.label = f"d {inference_node.label if inference_node else 'sum'}"
        calls.append((gradient_node.label, type(gradient_node), inference_source, gradient_source))

    dy = ImageNode("dy")
    (last,) = total.training_graph(dy, handler)
    labels = [call[0] for call in calls]
    assert labels[:2] == ["d total"] * 2
    assert sorted(labels[2:4]) == ["d a", "d b"]
    assert labels[4:] == ["d sum"]
    assert [call[2] for call in calls[:2]] == [a.result_image, b.result_image]
    assert calls[0][3] is calls[1][3] is dy
    assert calls[-1][1:] == (AdditionNode, x, last.source_images[0])
    assert last.label == "d sum"


def test_node_handler_prunes(x):
    a, b = norm_node(x, label="a"), norm_node(x, label="b")
    total = AdditionNode(a.result_image, b.result_image)

    def handler(gradient_node, inference_node, inference_source, gradient_source):
        gradient_node.result_image.stop_gradient = inference_source is a.result_image

    ends = total.training_graph(ImageNode("dy"), handler)
    assert [type(node) for node in ends] == [SpatialNormalizationGradientNode, AdditionGradientNode]
    assert ends[0].source_images[0] is not ends[1].result_image


def test_training_graph_arguments(x):
    node = norm_node(x)
    with pytest.raises(TypeError, match="source_gradient must be an ImageNode or None"):
        node.training_graph(node)
    with pytest.raises(TypeError, match="node_handler must be callable or None, not 3"):
        node.training_graph(None, 3)


def test_deep_graphs(x):
    """Deeper than Python's stack."""
    image = x
    for _ in range(3000):
        node = norm_node(image, 1)
        image = node.result_image
    (last,) = node.training_graph(ImageNode("dy"))
    assert len(Graph(last.result_image).nodes) == 2999 + 3000


# Mismatches ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*FIVE, "padding_policy"])
def test_mismatch_is_warned_about(name, x):
    node = norm_node(x, 5, label="forward", beta=0.75)
    gradient = node.gradient_filter(ImageNode("dy"))
    gradient.label = "backward"
    Graph(gradient.result_image)  # no warning, which would be an error
    value = "clamp" if name == "padding_policy" else 4
    setattr(gradient, name, value)
    with pytest.warns(ParameterMismatchWarning) as caught:
        Graph(gradient.result_image)
    (warning,) = caught
    text = str(warning.message)
    assert f"{name} {getattr(gradient, name)!r} against {getattr(node, name)!r}" in text
    assert "'backward'" in text
    assert "'forward'" in text
    assert warning.filename == __file__


def test_node_made_by_hand_has_defaults_that_mismatch(x):
    node = norm_node(x, 5, beta=0.75)
    gradient = SpatialNormalizationGradientNode(ImageNode("dy"), x, node.result_state, 5)
    with pytest.warns(ParameterMismatchWarning, match=r"beta 5\.0 against 0\.75"):
        Graph(gradient.result_image)
    gradient.beta = 0.75
    Graph(gradient.result_image)
