"""Other systems' conventions, as a table: what makes `SpatialNorm` give exactly their result."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, SupportsFloat, SupportsIndex

from spatialnorm._arguments import KernelSize, to_float, to_kernel_size
from spatialnorm._devices import Device
from spatialnorm.spatial import SpatialNorm


@dataclass(frozen=True)
class Given:
    """Arguments of `convert`, converted."""

    height: int
    width: int
    alpha: float
    beta: float
    k: float
    is_scaled: bool

    @property
    def size(self) -> int:
        return self.height

    @property
    def even(self) -> bool:
        return self.height % 2 == 0 or self.width % 2 == 0


class NotReproducibleError(ValueError):
    """The system's result cannot be had from `SpatialNorm`."""


Rule = tuple[str, Callable[[Given], bool]]  # why it cannot be reproduced, and when


@dataclass(frozen=True)
class Convention:
    """How one system's numbers become ours."""

    system: str
    alpha: Callable[[Given], float] = lambda g: g.alpha
    delta: Callable[[Given], float] = lambda g: g.k
    kernel: Callable[[Given], tuple[int, int]] = lambda g: (g.height, g.width)
    refuses: Sequence[Rule] = ()
    square: bool = True
    beta: float | None = 0.75  # the default; None: no default


def _always(reason: str) -> Sequence[Rule]:
    return [(reason, lambda g: True)]


def _even(reason: str) -> Rule:
    return (reason, lambda g: g.even)


_ODD_ONLY = _even("it takes odd sizes only")
_MIRRORED = _even(
    "its even windows are the mirror image of ours: flip both spatial axes of the input, run with "
    "convention 'mps', and flip the result back"
)
_CROSS_CHANNEL = _always("it normalizes across channels only, which is another operation")


def _odd_part(g: Given) -> tuple[int, int]:
    """Take the window that oneDNN and OpenVINO run: n-1 for an even n, though they still divide by n^2."""
    return (g.size - 1, g.size - 1) if g.even else (g.size, g.size)


def _alpha_of_odd_part(g: Given) -> float:
    kernel = _odd_part(g)[0]
    return g.alpha * (kernel / g.size) ** 2


CONVENTIONS = {
    "mps": Convention("MPSCNNSpatialNormalization", square=False, beta=5.0),
    # Caffe reads k in its cross-channel mode only: within a channel the shift is always 1.
    "caffe": Convention("Caffe's LRN WITHIN_CHANNEL", delta=lambda g: 1.0, refuses=[_ODD_ONLY]),
    "opencv": Convention("OpenCV's import of Caffe's LRN", delta=lambda g: 1.0, refuses=[_ODD_ONLY]),
    "mnn": Convention("MNN's within-channel LRN", delta=lambda g: 1.0),
    "ncnn": Convention("ncnn's LRN region 1"),
    "onednn": Convention("oneDNN's lrn_within_channel", alpha=_alpha_of_odd_part, kernel=_odd_part),
    "openvino": Convention(
        "OpenVINO's LRN with axes [2, 3]",
        alpha=_alpha_of_odd_part,
        kernel=_odd_part,
        refuses=[("its CPU plugin truncates the bias k to an integer, others do not", lambda g: g.k != int(g.k))],
    ),
    "miopen": Convention(
        "MIOpen's miopenLRNWithinChannel",
        alpha=lambda g: 1.0 if g.size == 1 else g.alpha,
        refuses=[_MIRRORED],
    ),
    "cudnn": Convention(
        "cuDNN's divisive normalization with means of zero",
        refuses=[
            ("it takes sizes 1 to 16", lambda g: not 1 <= g.size <= 16),
            ("it takes k of at least 1e-5", lambda g: not g.k >= 1e-5),
            ("it takes beta of at least 0.01", lambda g: not g.beta >= 0.01),
            _MIRRORED,
        ],
    ),
    "arm_compute": Convention(
        "Arm Compute Library's IN_MAP_2D",
        alpha=lambda g: g.alpha if g.is_scaled else g.alpha * g.size**2,
        refuses=[_even("where its even windows lean has not been established")],
    ),
    "directml": Convention(
        "DirectML's local response normalization with CrossChannel false, as documented",
        alpha=lambda g: g.alpha * g.size,
        refuses=[_even("its documentation does not say where even windows lean")],
    ),
    "sum": Convention(
        "the sum convention (AlexNet's paper): alpha times the sum of squares, not their mean",
        alpha=lambda g: g.alpha * g.height * g.width,
        square=False,
    ),
    "divisive": Convention("x / sqrt(k + alpha * mean of x^2), where k is s^2", square=False, beta=0.5),
    "matconvnet": Convention(
        "MatConvNet's vl_nnspnorm",
        refuses=_always("it divides by the number of samples inside the image, which differs at the borders"),
    ),
    "torch7": Convention(
        "Torch7's SpatialDivisiveNormalization",
        refuses=_always("it weights its window and corrects the borders"),
    ),
    "pytorch": Convention("PyTorch's LocalResponseNorm", refuses=_CROSS_CHANNEL),
    "onnx": Convention("ONNX's LRN", refuses=_CROSS_CHANNEL),
    "coreml": Convention("Core ML's local response normalization", refuses=_CROSS_CHANNEL),
    "tensorflow": Convention("TensorFlow's local_response_normalization", refuses=_CROSS_CHANNEL),
    "tensorrt": Convention("TensorRT's LRN layer", refuses=_CROSS_CHANNEL),
}


def convert(
    convention: str,
    size: KernelSize,
    alpha: SupportsFloat = 1.0,
    beta: SupportsFloat | None = None,
    k: SupportsFloat = 1.0,
    *,
    is_scaled: bool = True,
    axes: Sequence[SupportsIndex] = (-2, -1),
    device: str | Device = "auto",
) -> SpatialNorm:
    """Make the `SpatialNorm` that gives another system's result, from that system's own numbers.

    Parameters
    ----------
    convention : str
        The system: "mps", "caffe", "opencv", "mnn", "ncnn", "onednn", "openvino", "miopen", "cudnn",
        "arm_compute", "directml"; "sum" (alpha times the sum of squares, as in AlexNet's paper) and
        "divisive" (``x / sqrt(k + alpha * mean of x^2)``, so k is the square of the semi-saturation).
        "matconvnet", "torch7", "pytorch", "onnx", "coreml", "tensorflow" and "tensorrt" are known and
        refused, with the reason.
    size : int or (int, int)
        The system's window size; two sizes for "mps", "sum" and "divisive" only.
    alpha : float, default 1
        The system's alpha, as written in its model.
    beta : float, optional
        The exponent; 0.75 unless given, 5 for "mps", 0.5 for "divisive".
    k : float, default 1
        The system's additive constant (k, bias, kappa). Caffe, OpenCV and MNN use 1 whatever it is.
    is_scaled : bool, default True
        Arm Compute Library's flag of that name.
    axes, device
        As for `SpatialNorm`.

    Returns
    -------
    SpatialNorm

    Raises
    ------
    ValueError
        The convention is unknown, or its result cannot be reproduced exactly; the message says why.

    Notes
    -----
    docs/conventions.md has the table with its sources. Nothing is approximated.

    Examples
    --------
    >>> import spatialnorm as sn
    >>> sn.convert("caffe", 3, alpha=5e-5, beta=0.75)
    SpatialNorm(3, alpha=5e-05, beta=0.75, delta=1.0)
    >>> sn.convert("sum", 5, alpha=1e-4, beta=0.75, k=2)
    SpatialNorm(5, alpha=0.0025, beta=0.75, delta=2.0)
    """
    rules = CONVENTIONS.get(convention) if isinstance(convention, str) else None
    if rules is None:
        raise ValueError(f"convention must be one of {', '.join(CONVENTIONS)}, not {convention!r}")
    height, width = to_kernel_size(size)
    given = Given(
        height,
        width,
        to_float("alpha", alpha),
        to_float("beta", rules.beta if beta is None else beta),
        to_float("k", k),
        bool(is_scaled),
    )
    # What SpatialNorm refuses is refused in its words, before any arithmetic on it.
    SpatialNorm((height, width), given.alpha, given.beta, given.k, axes=axes, device=device)
    if rules.square and height != width:
        raise NotReproducibleError(f"{rules.system} has square windows only, so size must be an int, not {size!r}")
    for reason, applies in rules.refuses:
        if applies(given):
            numbers = f"size {size!r}, alpha {given.alpha:g}, beta {given.beta:g}, k {given.k:g}"
            raise NotReproducibleError(f"{rules.system} with {numbers} cannot be reproduced: {reason}")
    options: dict[str, Any] = {"axes": axes, "device": device}
    return SpatialNorm(rules.kernel(given), rules.alpha(given), given.beta, rules.delta(given), **options)
