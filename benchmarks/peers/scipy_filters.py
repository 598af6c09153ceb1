"""SciPy and NumPy: uniform_filter (running sums) and array arithmetic, on kept buffers."""

import numpy as np

from benchmarks.peers import Peer, python_job


class SciPy(Peer):
    def __init__(self, threads):
        import scipy
        from scipy.ndimage import uniform_filter

        self.uniform_filter, self.version = uniform_filter, scipy.__version__

    def open(self, case, x, dy):
        k, alpha, beta, delta = case.kernel_size, case.alpha, case.beta, case.delta
        if k % 2 == 0 or case.dtype != "float32":
            return {}
        s, t, y, dx = (np.empty_like(x) for _ in range(4))

        def box(source: np.ndarray, target: np.ndarray) -> None:
            self.uniform_filter(source, (k, k), output=target, mode="constant", axes=(-2, -1))

        def energy() -> None:
            np.multiply(x, x, out=s)
            box(s, t)
            np.multiply(t, np.float32(alpha), out=t)
            np.add(t, np.float32(delta), out=t)

        def forward():
            energy()
            np.power(t, np.float32(-beta), out=t)
            return np.multiply(x, t, out=y)

        def gradient():
            energy()
            np.power(t, np.float32(-beta), out=y)
            np.multiply(dy, y, out=dx)
            np.divide(dx, t, out=s)
            np.multiply(s, x, out=s)
            box(s, t)
            np.multiply(t, x, out=t)
            np.multiply(t, np.float32(2 * alpha * beta), out=t)
            return np.subtract(dx, t, out=dx)

        names = {"forward": forward, "gradient": gradient}
        return {
            "forward": python_job("forward()", names, "forward", y),
            "gradient": python_job("gradient()", names, "gradient", dx),
        }
