"""The operation in float64 NumPy, over the last two axes, straight from its definition."""

from __future__ import annotations

import numpy as np


def line_sum(a, k):
    """Sum over k neighbours along the last axis: k = 1 + 4 + 8 from sums over 1, 2, 4, ... neighbours."""
    count, taken, result, power, bit = a.shape[-1] - k + 1, 0, 0.0, a, 1
    while True:
        if k & bit:
            result = result + power[..., taken : taken + count]
            taken += bit
        if 2 * bit > k:
            return result
        power = power[..., :-bit] + power[..., bit:]
        bit *= 2


def extended_sum(a, kernel, before, mode):
    """Sum over windows that begin `before` rows and columns ahead of each element."""
    (kh, kw), (top, left) = kernel, before
    pad = [(0, 0)] * (a.ndim - 2) + [(top, kh - 1 - top), (left, kw - 1 - left)]
    p = np.pad(a, pad, mode="edge" if mode == "clamp" else "constant")
    return line_sum(line_sum(p, kw).swapaxes(-1, -2), kh).swapaxes(-1, -2)


def window_sum(a, kernel, edge):
    return extended_sum(a, kernel, (kernel[0] // 2, kernel[1] // 2), edge)


def adjoint_sum(u, kernel, edge):
    """The transpose of window_sum."""
    (kh, kw) = kernel
    if edge == "zero":
        return extended_sum(u, kernel, ((kh - 1) // 2, (kw - 1) // 2), edge)
    for axis, k in ((-2, kh), (-1, kw)):
        n, before = u.shape[axis], k // 2
        moved = np.moveaxis(u, axis, 0)
        out = np.zeros_like(moved)
        for r in range(-before, k - before):
            np.add.at(out, np.clip(np.arange(n) + r, 0, n - 1), moved)
        u = np.moveaxis(out, 0, axis)
    return u


def evaluate(operation, x, v=None):
    """Return what `operation` (launch.Operation) makes of x and, where it has one, of v = dy or the tangent."""
    with np.errstate(all="ignore"):
        x = x.astype(np.float64)
        v = None if v is None else v.astype(np.float64)
        kernel, beta, edge = operation.kernel, np.float64(operation.beta), operation.edge
        area = kernel[0] * kernel[1]
        sums = window_sum(x * x, kernel, edge)
        t = operation.delta + operation.alpha / area * sums
        if operation.which == "forward":
            return x * t**-beta
        if operation.which == "parameter_gradients":
            d_delta = -beta * v * x * t ** (-beta - 1)
            return np.array([np.sum(d_delta * sums / area), np.sum(-v * x * t**-beta * np.log(t)), np.sum(d_delta)])
        factor = 2 * beta * operation.alpha
        if operation.which == "jvp":
            return v * t**-beta - factor / area * x * t ** (-beta - 1) * window_sum(x * v, kernel, edge)
        if operation.documented:
            return v * t**-beta - factor * x * t ** (-beta - 1) * adjoint_sum(v * x, kernel, edge)
        return v * t**-beta - factor / area * x * adjoint_sum(v * x * t ** (-beta - 1), kernel, edge)
