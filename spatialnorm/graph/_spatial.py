"""The nodes of spatial normalization."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Generic, Literal, SupportsFloat, TypeVar, cast, overload

from spatialnorm._arguments import Edge, KernelSize, to_kernel_size
from spatialnorm.graph._nodes import (
    FilterNode,
    GradientFilterNode,
    GradientStateNode,
    ImageNode,
    StateNode,
    Step,
    to_image,
)
from spatialnorm.spatial import SpatialNorm

if TYPE_CHECKING:
    from spatialnorm._devices import Device

_Read = TypeVar("_Read")
_Written = TypeVar("_Written")

SPATIAL_PARAMETERS = ("kernel_height", "kernel_width", "alpha", "beta", "delta")


class _Parameter(Generic[_Read, _Written]):
    """A read-write property that is checked, by the rules of `SpatialNorm`, when it is set."""

    def __init__(self, text: str) -> None:
        self.__doc__ = text

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, node: None, owner: type) -> _Parameter[_Read, _Written]: ...
    @overload
    def __get__(self, node: FilterNode, owner: type) -> _Read: ...
    def __get__(self, node: FilterNode | None, owner: type) -> _Read | _Parameter[_Read, _Written]:
        return self if node is None else cast(_Read, node._values[self.name])  # type: ignore[attr-defined]

    def __set__(self, node: FilterNode, value: _Written) -> None:
        values = {**node._values, self.name: value}  # type: ignore[attr-defined]
        node._values = _checked(**values)  # type: ignore[attr-defined]


def _checked(kernel_height: Any, kernel_width: Any, **numbers: Any) -> dict[str, Any]:
    """Convert the parameters, or say which breaks its rule."""
    norm = SpatialNorm((kernel_height, kernel_width), **numbers, device="cpu")
    return {name: getattr(norm, name) for name in SPATIAL_PARAMETERS}


def _defaults(kernel_size: KernelSize) -> dict[str, Any]:
    height, width = to_kernel_size(kernel_size)
    return _checked(height, width, alpha=1.0, beta=5.0, delta=1.0)


class NormalizationNode(FilterNode):
    """A filter node that normalizes. Abstract.

    Parameters
    ----------
    source : ImageNode
        The image to normalize.
    """

    __slots__ = ("_values",)
    _values: dict[str, Any]

    alpha = _Parameter[float, SupportsFloat]("Weight of the mean of squares; not negative. Default 1.")
    beta = _Parameter[float, SupportsFloat]("Exponent. Default 5.")
    delta = _Parameter[float, SupportsFloat]("Added to the weighted mean of squares. Default 1.")

    def __init__(self, source: ImageNode) -> None:
        super().__init__(to_image("source", source))


class SpatialNormalizationNode(NormalizationNode):
    """Spatial normalization of an image (`spatialnorm.SpatialNorm` has the formula).

    Parameters
    ----------
    source : ImageNode
        The image to normalize.
    kernel_size : int or (int, int), default 3
        Height and width of the window, each at least 1. (The default is that of the node; functions
        have 5.)

    Examples
    --------
    >>> from spatialnorm.graph import Graph, ImageNode, SpatialNormalizationNode
    >>> node = SpatialNormalizationNode(ImageNode("x"), kernel_size=5)
    >>> node.beta = 0.75
    >>> Graph(node.result_image).source_image_handles
    ('x',)
    """

    __slots__ = ("_state",)
    _parameters = (*SPATIAL_PARAMETERS, "padding_policy")

    kernel_height = _Parameter[int, int]("Height of the window, at least 1.")
    kernel_width = _Parameter[int, int]("Width of the window, at least 1.")

    def __init__(self, source: ImageNode, kernel_size: KernelSize = 3) -> None:
        super().__init__(source)
        self._values = _defaults(kernel_size)
        self._state = GradientStateNode._of(self)

    @property
    def result_states(self) -> list[StateNode]:
        """The state that this node's gradient nodes take, alone in a list."""
        return [self._state]

    def gradient_filters(self, source_gradients: ImageNode | Sequence[ImageNode]) -> list[GradientFilterNode]:
        """Make the gradient node, with all parameters copied from this node as they are now."""
        node = SpatialNormalizationGradientNode(
            to_image("source_gradients", source_gradients),
            self._sources[0],
            self._state,
            (self.kernel_height, self.kernel_width),
        )
        node._values = dict(self._values)
        node.padding_policy = self.padding_policy
        return [node]

    def _step(self, axes: tuple[int, int], gradient: Literal["exact", "documented"], device: str | Device) -> Step:
        return _norm(self._values, self.padding_policy, axes, "exact", device)


class SpatialNormalizationGradientNode(GradientFilterNode):
    """Gradient of spatial normalization, the counterpart of MPSCNNSpatialNormalizationGradientNode.

    `SpatialNormalizationNode.gradient_filter` makes it with the right parameters. Made by hand, it has
    alpha, beta and delta at 1, 5 and 1, which must be set to those of the forward node: a graph warns
    of any difference with `ParameterMismatchWarning`.

    Parameters
    ----------
    source_gradient : ImageNode
        Gradient with respect to the forward node's result.
    source_image : ImageNode
        The forward node's source image.
    gradient_state : GradientStateNode
        The forward node's `result_state`.
    kernel_size : int or (int, int)
        Height and width of the window; both are set to an int.

    Raises
    ------
    TypeError
        An argument has the wrong type, or the state belongs to another kind of node.
    ValueError
        `kernel_size` is not at least 1.
    """

    __slots__ = ("_forward", "_values")
    _parameters = (*SPATIAL_PARAMETERS, "padding_policy")
    _values: dict[str, Any]

    alpha = _Parameter[float, SupportsFloat]("Weight of the mean of squares; not negative. Default 1.")
    beta = _Parameter[float, SupportsFloat]("Exponent. Default 5.")
    delta = _Parameter[float, SupportsFloat]("Added to the weighted mean of squares. Default 1.")
    kernel_height = _Parameter[int, int]("Height of the window, at least 1.")
    kernel_width = _Parameter[int, int]("Width of the window, at least 1.")

    def __init__(
        self,
        source_gradient: ImageNode,
        source_image: ImageNode,
        gradient_state: GradientStateNode,
        kernel_size: KernelSize,
    ) -> None:
        super().__init__(to_image("source_gradient", source_gradient), to_image("source_image", source_image))
        forward = gradient_state._node if isinstance(gradient_state, GradientStateNode) else None
        if not isinstance(forward, SpatialNormalizationNode):
            raise TypeError(
                f"gradient_state must be the result_state of a SpatialNormalizationNode, not {gradient_state!r}"
            )
        self._gradient_state = gradient_state
        self._forward = forward
        self._values = _defaults(kernel_size)

    def _mismatch(self) -> str | None:
        """Say where this node and its forward node differ, or None."""
        names = [name for name in self._parameters if getattr(self, name) != getattr(self._forward, name)]
        if not names:
            return None
        values = ", ".join(f"{name} {getattr(self, name)!r} against {getattr(self._forward, name)!r}" for name in names)
        return f"{self.name} must have the parameters of its forward node {self._forward.name}, but has {values}"

    def _step(self, axes: tuple[int, int], gradient: Literal["exact", "documented"], device: str | Device) -> Step:
        return _norm(self._values, self.padding_policy, axes, gradient, device).gradient


def _norm(
    values: dict[str, Any],
    edge: Edge,
    axes: tuple[int, int],
    gradient: Literal["exact", "documented"],
    device: str | Device,
) -> SpatialNorm:
    numbers = {name: values[name] for name in ("alpha", "beta", "delta")}
    size = values["kernel_height"], values["kernel_width"]
    return SpatialNorm(size, **numbers, axes=axes, edge=edge, gradient=gradient, device=device)
