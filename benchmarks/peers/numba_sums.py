"""Numba: one pass over each plane with running sums, down the columns and along the rows.

The sums are float32, which is a little faster than float64 and drifts: ten times the error.
"""

import numpy as np

from benchmarks.peers import Peer, python_job


class Numba(Peer):
    compiles = True

    def __init__(self, threads):
        import numba

        numba.set_num_threads(threads)
        self.version = numba.__version__
        jit = numba.njit(fastmath={"contract", "nsz", "arcp"}, error_model="numpy")
        if threads > 1:
            jit = numba.njit(fastmath={"contract", "nsz", "arcp"}, error_model="numpy", parallel=True)
        planes = numba.prange if threads > 1 else range

        @jit
        def forward(x, y, columns, before, after, scale, delta, power):
            n, h, w = x.shape
            for p in planes(n):
                column = columns[p]
                column[:] = 0
                for i in range(-after, h):
                    row_in, row_out = i + after, i - before - 1
                    if row_in < h:
                        for j in range(w):
                            column[j] += x[p, row_in, j] * x[p, row_in, j]
                    if row_out >= 0:
                        for j in range(w):
                            column[j] -= x[p, row_out, j] * x[p, row_out, j]
                    if i >= 0:
                        s = np.float32(0)
                        for j in range(min(after, w)):
                            s += column[j]
                        for j in range(w):
                            if j + after < w:
                                s += column[j + after]
                            if j - before - 1 >= 0:
                                s -= column[j - before - 1]
                            t = delta + scale * np.float32(s)
                            y[p, i, j] = x[p, i, j] * t**power
            return y

        @jit
        def gradient(dy, x, dx, u, columns, before, after, scale, delta, power):
            n, h, w = x.shape
            factor = np.float32(2) * power * scale
            one = np.float32(1)
            for p in planes(n):
                column = columns[p]
                column[:] = 0
                for i in range(-after, h):
                    row_in, row_out = i + after, i - before - 1
                    if row_in < h:
                        for j in range(w):
                            column[j] += x[p, row_in, j] * x[p, row_in, j]
                    if row_out >= 0:
                        for j in range(w):
                            column[j] -= x[p, row_out, j] * x[p, row_out, j]
                    if i >= 0:
                        s = np.float32(0)
                        for j in range(min(after, w)):
                            s += column[j]
                        for j in range(w):
                            if j + after < w:
                                s += column[j + after]
                            if j - before - 1 >= 0:
                                s -= column[j - before - 1]
                            t = delta + scale * np.float32(s)
                            q = dy[p, i, j] * t**power
                            dx[p, i, j] = q
                            u[p, i, j] = q * x[p, i, j] * (one / t)
                column[:] = 0
                for i in range(-before, h):  # the mirrored window
                    row_in, row_out = i + before, i - after - 1
                    if row_in < h:
                        for j in range(w):
                            column[j] += u[p, row_in, j]
                    if row_out >= 0:
                        for j in range(w):
                            column[j] -= u[p, row_out, j]
                    if i >= 0:
                        s = np.float32(0)
                        for j in range(min(before, w)):
                            s += column[j]
                        for j in range(w):
                            if j + before < w:
                                s += column[j + before]
                            if j - after - 1 >= 0:
                                s -= column[j - after - 1]
                            dx[p, i, j] += factor * x[p, i, j] * np.float32(s)
            return dx

        self.forward, self.gradient = forward, gradient

    def open(self, case, x, dy):
        if case.dtype != "float32":
            return {}
        k = case.kernel_size
        x3, dy3 = (a.reshape(-1, *a.shape[2:]) for a in (x, dy))
        y, dx, u = (np.empty_like(x3) for _ in range(3))
        columns = np.empty((len(x3), x3.shape[2]), np.float32)
        scale, delta, power = map(np.float32, (case.alpha / k**2, case.delta, -case.beta))
        names = {"x": x3, "dy": dy3, "y": y, "dx": dx, "u": u, "columns": columns}
        names |= {"forward": self.forward, "gradient": self.gradient, "before": k // 2, "after": (k - 1) // 2}
        names |= {"scale": scale, "delta": delta, "power": power}
        rest = "columns, before, after, scale, delta, power"

        def to_nchw(a: np.ndarray) -> np.ndarray:
            return a.reshape(x.shape)

        return {
            "forward": python_job(f"forward(x, y, {rest})", names, "forward", y, to_nchw),
            "gradient": python_job(f"gradient(dy, x, dx, u, {rest})", names, "gradient", dx, to_nchw),
        }
