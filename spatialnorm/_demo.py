"""The demonstration: local contrast of a photograph, made even by divisive normalization.

What a pixel differs from the mean around it is divided by the root of the energy of these differences
around it (beta = 1/2), as models of the visual cortex do: faint texture and strong edges come out
alike. Then a simple loss is differentiated through it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spatialnorm import _core, devices, get_num_threads, reference
from spatialnorm.spatial import SpatialNorm

Image = NDArray[np.float32]

DELTA = 0.003  # luminance is 0 to 1: contrasts well below its root, 5 %, stay faint, and the film's grain with them
INSTALL = "pip install 'spatialnorm[demo]' (or matplotlib)"


def demo(image: str | None, kernel: int, device: str, output: str) -> int:
    """Run the demonstration and print what it found.

    Parameters
    ----------
    image : str or None
        A picture, or a 2-D array in a .npy file; None takes the photograph that matplotlib ships.
    kernel : int
        Height and width of the window.
    device : str
        As for `SpatialNorm`.
    output : str
        The picture to write; without matplotlib, the stem of the .npy files.

    Returns
    -------
    int
        0, or 1 if a result is further from the reference than it may be.
    """
    norm = SpatialNorm(kernel, alpha=1.0, beta=0.5, delta=DELTA, edge="clamp", device=device)
    name, luminance = load(image)
    around = reference.window_sum(luminance, kernel, edge="clamp") / kernel**2
    x = np.ascontiguousarray(luminance - around, np.float32)
    y = norm(x)
    grad_y = y  # of the loss: half the sum of y^2
    grad_x = norm.gradient(grad_y, x)

    height, width = x.shape
    print(f"spatialnorm {_core.version()}: {name}, {height} x {width} pixels, float32")
    print(f"  input       x = luminance less its mean over {kernel} x {kernel} pixels, edge samples repeated")
    print(f"  operation   y = x T^-{norm.beta:g}, T = {norm.delta:g} + mean of x^2 over {kernel} x {kernel} pixels")
    print(f"  device      {describe(device, x.size)}")
    right = report_errors(norm, x, y, grad_y, grad_x)
    report_times(norm, x, y, grad_y, grad_x)

    energy = reference.local_energy(x, kernel, norm.alpha, norm.delta, edge=norm.edge).astype(np.float32)
    panels = {"input": x, "local_energy": energy, "normalized": y, "gradient": grad_x}
    try:
        from spatialnorm._picture import draw
    except ImportError:
        stem = Path(output).with_suffix("")
        for panel, values in panels.items():
            np.save(f"{stem}-{panel}.npy", values)
        print(f"  wrote       {stem}-{{{','.join(panels)}}}.npy")
        print(f"              for a real photograph and a picture of the results: {INSTALL}")
    else:
        draw(panels, norm, name, output)
        print(f"  wrote       {output}")
    return 0 if right else 1


def load(image: str | None) -> tuple[str, Image]:
    """Read a picture's luminance, 0 to 1, and tell its name."""
    if image is None:
        try:
            from spatialnorm._picture import photograph
        except ImportError:
            return "a generated picture", generate()
        image = photograph()
    if image.endswith(".npy"):
        values = np.load(image)
    else:
        try:
            from spatialnorm._picture import read
        except ImportError:
            raise ImportError(f"reading {image} needs {INSTALL}; a .npy file does not") from None
        values = read(image)
    if values.ndim not in (2, 3) or 0 in values.shape:
        raise ValueError(f"{image} must hold a picture of 2 axes, or 3 with colours last, not shape {values.shape}")
    scale = np.iinfo(values.dtype).max if values.dtype.kind in "iu" else 1
    values = np.asarray(values, np.float32) / np.float32(scale)
    if values.ndim == 3:
        weights = [0.2126, 0.7152, 0.0722] if values.shape[2] > 2 else [1]  # ITU-R BT.709, or grey
        values = values[..., : len(weights)] @ np.array(weights, np.float32)
    return Path(image).name, np.ascontiguousarray(values)


def generate(height: int = 480, width: int = 640) -> Image:
    """Draw discs and gratings of equal contrast under light that falls off from the left."""
    row, column = np.mgrid[0:height, 0:width] / height
    grating = np.sin(60 * column + 12 * np.sin(7 * row)) * np.sin(45 * row)
    discs = np.cos(9 * np.pi * row) * np.cos(9 * np.pi * column) > 0.3
    light = 0.02 + 0.98 * np.exp(-3 * column)
    noise = np.random.default_rng(0).normal(0, 0.02, (height, width))
    reflectance = 0.5 + 0.2 * grating + 0.2 * discs + noise
    picture: Image = np.clip(light * reflectance, 0, 1).astype(np.float32)
    return picture


def describe(device: str, samples: int) -> str:
    """Name what ran."""
    metal = [d for d in devices() if d.kind == "metal"]
    threads = get_num_threads()
    cpu = f"CPU, instruction set {_core.isa()}, up to {threads} thread{'s' * (threads != 1)}"
    if device == "metal":
        return f"Metal: {metal[0].name}: {metal[0].description}"
    why = "" if device == "cpu" or not metal or metal[0].available else f" (Metal: {metal[0].description})"
    return cpu + why


def report_errors(norm: SpatialNorm, x: Image, y: Image, grad_y: Image, grad_x: Image) -> bool:
    """Print the largest errors against the reference; tell whether they are as small as they must be."""
    arguments = norm.kernel_size, norm.alpha, norm.beta, norm.delta
    expected_y = reference.spatial_forward(x, *arguments, edge=norm.edge)
    expected_dx = reference.spatial_gradient(grad_y, x, *arguments, edge=norm.edge)
    error_y = float(np.abs(y - expected_y).max() / np.abs(expected_y).max())
    error_dx = float(np.abs(grad_x - expected_dx).max() / np.abs(expected_dx).max())
    right = error_y <= 1e-6 and error_dx <= 2e-6
    print(
        f"  error       forward {error_y:.1e}, gradient {error_dx:.1e} of the largest value, "
        f"against NumPy in float64: {'right' if right else 'WRONG (allowed: 1e-6 and 2e-6)'}"
    )
    return right


def report_times(norm: SpatialNorm, x: Image, y: Image, grad_y: Image, grad_x: Image) -> None:
    """Print times beside that of a plain copy of one array to another."""
    result, copied = np.empty_like(x), np.empty_like(x)
    calls: list[Callable[[], Any]] = [
        lambda: np.copyto(copied, x),
        lambda: norm(x, result),
        lambda: norm.gradient(grad_y, x, result),
    ]
    copy, forward, gradient = medians(calls)
    print(
        f"  time        forward {forward * 1e3:.2f} ms ({forward / copy:.1f} times a copy of x), "
        f"gradient {gradient * 1e3:.2f} ms ({gradient / copy:.1f} times)"
    )


def medians(calls: list[Callable[[], Any]], seconds: float = 1.0) -> list[float]:
    """Time the calls in turns, for about `seconds` in all."""
    times: list[list[float]] = [[] for _ in calls]
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times[0]) < 5:
        for call, taken in zip(calls, times, strict=True):
            start = time.perf_counter()
            call()
            taken.append(time.perf_counter() - start)
    return [float(np.median(taken)) for taken in times]
