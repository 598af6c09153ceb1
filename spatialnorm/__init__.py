"""Spatial (within-channel local response, divisive) normalization and its gradient.

>>> import numpy as np
>>> import spatialnorm as sn
>>> x = np.random.default_rng(0).random((1, 3, 32, 32), np.float32)
>>> y = sn.spatial_norm(x, 5, alpha=1e-4, beta=0.75, delta=1.0)
>>> dx = sn.spatial_norm_gradient(np.ones_like(y), x, 5, alpha=1e-4, beta=0.75, delta=1.0)
"""

from os.path import abspath, dirname, join

from spatialnorm import _core
from spatialnorm._convert import convert
from spatialnorm._devices import Device, devices, get_num_threads, metal_stats, set_num_threads, show_config
from spatialnorm._memory import empty, empty_like
from spatialnorm.spatial import SpatialNorm, halo, spatial_norm, spatial_norm_gradient

__version__ = _core.version()

__all__ = [
    "Device",
    "SpatialNorm",
    "convert",
    "devices",
    "empty",
    "empty_like",
    "get_include",
    "get_num_threads",
    "halo",
    "metal_stats",
    "set_num_threads",
    "show_config",
    "spatial_norm",
    "spatial_norm_gradient",
]


def get_include() -> str:
    """Name the folder to compile with (``-I``) for ``#include <spatialnorm/spatialnorm.h>``.

    Returns
    -------
    str
    """
    return join(dirname(abspath(__file__)), "include")
