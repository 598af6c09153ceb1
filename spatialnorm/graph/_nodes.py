"""Images, states and filters: the parts a graph is described with, none of which computes anything."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

from spatialnorm._arguments import EDGES, Edge, to_choice

if TYPE_CHECKING:
    from typing import Self

    from spatialnorm._devices import Device

Format = Literal["float16", "bfloat16", "float32", "float64"]
FORMATS: tuple[str, ...] = get_args(Format)

# What the step of a node calls: its sources' arrays, then the array to write.
Step = Callable[..., Any]

NodeHandler = Callable[["FilterNode", "FilterNode | None", "ImageNode", "ImageNode"], object]


def to_handle(handle: Hashable) -> Hashable:
    """Accept what a dictionary takes as a key."""
    try:
        hash(handle)
    except TypeError:
        raise TypeError(f"handle must be hashable, not {handle!r}") from None
    return handle


def to_flag(name: str, value: Any) -> bool:
    """Accept True and False, and nothing that only counts as such."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False, not {value!r}")
    return value


def to_images(name: str, images: Any) -> list[ImageNode]:
    """Accept one image node or several."""
    found = [images] if isinstance(images, ImageNode) else images
    if not isinstance(found, (list, tuple)) or not all(isinstance(image, ImageNode) for image in found):
        nodes = [found] if isinstance(found, FilterNode) else found if isinstance(found, (list, tuple)) else []
        kind = next((type(node).__name__ for node in nodes if isinstance(node, FilterNode)), None)
        advice = f"; did you mean its result_image, {kind}.result_image?" if kind else ""
        raise TypeError(f"{name} must be an ImageNode or a list of them, not {images!r}{advice}")
    return list(found)


def to_image(name: str, image: Any) -> ImageNode:
    """Accept one image node, alone or in a list."""
    images = to_images(name, image)
    if len(images) != 1:
        raise ValueError(f"{name} must be one ImageNode, not {len(images)}")
    return images[0]


class ImageNode:
    """A place for an image in a graph: a source, or the result of a filter node.

    Made by the user for the sources of a graph. All others are the `result_image` of a filter node.

    Parameters
    ----------
    handle : hashable, optional
        What `Graph.run` knows the image by; usually a string. A source must have one.

    Examples
    --------
    >>> from spatialnorm.graph import ImageNode
    >>> ImageNode("x")
    ImageNode('x')
    """

    __slots__ = ("__weakref__", "_export_from_graph", "_format", "_handle", "_producer", "_stop_gradient")

    def __init__(self, handle: Hashable = None) -> None:
        self._handle = to_handle(handle)
        self._format: str | None = None
        self._producer: FilterNode | None = None
        self._stop_gradient = self._export_from_graph = False

    @property
    def handle(self) -> Hashable:
        """What `Graph.run` knows the image by, or None."""
        return self._handle

    @handle.setter
    def handle(self, handle: Hashable) -> None:
        self._handle = to_handle(handle)

    @property
    def format(self) -> str | None:
        """Type that the image is stored in: "float16", "bfloat16", "float32", "float64".

        None, the default, keeps the dtype of the sources. A node whose images differ in type computes
        in float32 (float64 if one of them is that) and converts. Sources are used as they are given and
        take no format.
        """
        return self._format

    @format.setter
    def format(self, value: Format | None) -> None:
        if value is not None and (not isinstance(value, str) or value not in FORMATS):
            raise ValueError(f"format must be None or {' or '.join(map(repr, FORMATS))}, not {value!r}")
        self._format = value

    @property
    def stop_gradient(self) -> bool:
        """Whether `FilterNode.training_graph` stops here. Default False.

        The gradient of this image is computed, that of the node it comes from is not.
        """
        return self._stop_gradient

    @stop_gradient.setter
    def stop_gradient(self, value: bool) -> None:
        self._stop_gradient = to_flag("stop_gradient", value)

    @property
    def export_from_graph(self) -> bool:
        """Whether `Graph.run` hands out this image in `intermediate_images`. Default False.

        It then needs a handle.
        """
        return self._export_from_graph

    @export_from_graph.setter
    def export_from_graph(self, value: bool) -> None:
        self._export_from_graph = to_flag("export_from_graph", value)

    def __repr__(self) -> str:
        """Show the handle, or where the image comes from."""
        if self._handle is None and self._producer is not None:
            return f"<result image of {self._producer.name}>"
        return f"ImageNode({'' if self._handle is None else repr(self._handle)})"


class StateNode:
    """What a filter node leaves for another node, beside its image. Only filter nodes make one."""

    __slots__ = ("_node",)
    _node: FilterNode

    def __init__(self) -> None:
        raise TypeError(f"{type(self).__name__} cannot be made by hand: it is the result_state of a filter node")

    @classmethod
    def _of(cls, node: FilterNode) -> Self:
        state = cls.__new__(cls)
        state._node = node
        return state

    def __repr__(self) -> str:
        """Show which node it comes from."""
        return f"<{type(self).__name__} of {self._node.name}>"


class GradientStateNode(StateNode):
    """An opaque record of a forward node's settings, for its gradient node."""

    __slots__ = ()


class FilterNode(ABC):
    """A stage of a graph. Abstract: make one of its subclasses."""

    # A misspelled parameter is an error, not an attribute that nobody reads.
    __slots__ = ("__weakref__", "_label", "_padding_policy", "_result_image", "_sources")
    _parameters: ClassVar[tuple[str, ...]] = ()  # attributes that say what the node does, for JSON and pickling

    def __init__(self, *sources: ImageNode) -> None:
        self._label: str | None = None
        self._sources = sources
        self._padding_policy: Edge = "zero"
        self._result_image = ImageNode()
        self._result_image._producer = self

    @property
    def label(self) -> str | None:
        """Name of the node in errors and warnings, or None."""
        return self._label

    @label.setter
    def label(self, value: str | None) -> None:
        if value is not None and not isinstance(value, str):
            raise TypeError(f"label must be a string or None, not {value!r}")
        self._label = value

    @property
    def name(self) -> str:
        """The node in words: its label and its type."""
        kind = type(self).__name__
        return kind if self._label is None else f"{self._label!r} ({kind})"

    def __repr__(self) -> str:
        """Show label and parameters."""
        parameters = [f"{name}={getattr(self, name)!r}" for name in self._parameters]
        return f"<{' '.join([self.name, *parameters])}>"

    @property
    def source_images(self) -> tuple[ImageNode, ...]:
        """The images that the node reads."""
        return self._sources

    @property
    def result_image(self) -> ImageNode:
        """The image that the node makes."""
        return self._result_image

    @property
    def result_state(self) -> StateNode | None:
        """The first of `result_states`, None if there is none."""
        return next(iter(self.result_states), None)

    @property
    def result_states(self) -> list[StateNode]:
        """States that the node makes; gradient nodes make none."""
        return []

    @property
    def padding_policy(self) -> Edge:
        """What stands outside the image: "zero" (default) or "clamp". Nodes without a window ignore it.

        Images keep their size in every node, so this is all of MPSNNPadding that has a meaning here.
        """
        return self._padding_policy

    @padding_policy.setter
    def padding_policy(self, value: Edge) -> None:
        to_choice("padding_policy", value, EDGES)
        self._padding_policy = value

    @abstractmethod
    def _step(
        self, axes: tuple[int, int], gradient: Literal["exact", "documented"], device: str | Device
    ) -> Step | None:
        """Make what the graph calls for this node; None passes the first source on."""

    @abstractmethod
    def gradient_filters(self, source_gradients: ImageNode | Sequence[ImageNode]) -> list[GradientFilterNode]:
        """Make the gradient node of each source image.

        Parameters
        ----------
        source_gradients : ImageNode or list of one
            Gradient with respect to `result_image`.

        Returns
        -------
        list of GradientFilterNode
            One for each of `source_images`, with this node's parameters.

        Raises
        ------
        TypeError
            This is a gradient node, or the argument is no image node.
        """

    def gradient_filter(self, source_gradient: ImageNode | Sequence[ImageNode]) -> GradientFilterNode:
        """Make the gradient node of a node with one source image.

        Parameters
        ----------
        source_gradient : ImageNode or list of one
            Gradient with respect to `result_image`.

        Returns
        -------
        GradientFilterNode
            Its `result_image` is the gradient with respect to the source image. All parameters are
            copied from this node as they are now.

        Raises
        ------
        TypeError
            This is a gradient node, or one with several sources, or the argument is no image node.
        """
        if len(self._sources) != 1:
            raise TypeError(f"{self.name} has {len(self._sources)} sources: use gradient_filters")
        return self.gradient_filters(source_gradient)[0]

    def training_graph(
        self, source_gradient: ImageNode | None = None, node_handler: NodeHandler | None = None
    ) -> list[FilterNode]:
        """Build the gradient nodes of this node and of all that it depends on, back to the sources.

        Where an image is read by several nodes, `AdditionNode` adds up their gradients.

        Parameters
        ----------
        source_gradient : ImageNode, optional
            Gradient with respect to `result_image`. None takes `result_image` itself, which is the
            gradient of half its sum of squares; graphs that end in a loss use it so.
        node_handler : callable, optional
            Called as ``node_handler(gradient_node, inference_node, inference_source, gradient_source)``
            for each new node: the node; the node that it mirrors, None for an inserted addition; the
            image whose gradient it makes; the image of the incoming gradient, the first of two for an
            addition. It may set labels, handles, formats, and prunes a branch by setting
            ``gradient_node.result_image.stop_gradient``. Without a handler the gradient of an image gets
            that image's handle.

        Returns
        -------
        list of FilterNode
            The last nodes: those that make the gradients of sources, of images with `stop_gradient`,
            and of pruned branches. Empty if `result_image` itself has `stop_gradient`.

        Raises
        ------
        TypeError
            There is a gradient node on the way, or an argument has the wrong type.
        GraphError
            The nodes are in a cycle.
        """
        from spatialnorm.graph._training import training_graph

        return training_graph(self, source_gradient, node_handler)


class GradientFilterNode(FilterNode):
    """A filter node that propagates a gradient backwards. Abstract.

    It has no gradient nodes of its own: there are no second derivatives through nodes.
    """

    __slots__ = ("_gradient_state",)
    _gradient_state: GradientStateNode

    @property
    def name(self) -> str:
        """The node in words: its label, or that of its forward node, and its type."""
        forward = self._gradient_state._node.label
        if self._label is not None or forward is None:
            return super().name
        return f"gradient of {forward!r} ({type(self).__name__})"

    def gradient_filter(self, source_gradient: ImageNode | Sequence[ImageNode]) -> GradientFilterNode:
        """Refuse.

        Raises
        ------
        TypeError
            Always.
        """
        raise TypeError(f"{self.name} is a gradient node and has no gradient node of its own")

    def gradient_filters(self, source_gradients: ImageNode | Sequence[ImageNode]) -> list[GradientFilterNode]:
        """Refuse.

        Raises
        ------
        TypeError
            Always.
        """
        raise TypeError(f"{self.name} is a gradient node and has no gradient nodes of its own")
