"""Conversion of other systems' numbers: each against that system's own formula, written out."""

import numpy as np
import pytest
from cases import normwise

import spatialnorm as sn
from spatialnorm._convert import CONVENTIONS

ALPHA, BETA, K = 0.4, 0.75, 2.0


def peer(x, before, after, alpha, beta, k, divisor):
    """x / (k + alpha/divisor * sum over [i-before, i+after] in both directions)^beta, zeros outside."""
    height, width = x.shape
    y = np.empty_like(x)
    for i in range(height):
        for j in range(width):
            rows = slice(max(0, i - before), i + after + 1)
            columns = slice(max(0, j - before), j + after + 1)
            y[i, j] = x[i, j] / (k + alpha / divisor * np.sum(x[rows, columns] ** 2)) ** beta
    return y


def centred(n):
    return (n - 1) // 2, (n - 1) // 2  # an even n is run as n - 1


def leaning(n):
    return n // 2, (n - 1) // 2


PEERS = {
    "mps": (lambda n: (*leaning(n), ALPHA, BETA, K, n * n), [1, 3, 4, 5]),
    "caffe": (lambda n: (*centred(n), ALPHA, BETA, 1.0, n * n), [1, 3, 5]),  # its k is not read
    "opencv": (lambda n: (*centred(n), ALPHA, BETA, 1.0, n * n), [1, 3, 5]),
    "mnn": (lambda n: (*leaning(n), ALPHA, BETA, 1.0, n * n), [1, 2, 3, 5]),
    "ncnn": (lambda n: (*leaning(n), ALPHA, BETA, K, n * n), [1, 2, 3, 5]),
    "onednn": (lambda n: (*centred(n), ALPHA, BETA, K, n * n), [1, 2, 3, 4, 5, 6]),
    "openvino": (lambda n: (*centred(n), ALPHA, BETA, K, n * n), [1, 2, 3, 4, 5, 6]),
    "miopen": (lambda n: (*centred(n), 1.0 if n == 1 else ALPHA, BETA, K, n * n), [1, 3, 5]),
    "cudnn": (lambda n: (*centred(n), ALPHA, BETA, K, n * n), [1, 3, 5, 15]),
    "arm_compute": (lambda n: (*centred(n), ALPHA, BETA, K, n * n), [1, 3, 5]),
    "directml": (lambda n: (*centred(n), ALPHA, BETA, K, n), [1, 3, 5]),
    "sum": (lambda n: (*leaning(n), ALPHA, BETA, K, 1), [1, 3, 4, 5]),
    "divisive": (lambda n: (*leaning(n), ALPHA, BETA, K, n * n), [1, 3, 4, 5]),
}
REFUSED = ["matconvnet", "torch7", "pytorch", "onnx", "coreml", "tensorflow", "tensorrt"]


@pytest.mark.parametrize(("name", "size"), [(name, n) for name, (_, sizes) in PEERS.items() for n in sizes])
def test_reproduces(name, size, rng):
    x = rng.normal(size=(9, 11))
    expected = peer(x, *PEERS[name][0](size))
    norm = sn.convert(name, size, ALPHA, BETA, K, device="cpu")
    assert normwise(norm(x), expected) < 1e-13


def test_every_convention_is_tested():
    assert {*PEERS, *REFUSED} == {*CONVENTIONS}


def test_arm_compute_without_scaling(rng):
    x = rng.normal(size=(9, 11))
    norm = sn.convert("arm_compute", 3, ALPHA, BETA, K, is_scaled=False, device="cpu")
    assert normwise(norm(x), peer(x, 1, 1, ALPHA, BETA, K, 1)) < 1e-13


def test_divisive_is_the_textbook_formula(rng):
    x, s, c = rng.normal(size=(9, 11)), 0.3, 1.7
    norm = sn.convert("divisive", 3, alpha=c, k=s**2, device="cpu")
    mean = sn.reference.window_sum(x**2, 3) / 9
    assert normwise(norm(x), x / np.sqrt(s**2 + c * mean)) < 1e-13


def test_mirrored_windows_by_flipping(rng):
    """What the refusal of an even size tells to do, done."""
    x = rng.normal(size=(9, 11))
    with pytest.raises(ValueError, match="flip"):
        sn.convert("cudnn", 4, ALPHA, BETA, K)
    norm = sn.convert("mps", 4, ALPHA, BETA, K, device="cpu")
    mirrored = norm(x[::-1, ::-1])[::-1, ::-1]
    before, after = leaning(4)
    assert normwise(mirrored, peer(x, after, before, ALPHA, BETA, K, 16)) < 1e-13


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    with pytest.raises(ValueError, match=r"cannot be reproduced: it .{20}"):
        sn.convert(name, 3)


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("caffe", {"size": 4}, ["Caffe", "size 4", "odd"]),
        ("opencv", {"size": 2}, ["OpenCV", "odd"]),
        ("miopen", {"size": 6}, ["MIOpen", "size 6", "mirror"]),
        ("cudnn", {"size": 17}, ["cuDNN", "17", "1 to 16"]),
        ("cudnn", {"size": 3, "k": 1e-6}, ["cuDNN", "1e-06", "1e-5"]),
        ("cudnn", {"size": 3, "beta": 0.001}, ["cuDNN", "0.001", "0.01"]),
        ("arm_compute", {"size": 4}, ["Arm", "even"]),
        ("directml", {"size": 4}, ["DirectML", "even"]),
        ("openvino", {"size": 3, "k": 1.5}, ["OpenVINO", "1.5", "integer"]),
        ("caffe", {"size": (3, 5)}, ["Caffe", "square", "(3, 5)"]),
    ],
)
def test_what_cannot_be_reproduced(name, arguments, words):
    with pytest.raises(ValueError, match=r"cannot be reproduced|square windows only") as caught:
        sn.convert(name, **arguments)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("name", ["", "Caffe", "keras", None, 3, ["caffe"]], ids=repr)
def test_unknown(name):
    with pytest.raises(ValueError, match="convention must be one of mps, caffe") as caught:
        sn.convert(name, 3)
    assert repr(name) in str(caught.value)


def test_bad_numbers_are_named():
    with pytest.raises(ValueError, match="alpha"):
        sn.convert("onednn", 4, alpha=-1)
    with pytest.raises(ValueError, match="beta"):
        sn.convert("caffe", 3, beta=np.nan)
    with pytest.raises(TypeError, match="k must be a number"):
        sn.convert("caffe", 3, k="2")
    with pytest.raises(ValueError, match="kernel_size"):
        sn.convert("caffe", 0)


def test_options_pass_through():
    norm = sn.convert("sum", (3, 5), 0.1, 0.5, axes=(1, 2), device="cpu")
    assert (norm.kernel_size, norm.axes, norm.device) == ((3, 5), (1, 2), "cpu")
    assert norm.alpha == pytest.approx(1.5)
    assert sn.convert("mps", 3).beta == 5
    assert sn.convert("caffe", 3).beta == 0.75
