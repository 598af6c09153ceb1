"""The extension's result is the package's own, for any strides."""

import numpy as np
from contrast import contrast

import spatialnorm as sn

x = np.random.default_rng(0).standard_normal((50, 40), np.float32).T[::-1]
out = np.empty((40, 50), np.float32)
assert contrast(x, out, 9) is out
assert out.tobytes() == sn.spatial_norm(x, 9, alpha=1, beta=0.5, delta=1).tobytes()
try:
    contrast(x, out, 0)
except ValueError as error:
    print("equal; a wrong size says:", error)
