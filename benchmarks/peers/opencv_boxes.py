"""OpenCV: box filters, pow and arithmetic on kept buffers; the gradient derived by hand.

The arithmetic runs over the whole array at once, the box filter plane by plane. Odd windows only:
OpenCV centres an even one elsewhere.
"""

import numpy as np

from benchmarks.peers import Peer, python_job


class OpenCV(Peer):
    def __init__(self, threads):
        import cv2

        cv2.setNumThreads(threads)
        cv2.ocl.setUseOpenCL(False)
        self.cv2, self.version = cv2, cv2.__version__

    def open(self, case, x, dy):
        cv2, k, alpha, beta, delta = self.cv2, case.kernel_size, case.alpha, case.beta, case.delta
        if k % 2 == 0 or case.dtype != "float32":
            return {}
        shape = (-1, x.shape[-1])
        x2, dy2 = x.reshape(shape), dy.reshape(shape)
        s, t, y, dx = (np.empty_like(x) for _ in range(4))
        s2, t2, y2, dx2 = (a.reshape(shape) for a in (s, t, y, dx))
        planes = [(s[i], t[i]) for i in np.ndindex(*x.shape[:2])]

        def box(normalize: bool) -> None:  # s -> t
            for source, target in planes:
                cv2.boxFilter(source, -1, (k, k), target, normalize=normalize, borderType=cv2.BORDER_CONSTANT)

        def energy() -> None:  # t = delta + alpha * mean of x^2
            cv2.multiply(x2, x2, s2)
            box(normalize=True)
            if (alpha, delta) != (1, 0):
                cv2.addWeighted(t2, alpha, t2, 0, delta, t2)

        def forward():
            energy()
            cv2.pow(t2, -beta, t2)
            cv2.multiply(x2, t2, y2)
            return y

        def gradient():
            energy()
            cv2.pow(t2, -beta, y2)
            cv2.multiply(dy2, y2, dx2)  # dy T^-beta
            cv2.divide(dx2, t2, s2)
            cv2.multiply(s2, x2, s2)  # dy x T^(-beta-1)
            box(normalize=True)
            cv2.multiply(t2, x2, t2)
            cv2.scaleAdd(t2, -2 * alpha * beta, dx2, dx2)
            return dx

        names = {"forward": forward, "gradient": gradient}
        return {
            "forward": python_job("forward()", names, "forward", y),
            "gradient": python_job("gradient()", names, "gradient", dx),
        }
