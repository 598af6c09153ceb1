"""Addition, and its gradient: where paths of a graph meet and part."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from spatialnorm._core import Elementwise
from spatialnorm._devices import device_number
from spatialnorm.graph._nodes import (
    FilterNode,
    GradientFilterNode,
    GradientStateNode,
    ImageNode,
    StateNode,
    Step,
    to_flag,
    to_image,
)

if TYPE_CHECKING:
    from spatialnorm._devices import Device


class AdditionNode(FilterNode):
    """Sum of two images of one shape, as MPSNNAdditionNode.

    Parameters
    ----------
    left_source, right_source : ImageNode
        The images to add; may be the same.
    """

    __slots__ = ("_state",)

    def __init__(self, left_source: ImageNode, right_source: ImageNode) -> None:
        super().__init__(to_image("left_source", left_source), to_image("right_source", right_source))
        self._state = GradientStateNode._of(self)

    @property
    def result_states(self) -> list[StateNode]:
        """The state that this node's gradient nodes take, alone in a list."""
        return [self._state]

    def gradient_filters(self, source_gradients: ImageNode | Sequence[ImageNode]) -> list[GradientFilterNode]:
        """Make two gradient nodes: for the left source, then for the right one."""
        gradient = to_image("source_gradients", source_gradients)
        return [
            AdditionGradientNode(gradient, source, self._state, is_secondary_source_filter=bool(i))
            for i, source in enumerate(self._sources)
        ]

    def _step(self, axes: tuple[int, int], gradient: Literal["exact", "documented"], device: str | Device) -> Step:
        return Elementwise("add", device_number(device))


class AdditionGradientNode(GradientFilterNode):
    """Gradient of an addition with respect to one source: the incoming gradient, as it is.

    Parameters
    ----------
    source_gradient : ImageNode
        Gradient with respect to the sum.
    source_image : ImageNode
        The source whose gradient this is.
    gradient_state : GradientStateNode
        The addition's `result_state`.
    is_secondary_source_filter : bool, default False
        Whether it is the right source. Both have the same gradient.
    """

    __slots__ = ("_is_secondary",)
    _parameters = ("is_secondary_source_filter",)

    def __init__(
        self,
        source_gradient: ImageNode,
        source_image: ImageNode,
        gradient_state: GradientStateNode,
        is_secondary_source_filter: bool = False,
    ) -> None:
        # The source image is read by nothing, so it is no source of the node.
        super().__init__(to_image("source_gradient", source_gradient))
        to_image("source_image", source_image)
        forward = gradient_state._node if isinstance(gradient_state, GradientStateNode) else None
        if not isinstance(forward, AdditionNode):
            raise TypeError(f"gradient_state must be the result_state of an AdditionNode, not {gradient_state!r}")
        self._gradient_state = gradient_state
        self.is_secondary_source_filter = is_secondary_source_filter

    @property
    def is_secondary_source_filter(self) -> bool:
        """Whether this is the gradient of the right source."""
        return self._is_secondary

    @is_secondary_source_filter.setter
    def is_secondary_source_filter(self, value: bool) -> None:
        self._is_secondary = to_flag("is_secondary_source_filter", value)

    def _step(self, axes: tuple[int, int], gradient: Literal["exact", "documented"], device: str | Device) -> None:
        return None
