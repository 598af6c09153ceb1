"""Pictures through matplotlib, for the demonstration; importing this needs matplotlib."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib import cbook
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import imread
from numpy.typing import NDArray

from spatialnorm.spatial import SpatialNorm


def photograph() -> str:
    """Find the photograph that matplotlib ships: Grace Hopper, by the U.S. Navy."""
    return str(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False))


def read(path: str) -> NDArray[Any]:
    """Read a picture file as matplotlib does."""
    return np.asarray(imread(path))


def draw(panels: dict[str, NDArray[Any]], norm: SpatialNorm, name: str, output: str) -> None:
    """Write the panels side by side, each with its colour bar and figures."""
    x, energy, y, gradient = (panels[k] for k in ("input", "local_energy", "normalized", "gradient"))
    low, high = np.percentile(np.sqrt(energy), [5, 95])
    spread = float(np.percentile(np.abs(y), 99.5))
    steep = float(np.percentile(np.abs(gradient), 99))
    loss = 0.5 * float(np.sum(np.square(y, dtype=np.float64)))
    wide = float(np.percentile(np.abs(x), 99.5))
    k = norm.kernel_height
    images = [
        (x, f"input x\nluminance less its mean around, s.d. {x.std():.3f}", "gray", -wide, wide),
        (
            np.sqrt(energy),
            f"local energy, as $\\sqrt{{T}}$\nwindow {k} x {k}; 5-95 %: {low:.2f}-{high:.2f}",
            "viridis",
            0,
            float(np.sqrt(energy.max())),
        ),
        (y, f"normalized $y = x\\,/\\sqrt{{T}}$\ns.d. {y.std():.3f}", "gray", -spread, spread),
        (gradient, f"gradient dL/dx of L = ½ Σ y²\nL = {loss:,.0f}; colours end at 99 %", "RdBu_r", -steep, steep),
    ]
    height, width = x.shape
    panel_width = 4.0
    figure = Figure(figsize=(panel_width * len(images) + 0.4, panel_width * height / width * 0.84 + 1.5))
    FigureCanvasAgg(figure)
    figure.set_layout_engine("constrained")
    axes = figure.subplots(1, len(images))
    for ax, (image, title, colours, bottom, top) in zip(axes, images, strict=True):
        shown = ax.imshow(image, cmap=colours, vmin=bottom, vmax=top, interpolation="antialiased")
        ax.set_title(title, fontsize=11)
        ax.set_axis_off()
        below, above = bool(image.min() < bottom), bool(image.max() > top)
        extend = "both" if below and above else "min" if below else "max" if above else "neither"
        figure.colorbar(shown, ax=ax, orientation="horizontal", shrink=0.92, pad=0.02, extend=extend)
    figure.suptitle(f"{name}: {norm!r}", fontsize=12, family="monospace")
    figure.savefig(output, dpi=100)
