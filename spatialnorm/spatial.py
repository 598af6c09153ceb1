"""Spatial normalization: the object and the two functions."""

from __future__ import annotations

import copyreg
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, SupportsFloat, SupportsIndex, TypeVar, cast, overload

from numpy.typing import NDArray

from spatialnorm._arguments import (
    Arguments,
    Edge,
    Gradient,
    KernelSize,
    convert_arguments,
    device_override,
    to_kernel_size,
)
from spatialnorm._core import Spatial, use_vectorcall
from spatialnorm._devices import Device

_Out = TypeVar("_Out")


@use_vectorcall
class SpatialNorm(Spatial):
    """Spatial (within-channel local response, divisive) normalization with fixed parameters.

    For every plane ``X`` of ``H x W`` samples, with a window of ``kh x kw`` samples and ``N = kh * kw``::

        S(i,j) = sum of X^2 over rows i - kh//2 .. i + (kh-1)//2 and columns j - kw//2 .. j + (kw-1)//2
        T(i,j) = delta + alpha/N * S(i,j)
        Y(i,j) = X(i,j) * T(i,j)^-beta

    The operation and its defaults are those of Apple's MPSCNNSpatialNormalization. The object is
    immutable, hashable and picklable, and may be called from many threads at once. It keeps its last
    few plans, so that a call on arrays of shapes and strides seen before costs least.

    Parameters
    ----------
    kernel_size : int or (int, int), default 5
        Height and width of the window, each at least 1; an even one leans to the top left.
    alpha : float, default 1
        Weight of the mean of squares; not negative.
    beta : float, default 5
        Exponent.
    delta : float, default 1
        Added to the weighted mean of squares.
    axes : (int, int), default (-2, -1)
        The spatial axes, height first: (-2, -1) for NCHW, (1, 2) for NHWC.
    edge : {"zero", "clamp"}
        What stands outside the image: zeros, or the nearest edge sample.
    gradient : {"exact", "documented"}
        What `gradient` computes: the exact vector-Jacobian product, or the formula printed in Apple's
        header, which is not the derivative (zero edge only; what Apple's framework itself computes has
        never been measured in public).
    device : str or Device, default "auto"
        "auto", "cpu", "metal" or one of `devices()`. "auto" takes Metal where it is present and the
        work is large, else the CPU; the environment variable SPATIALNORM_DEVICE answers in its place.

    Raises
    ------
    ValueError
        An argument breaks its rule; the message names argument and value.
    TypeError
        alpha, beta or delta is no number.
    RuntimeError
        The device is not there or cannot run.

    Examples
    --------
    >>> import numpy as np
    >>> import spatialnorm as sn
    >>> norm = sn.SpatialNorm(5, alpha=1e-4, beta=0.75, delta=1.0)
    >>> x = np.ones((1, 3, 8, 8), np.float32)
    >>> norm(x).shape
    (1, 3, 8, 8)
    """

    __slots__ = ()

    arguments: Arguments

    def __new__(
        cls,
        kernel_size: KernelSize = 5,
        alpha: SupportsFloat = 1.0,
        beta: SupportsFloat = 5.0,
        delta: SupportsFloat = 1.0,
        *,
        axes: Sequence[SupportsIndex] = (-2, -1),
        edge: Edge = "zero",
        gradient: Gradient = "exact",
        device: str | Device = "auto",
    ) -> SpatialNorm:
        """Convert and check the arguments once."""
        arguments = convert_arguments(kernel_size, alpha, beta, delta, axes, edge, gradient, device)
        return cast(SpatialNorm, super().__new__(cls, arguments, *arguments.codes()))

    @property
    def kernel_size(self) -> tuple[int, int]:
        """Height and width of the window."""
        return self.arguments.kernel_size

    @property
    def kernel_height(self) -> int:
        """Height of the window."""
        return self.arguments.kernel_size[0]

    @property
    def kernel_width(self) -> int:
        """Width of the window."""
        return self.arguments.kernel_size[1]

    @property
    def alpha(self) -> float:
        """Weight of the mean of squares."""
        return self.arguments.alpha

    @property
    def beta(self) -> float:
        """Exponent."""
        return self.arguments.beta

    @property
    def delta(self) -> float:
        """What is added to the weighted mean of squares."""
        return self.arguments.delta

    @property
    def axes(self) -> tuple[int, int]:
        """The spatial axes, height first."""
        return self.arguments.axes

    @property
    def edge(self) -> str:
        """What stands outside the image: "zero" or "clamp"."""
        return self.arguments.edge

    @property
    def gradient_formula(self) -> str:
        """What `gradient` computes: "exact" or "documented"."""
        return self.arguments.gradient

    @property
    def device(self) -> str | Device:
        """The device asked for."""
        return self.arguments.device

    def _call(self) -> tuple[tuple[int | tuple[int, int]], dict[str, Any]]:
        """Arguments that make an equal object: positional, and by name without the defaults."""
        a = self.arguments
        named: dict[str, Any] = {"alpha": a.alpha, "beta": a.beta, "delta": a.delta}
        defaults = {"axes": (-2, -1), "edge": "zero", "gradient": "exact", "device": "auto"}
        named |= {name: getattr(a, name) for name, value in defaults.items() if getattr(a, name) != value}
        height, width = a.kernel_size
        return (height if height == width else (height, width),), named

    def __repr__(self) -> str:
        """Show a call that makes an equal object."""
        (size,), named = self._call()
        return f"{type(self).__name__}({', '.join([repr(size), *(f'{k}={v!r}' for k, v in named.items())])})"

    def __eq__(self, other: object) -> bool:
        """Compare the arguments."""
        return type(other) is type(self) and isinstance(other, SpatialNorm) and self.arguments == other.arguments

    def __hash__(self) -> int:
        """Hash the arguments."""
        return hash(self.arguments)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the arguments; plans are made anew."""
        return copyreg.__newobj_ex__, (type(self), *self._call())  # type: ignore[attr-defined]


@lru_cache(maxsize=64)
def _norm(arguments: Arguments, _override: str) -> SpatialNorm:
    """Keep the last few objects, and with them their plans."""
    kernel_size, alpha, beta, delta, axes, edge, gradient, device = arguments
    return SpatialNorm(
        kernel_size,
        alpha,
        beta,
        delta,
        axes=axes,
        edge=cast(Edge, edge),
        gradient=cast(Gradient, gradient),
        device=device,
    )


@overload
def spatial_norm(
    x: Any,
    kernel_size: KernelSize = ...,
    alpha: SupportsFloat = ...,
    beta: SupportsFloat = ...,
    delta: SupportsFloat = ...,
    *,
    axes: Sequence[SupportsIndex] = ...,
    edge: Edge = ...,
    out: None = ...,
    device: str | Device = ...,
) -> NDArray[Any]: ...
@overload
def spatial_norm(
    x: Any,
    kernel_size: KernelSize = ...,
    alpha: SupportsFloat = ...,
    beta: SupportsFloat = ...,
    delta: SupportsFloat = ...,
    *,
    axes: Sequence[SupportsIndex] = ...,
    edge: Edge = ...,
    out: _Out,
    device: str | Device = ...,
) -> _Out: ...
def spatial_norm(
    x: Any,
    kernel_size: KernelSize = 5,
    alpha: SupportsFloat = 1.0,
    beta: SupportsFloat = 5.0,
    delta: SupportsFloat = 1.0,
    *,
    axes: Sequence[SupportsIndex] = (-2, -1),
    edge: Edge = "zero",
    out: Any = None,
    device: str | Device = "auto",
) -> Any:
    """Normalize each sample by the energy around it: ``y = x * T^-beta``.

    Parameters
    ----------
    x : array, at least 2-D
        float16, bfloat16, float32 or float64; any strides, never copied. Any object with the buffer
        protocol, or with ``__dlpack__`` in the CPU's memory.
    kernel_size, alpha, beta, delta, axes, edge, device
        As for `SpatialNorm`, where the formula stands.
    out : array, optional
        Writable, with the shape and dtype of `x`, any strides; may be `x` itself.

    Returns
    -------
    array
        `out`, or a new `numpy.ndarray` in C order; dtype as `x`.

    Raises
    ------
    TypeError, ValueError, RuntimeError
        As for `SpatialNorm` and its call; raised before `out` is touched.

    Examples
    --------
    >>> import numpy as np
    >>> import spatialnorm as sn
    >>> x = np.arange(1, 17, dtype=np.float32).reshape(4, 4)
    >>> f"{sn.spatial_norm(x, 3)[0, 0]:.4e}"
    '2.4883e-05'
    """
    arguments = convert_arguments(kernel_size, alpha, beta, delta, axes, edge, "exact", device)
    return _norm(arguments, device_override())(x, out)


@overload
def spatial_norm_gradient(
    grad_y: Any,
    x: Any,
    kernel_size: KernelSize = ...,
    alpha: SupportsFloat = ...,
    beta: SupportsFloat = ...,
    delta: SupportsFloat = ...,
    *,
    axes: Sequence[SupportsIndex] = ...,
    edge: Edge = ...,
    gradient: Gradient = ...,
    out: None = ...,
    device: str | Device = ...,
) -> NDArray[Any]: ...
@overload
def spatial_norm_gradient(
    grad_y: Any,
    x: Any,
    kernel_size: KernelSize = ...,
    alpha: SupportsFloat = ...,
    beta: SupportsFloat = ...,
    delta: SupportsFloat = ...,
    *,
    axes: Sequence[SupportsIndex] = ...,
    edge: Edge = ...,
    gradient: Gradient = ...,
    out: _Out,
    device: str | Device = ...,
) -> _Out: ...
def spatial_norm_gradient(
    grad_y: Any,
    x: Any,
    kernel_size: KernelSize = 5,
    alpha: SupportsFloat = 1.0,
    beta: SupportsFloat = 5.0,
    delta: SupportsFloat = 1.0,
    *,
    axes: Sequence[SupportsIndex] = (-2, -1),
    edge: Edge = "zero",
    gradient: Gradient = "exact",
    out: Any = None,
    device: str | Device = "auto",
) -> Any:
    """Gradient of a loss with respect to `x`, given that with respect to ``spatial_norm(x)``.

    Parameters
    ----------
    grad_y : array, at least 2-D
        Gradient with respect to the result; as `x` of `spatial_norm`.
    x : array
        Input of the forward pass, with the shape and dtype of `grad_y`, any strides.
    kernel_size, alpha, beta, delta, axes, edge, gradient, device
        As for `SpatialNorm`; `SpatialNorm.gradient` has the formulas.
    out : array, optional
        Writable, same shape and dtype, any strides; may be `grad_y` or `x` itself.

    Returns
    -------
    array
        `out`, or a new `numpy.ndarray` in C order; dtype as `x`.

    Raises
    ------
    TypeError, ValueError, RuntimeError
        As for `SpatialNorm` and its call; raised before `out` is touched.
    """
    arguments = convert_arguments(kernel_size, alpha, beta, delta, axes, edge, gradient, device)
    return _norm(arguments, device_override()).gradient(grad_y, x, out)


def halo(kernel_size: KernelSize, gradient: bool = False) -> tuple[tuple[int, int], tuple[int, int]]:
    """Count the samples around a tile that its result depends on.

    The forward pass needs the window; the exact gradient also the windows of the samples whose windows
    hold a sample, which is one less than the kernel size on every side.

    Parameters
    ----------
    kernel_size : int or (int, int)
        Height and width of the window.
    gradient : bool, default False
        Whether for the exact gradient (grad_y and x alike).

    Returns
    -------
    ((int, int), (int, int))
        Rows (above, below) and columns (left, right), the form that `numpy.pad` takes.

    Raises
    ------
    ValueError
        `kernel_size` is less than 1 or no integer.

    Examples
    --------
    >>> import spatialnorm as sn
    >>> sn.halo((4, 5))
    ((2, 1), (2, 2))
    >>> sn.halo((4, 5), gradient=True)
    ((3, 3), (4, 4))
    """
    height, width = SpatialNorm(to_kernel_size(kernel_size), device="cpu").kernel_size
    if gradient:
        return (height - 1, height - 1), (width - 1, width - 1)
    return (height // 2, (height - 1) // 2), (width // 2, (width - 1) // 2)
