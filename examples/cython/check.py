"""The extension's result is the package's own."""

import numpy as np
from contrast import LocalContrast

import spatialnorm as sn

x = np.random.default_rng(0).standard_normal((40, 50), np.float32)
out = np.empty_like(x)
LocalContrast(40, 50, kernel_size=9, delta=0.01)(x, out)
assert out.tobytes() == sn.spatial_norm(x, 9, alpha=1, beta=0.5, delta=0.01, edge="clamp").tobytes()
try:
    LocalContrast(40, 50, kernel_size=0, delta=0.01)
except ValueError as error:
    print("equal; a wrong size says:", error)
