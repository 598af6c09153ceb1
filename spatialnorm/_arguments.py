"""What users write, turned into what the native core takes. No rule on values: the core has those."""

from __future__ import annotations

import operator
import os
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, SupportsFloat, SupportsIndex

from spatialnorm._devices import Device, device_number

KernelSize = SupportsIndex | Sequence[SupportsIndex]
Edge = Literal["zero", "clamp"]
Gradient = Literal["exact", "documented"]

EDGES = {"zero": 0, "clamp": 1}
GRADIENTS = {"exact": 0, "documented": 1}


class Arguments(NamedTuple):
    """Arguments of `SpatialNorm`, each in its one form."""

    kernel_size: tuple[int, int]
    alpha: float
    beta: float
    delta: float
    axes: tuple[int, int]
    edge: str
    gradient: str
    device: str | Device

    def codes(self) -> tuple[int, int, int]:
        """Numbers of the edge, the gradient and the device in the C interface."""
        device = device_override() if self.device == "auto" else self.device
        return EDGES[self.edge], GRADIENTS[self.gradient], device_number(device)


def convert_arguments(
    kernel_size: KernelSize,
    alpha: SupportsFloat,
    beta: SupportsFloat,
    delta: SupportsFloat,
    axes: Sequence[SupportsIndex],
    edge: str,
    gradient: str,
    device: str | Device,
) -> Arguments:
    """Convert, or say which argument cannot be."""
    return Arguments(
        to_kernel_size(kernel_size),
        to_float("alpha", alpha),
        to_float("beta", beta),
        to_float("delta", delta),
        to_axes(axes),
        to_choice("edge", edge, EDGES),
        to_choice("gradient", gradient, GRADIENTS),
        to_device(device),
    )


def to_integer(value: Any) -> int:
    """Convert as an index, except that truth values are none."""
    # NumPy 1 still takes its own truth values as an index.
    if isinstance(value, bool) or type(value).__name__ == "bool_":
        raise TypeError
    return operator.index(value)


def to_kernel_size(value: Any) -> tuple[int, int]:
    """Convert an int or (height, width)."""
    try:
        try:
            height = width = to_integer(value)
        except TypeError:
            height, width = map(to_integer, value)
    except (TypeError, ValueError):
        raise ValueError(f"kernel_size must be an int or two of them (height, width), not {value!r}") from None
    if max(height, width) >= 2**63 or min(height, width) < -(2**63):
        raise ValueError(f"kernel_size must fit 64 bits, not {value!r}")
    return height, width


def to_float(name: str, value: Any) -> float:
    """Convert a number; text is none."""
    try:
        if isinstance(value, (str, bytes, bytearray)):
            raise TypeError
        return float(value)
    except OverflowError:
        raise ValueError(f"{name} must be a finite number, not {value!r}") from None
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a number, not {value!r}") from None


def to_axes(value: Any) -> tuple[int, int]:
    """Convert two different axes (height, width); negative ones count from the end."""
    try:
        height, width = map(to_integer, value)
    except (TypeError, ValueError):
        raise ValueError(f"axes must be two ints (height, width), not {value!r}") from None
    if height == width or max(height, width) >= 2**31 or min(height, width) < -(2**31):
        raise ValueError(f"axes must be two different axes (height, width), not {value!r}")
    return height, width


def to_choice(name: str, value: Any, choices: dict[str, int]) -> str:
    """Accept one of a few words."""
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{name} must be {' or '.join(map(repr, choices))}, not {value!r}")
    return str(value)


def to_device(value: Any) -> str | Device:
    """Accept a device or its kind."""
    if isinstance(value, Device):
        return value
    if not isinstance(value, str) or value not in ("auto", "cpu", "metal"):
        raise ValueError(f"device must be 'auto', 'cpu', 'metal' or one of spatialnorm.devices(), not {value!r}")
    return str(value)


def device_override() -> str:
    """Read what SPATIALNORM_DEVICE says in place of "auto"."""
    value = os.environ.get("SPATIALNORM_DEVICE") or "auto"
    return to_choice("SPATIALNORM_DEVICE", value, {"auto": 0, "cpu": 0, "metal": 0})
