"""The formulas of spatial normalization in plain NumPy: the judge of every kernel.

Direct sums in float64 (or the `dtype` given), slow and easy to check by eye. The package never
imports this module for its own work.

With a plane ``X`` of ``H x W``, a window ``kh x kw`` and ``N = kh * kw``::

    S = window sum of X^2        rows i - kh//2 .. i + (kh-1)//2, columns likewise
    T = delta + alpha/N * S
    Y = X * T^-beta

The derivatives follow from ``dT = alpha/N * 2 * S(X dX)``; docs/math.md has the derivation.
Arguments common to all functions:

kernel_size : int or (int, int)
    Height and width of the window.
alpha, beta, delta : float
    Parameters of the operation.
axes : (int, int)
    The spatial axes, height first; all other axes are independent planes.
edge : {"zero", "clamp"}
    What stands outside the image: zeros, or the nearest edge sample.
dtype : numpy dtype
    Type of the arithmetic and of the result.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

Array = NDArray[Any]
KernelSize = int | tuple[int, int]


def _height_width(kernel_size: KernelSize) -> tuple[int, int]:
    return (kernel_size, kernel_size) if isinstance(kernel_size, int) else kernel_size


def _shifts(size: int) -> range:
    """Offsets of a window's samples: an even window leans to the top left."""
    return range(-(size // 2), (size - 1) // 2 + 1)


def _sum_along(a: Array, size: int, axis: int, edge: str) -> Array:
    """Sum of ``a[i + d]`` over the window's offsets ``d`` along one axis."""
    a = np.moveaxis(a, axis, 0)
    n = len(a)
    total = np.zeros_like(a)
    for d in _shifts(size):
        if edge == "clamp":
            total += a[np.clip(np.arange(n) + d, 0, n - 1)]
        elif abs(d) < n:
            inside = slice(max(0, -d), min(n, n - d))
            total[inside] += a[max(0, d) : min(n, n + d)]
    return np.moveaxis(total, 0, axis)


def _add_back_along(a: Array, size: int, axis: int, edge: str) -> Array:
    """Transpose of `_sum_along`: every ``a[i]`` is added to the samples that row i had summed."""
    a = np.moveaxis(a, axis, 0)
    n = len(a)
    total = np.zeros_like(a)
    for d in _shifts(size):
        if edge == "clamp":
            np.add.at(total, np.clip(np.arange(n) + d, 0, n - 1), a)
        elif abs(d) < n:
            inside = slice(max(0, -d), min(n, n - d))
            total[max(0, d) : min(n, n + d)] += a[inside]
    return np.moveaxis(total, 0, axis)


def window_sum(
    a: ArrayLike,
    kernel_size: KernelSize,
    *,
    axes: tuple[int, int] = (-2, -1),
    edge: str = "zero",
    dtype: DTypeLike = np.float64,
) -> Array:
    """Sum of `a` over the window of each sample (``S`` is this of ``X^2``)."""
    kh, kw = _height_width(kernel_size)
    result = np.asarray(a).astype(dtype)
    with np.errstate(all="ignore"):
        return _sum_along(_sum_along(result, kh, axes[0], edge), kw, axes[1], edge)


def window_sum_adjoint(
    a: ArrayLike,
    kernel_size: KernelSize,
    *,
    axes: tuple[int, int] = (-2, -1),
    edge: str = "zero",
    dtype: DTypeLike = np.float64,
) -> Array:
    """Transpose of `window_sum`: with zero edges, the sum over the mirrored window."""
    kh, kw = _height_width(kernel_size)
    result = np.asarray(a).astype(dtype)
    with np.errstate(all="ignore"):
        return _add_back_along(_add_back_along(result, kw, axes[1], edge), kh, axes[0], edge)


def local_energy(
    x: ArrayLike,
    kernel_size: KernelSize = 5,
    alpha: float = 1.0,
    delta: float = 1.0,
    *,
    axes: tuple[int, int] = (-2, -1),
    edge: str = "zero",
    dtype: DTypeLike = np.float64,
) -> Array:
    """``T = delta + alpha/N * S``."""
    kh, kw = _height_width(kernel_size)
    x = np.asarray(x).astype(dtype)
    with np.errstate(all="ignore"):
        s = window_sum(x * x, kernel_size, axes=axes, edge=edge, dtype=dtype)
        t: Array = x.dtype.type(delta) + x.dtype.type(alpha) / (kh * kw) * s
    return t


def spatial_forward(
    x: ArrayLike,
    kernel_size: KernelSize = 5,
    alpha: float = 1.0,
    beta: float = 5.0,
    delta: float = 1.0,
    *,
    axes: tuple[int, int] = (-2, -1),
    edge: str = "zero",
    dtype: DTypeLike = np.float64,
) -> Array:
    """``Y = X * T^-beta``."""
    x = np.asarray(x).astype(dtype)
    t = local_energy(x, kernel_size, alpha, delta, axes=axes, edge=edge, dtype=dtype)
    with np.errstate(all="ignore"):
        y: Array = x * t ** x.dtype.type(-beta)
    return y


def spatial_gradient(
    grad_y: ArrayLike,
    x: ArrayLike,
    kernel_size: KernelSize = 5,
    alpha: float = 1.0,
    beta: float = 5.0,
    delta: float = 1.0,
    *,
    axes: tuple[int, int] = (-2, -1),
    edge: str = "zero",
    gradient: str = "exact",
    dtype: DTypeLike = np.float64,
) -> Array:
    """Vector-Jacobian product, exact or as Apple's header prints it.

    With A the transpose of the window sum::

        exact       dX = dY T^-beta - 2 alpha beta/N X A(dY X T^(-beta-1))
        documented  dX = T^-beta (dY - 2 alpha beta X/T A(dY X))
    """
    kh, kw = _height_width(kernel_size)
    x, grad_y = np.asarray(x).astype(dtype), np.asarray(grad_y).astype(dtype)
    real = x.dtype.type
    t = local_energy(x, kernel_size, alpha, delta, axes=axes, edge=edge, dtype=dtype)
    with np.errstate(all="ignore"):
        q = t ** real(-beta)
        if gradient == "documented":
            m = window_sum_adjoint(grad_y * x, kernel_size, axes=axes, edge=edge, dtype=dtype)
            grad_x: Array = q * (grad_y - 2 * real(alpha) * real(beta) * x / t * m)
        else:
            a = window_sum_adjoint(grad_y * x * q / t, kernel_size, axes=axes, edge=edge, dtype=dtype)
            grad_x = grad_y * q - 2 * real(alpha) * real(beta) / (kh * kw) * x * a
    return grad_x


def spatial_jvp(
    x: ArrayLike,
    dx: ArrayLike,
    kernel_size: KernelSize = 5,
    alpha: float = 1.0,
    beta: float = 5.0,
    delta: float = 1.0,
    *,
    axes: tuple[int, int] = (-2, -1),
    edge: str = "zero",
    dtype: DTypeLike = np.float64,
) -> Array:
    """Jacobian-vector product: ``dY = T^-beta dX - 2 alpha beta/N X T^(-beta-1) S(X dX)``."""
    kh, kw = _height_width(kernel_size)
    x, dx = np.asarray(x).astype(dtype), np.asarray(dx).astype(dtype)
    real = x.dtype.type
    t = local_energy(x, kernel_size, alpha, delta, axes=axes, edge=edge, dtype=dtype)
    with np.errstate(all="ignore"):
        q = t ** real(-beta)
        s = window_sum(x * dx, kernel_size, axes=axes, edge=edge, dtype=dtype)
        dy: Array = q * dx - 2 * real(alpha) * real(beta) / (kh * kw) * x * (q / t) * s
    return dy


def spatial_parameter_gradients(
    grad_y: ArrayLike,
    x: ArrayLike,
    kernel_size: KernelSize = 5,
    alpha: float = 1.0,
    beta: float = 5.0,
    delta: float = 1.0,
    *,
    axes: tuple[int, int] = (-2, -1),
    edge: str = "zero",
    dtype: DTypeLike = np.float64,
) -> tuple[float, float, float]:
    """Differentiate ``sum(grad_y * Y)`` with respect to alpha, beta and delta.

    ::

        d_alpha = sum of dY X (-beta) T^(-beta-1) S/N
        d_beta  = sum of dY X (-log T) T^-beta
        d_delta = sum of dY X (-beta) T^(-beta-1)
    """
    kh, kw = _height_width(kernel_size)
    x, grad_y = np.asarray(x).astype(dtype), np.asarray(grad_y).astype(dtype)
    real = x.dtype.type
    with np.errstate(all="ignore"):
        s = window_sum(x * x, kernel_size, axes=axes, edge=edge, dtype=dtype)
        t = real(delta) + real(alpha) / (kh * kw) * s
        q = t ** real(-beta)
        d_t = -real(beta) * grad_y * x * q / t
        return (
            float((d_t * s).sum() / (kh * kw)),
            float((-np.log(t) * grad_y * x * q).sum()),
            float(d_t.sum()),
        )
