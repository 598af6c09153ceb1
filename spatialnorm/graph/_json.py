"""Graphs as plain data, for JSON and for pickling."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NoReturn

from spatialnorm.graph._addition import AdditionGradientNode, AdditionNode
from spatialnorm.graph._errors import GraphError
from spatialnorm.graph._graph import Graph
from spatialnorm.graph._network import Filter, Network, read_parameters
from spatialnorm.graph._nodes import FilterNode, GradientStateNode, ImageNode
from spatialnorm.graph._spatial import SpatialNormalizationGradientNode, SpatialNormalizationNode

if TYPE_CHECKING:
    from spatialnorm._devices import Device

FORMAT, VERSION = "spatialnorm.graph", 1

FORWARD: dict[str, type[FilterNode]] = {node.__name__: node for node in (SpatialNormalizationNode, AdditionNode)}
# Gradient nodes, each with the forward node that its state comes from.
GRADIENT: dict[str, tuple[type[FilterNode], type[FilterNode]]] = {
    SpatialNormalizationGradientNode.__name__: (SpatialNormalizationGradientNode, SpatialNormalizationNode),
    AdditionGradientNode.__name__: (AdditionGradientNode, AdditionNode),
}


# Writing ------------------------------------------------------------------------------------------------------


def describe(graph: Graph) -> dict[str, Any]:
    """Turn a graph into dictionaries, lists, strings and numbers; handles and a `Device` stay as they are."""
    network = graph._network
    return {
        "format": FORMAT,
        "version": VERSION,
        "device": graph._device,
        "axes": list(graph._axes),
        "gradient": graph._gradient,
        "single": graph._single,
        "images": [
            {
                "handle": image.handle,
                "format": image.format,
                "export_from_graph": i in network.exported,
                "stop_gradient": image.node.stop_gradient,
            }
            for i, image in enumerate(network.images)
        ],
        "nodes": [_describe_node(network, f) for f in network.filters],
        "results": list(network.results),
    }


def _describe_node(network: Network, f: Filter) -> dict[str, Any]:
    node = {
        "type": type(f.node).__name__,
        "label": f.label,
        "sources": list(f.sources),
        "result": f.result,
        "parameters": f.parameters,
    }
    state = getattr(f.node, "_gradient_state", None)
    if state is not None:
        # The forward node itself where it is in the graph, else a record of it.
        forward = next((i for i, g in enumerate(network.filters) if g.node is state._node), None)
        if forward is None:
            node["state"] = {"label": state._node.label, "parameters": read_parameters(state._node)}
        else:
            node["state"] = forward
    return node


def to_json(graph: Graph) -> str:
    """Write what `Graph.to_json` returns."""
    description = describe(graph)
    device = description["device"]
    description["device"] = device if isinstance(device, str) else device.kind
    for image in description["images"]:
        if not isinstance(image["handle"], (str, int, type(None))):
            raise GraphError(
                f"a handle must be a string, an int or None to be written as JSON, not {image['handle']!r}"
            )
    return json.dumps(description, allow_nan=False)


# Reading ------------------------------------------------------------------------------------------------------


def from_json(text: str | bytes, device: str | Device | None) -> Graph:
    """Read what `Graph.from_json` returns."""
    if not isinstance(text, (str, bytes, bytearray)):
        raise TypeError(f"text must be str or bytes, not {type(text).__name__}")
    try:
        description = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise GraphError(f"the text must be JSON: {error}") from None
    for image in _get(description, "images", list):
        if not isinstance(_get(image, "handle"), (str, int, type(None))):
            _fail("handle", "a string, an int or null", image["handle"])
    if device is not None and isinstance(description, dict):
        description["device"] = device
    return build(description)


def build(description: Any) -> Graph:
    """Make the graph that `describe` described.

    Raises
    ------
    GraphError
        It describes none.
    """
    name, version = _get(description, "format"), _get(description, "version")
    if name != FORMAT or version != VERSION:
        _fail("format and version", f"{FORMAT!r} and {VERSION}", [name, version])
    images = [_make_image(image) for image in _get(description, "images", list)]
    _make_nodes(_get(description, "nodes", list), images)
    results = [_pick(images, "results", i) for i in _get(description, "results", list)]
    single = _get(description, "single", bool)
    if single and len(results) != 1:
        _fail("results", "one image where single is true", results)
    try:
        return Graph(
            results[0] if single else results,
            _get(description, "device"),
            axes=_get(description, "axes", list),
            gradient=_get(description, "gradient", str),
        )
    except ValueError as error:
        raise error if isinstance(error, GraphError) else GraphError(str(error)) from error


def _fail(name: str, rule: str, value: Any) -> NoReturn:
    text = repr(value)
    raise GraphError(f"{name} must be {rule}, not {text if len(text) <= 80 else text[:77] + '...'}")


_KINDS = {str: "a string", list: "a list", dict: "an object", bool: "true or false"}


def _get(record: Any, name: str, kind: type | None = None) -> Any:
    if not isinstance(record, dict):
        _fail("a graph and each of its images and nodes", "an object", record)
    if name not in record:
        _fail(name, "given", record)
    if kind is not None and not isinstance(record[name], kind):
        _fail(name, _KINDS[kind], record[name])
    return record[name]


def _pick(items: list[Any], name: str, i: Any) -> Any:
    if not isinstance(i, int) or isinstance(i, bool) or not 0 <= i < len(items):
        _fail(name, f"an int from 0 to {len(items) - 1}", i)
    return items[i]


def _make_image(record: Any) -> ImageNode:
    image = ImageNode(_get(record, "handle"))
    image.export_from_graph = _get(record, "export_from_graph", bool)
    image.stop_gradient = _get(record, "stop_gradient", bool)
    try:
        image.format = _get(record, "format")
    except ValueError as error:
        raise GraphError(str(error)) from None
    return image


def _make_nodes(records: list[Any], images: list[ImageNode]) -> None:
    """Make forward nodes first: gradient nodes need their states."""
    nodes: dict[int, FilterNode] = {}
    for i, record in enumerate(records):
        kind = _get(record, "type", str)
        if kind in FORWARD:
            nodes[i] = _make_node(FORWARD[kind], _sources(FORWARD[kind], record, images), record)
        elif kind not in GRADIENT:
            _fail("type", f"one of {', '.join([*FORWARD, *GRADIENT])}", kind)
    for i, record in enumerate(records):
        if i not in nodes:
            kind, forward = GRADIENT[record["type"]]
            state = _make_state(forward, _get(record, "state"), nodes, len(records))
            sources = _sources(kind, record, images)
            arguments = (*sources, *[ImageNode()] * (2 - len(sources)), state)
            nodes[i] = _make_node(kind, arguments, record)
    for i, record in enumerate(records):
        image = _pick(images, "result", _get(record, "result"))
        if image._producer is not None:
            _fail("result", "made by one node", record["result"])
        nodes[i]._result_image = image
        image._producer = nodes[i]


def _sources(kind: type[FilterNode], record: Any, images: list[ImageNode]) -> list[ImageNode]:
    sources = [_pick(images, "sources", i) for i in _get(record, "sources", list)]
    count = 1 if kind in (SpatialNormalizationNode, AdditionGradientNode) else 2
    if len(sources) != count:
        _fail(f"sources of {kind.__name__}", f"{count} images", record["sources"])
    return sources


def _make_state(forward: type[FilterNode], state: Any, nodes: dict[int, FilterNode], n: int) -> GradientStateNode:
    if isinstance(state, dict):
        images = [ImageNode()] * (1 if forward is SpatialNormalizationNode else 2)
        node = _make_node(forward, images, state)
    else:
        found = nodes.get(state) if isinstance(state, int) and not isinstance(state, bool) else None
        if type(found) is not forward:
            _fail("state", f"the number of a node of type {forward.__name__}, or an object", state)
        node = found
    result = node.result_state
    assert isinstance(result, GradientStateNode)
    return result


def _make_node(kind: type[FilterNode], arguments: Any, record: Any) -> FilterNode:
    parameters = _get(record, "parameters", dict)
    label = _get(record, "label")
    if label is not None and not isinstance(label, str):
        _fail("label", "a string or null", label)
    if sorted(parameters) != sorted(kind._parameters):
        _fail("parameters", f"{', '.join(kind._parameters) or 'none'}", sorted(parameters))
    if kind is SpatialNormalizationGradientNode:
        arguments = (*arguments, 1)
    node = kind(*arguments)
    node.label = label
    try:
        for name, value in parameters.items():
            setattr(node, name, value)
    except (ValueError, TypeError) as error:
        raise GraphError(f"{node.name}: {error}") from None
    return node
