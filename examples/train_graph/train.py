"""Learn beta and delta of a divisive normalization from what it does to patches of a photograph.

    python examples/train_graph/train.py

Two stages of gain control follow each other. The second is known; of the first, only what both together
make of the patches is given. Its beta and delta are found by gradient descent: the gradient goes back
through the second stage by `training_graph`, and becomes that of beta and delta by
`SpatialNorm.parameter_gradients`.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

import spatialnorm as sn
from spatialnorm.graph import AdditionNode, Graph, ImageNode, SpatialNormalizationNode

KERNEL_SIZE = 9  # of the first stage; alpha is 1
GIVEN = {"beta": 0.75, "delta": 0.3}
# Downhill from here. There is another valley, less deep, at negative beta: expansion in place of compression.
START = {"beta": 1.1, "delta": 1.5}
SECOND = {"kernel_size": 5, "beta": 0.5, "delta": 0.1}  # the stage that is known


def cut_patches(count: int, size: int, rng: np.random.Generator) -> np.ndarray:
    """Cut patches from matplotlib's sample photograph, with zero mean and unit variance over all."""
    from matplotlib import cbook, image

    with cbook.get_sample_data("grace_hopper.jpg") as file:
        photograph = image.imread(file, format="jpg")
    gray = photograph @ np.array([0.299, 0.587, 0.114])
    rows, columns = (rng.integers(0, n - size, count) for n in gray.shape)
    patches = np.stack([gray[r : r + size, c : c + size] for r, c in zip(rows, columns, strict=True)])
    patches -= patches.mean(axis=(1, 2), keepdims=True)
    return (patches / patches.std()).astype(np.float32)


def first_stage(beta: float, delta: float) -> sn.SpatialNorm:
    return sn.SpatialNorm(KERNEL_SIZE, beta=beta, delta=delta)


def both_stages(patches: np.ndarray, beta: float, delta: float) -> np.ndarray:
    return sn.spatial_norm(first_stage(beta, delta)(patches), **SECOND)


class Model:
    """Both stages as a graph that makes the residual, and the gradient where the first stage ends."""

    def __init__(self) -> None:
        patches, minus_target = ImageNode("patches"), ImageNode("minus target")
        self.first = SpatialNormalizationNode(patches, KERNEL_SIZE)
        self.first.label = "first stage"
        self.first.beta, self.first.delta = START["beta"], START["delta"]
        # The first stage's parameters need the gradient of its result, and nothing before it.
        self.first.result_image.handle = "between"
        self.first.result_image.stop_gradient = True

        second = SpatialNormalizationNode(self.first.result_image, SECOND["kernel_size"])
        second.label = "second stage"
        second.beta, second.delta = SECOND["beta"], SECOND["delta"]

        # Half the sum of squares of the residual is the loss, so the residual is its own gradient: a
        # training graph without a source gradient starts from just that.
        residual = AdditionNode(second.result_image, minus_target)
        ends = residual.training_graph()
        (gradient,) = [end for end in ends if end.result_image.handle == "between"]
        self.graph = Graph([residual.result_image, gradient.result_image])

    def loss_and_gradients(self, patches: np.ndarray, target: np.ndarray) -> tuple[float, np.ndarray]:
        """Return the mean of squares / 2, and its derivatives by beta and delta."""
        residual, gradient = self.graph.run({"patches": patches, "minus target": -target})
        norm = first_stage(self.first.beta, self.first.delta)
        _, d_beta, d_delta = norm.parameter_gradients(gradient, patches)
        return float(np.mean(residual.astype(float) ** 2) / 2), np.array([d_beta, d_delta]) / residual.size

    def set(self, beta: float, delta: float) -> None:
        self.first.beta, self.first.delta = beta, delta
        self.graph.reload_from_nodes()


@dataclass
class Adam:
    """Adam (Kingma and Ba, 2015), for a few parameters."""

    steps: int = 0
    mean: np.ndarray = field(default_factory=lambda: np.zeros(2))
    square: np.ndarray = field(default_factory=lambda: np.zeros(2))

    def step(self, gradient: np.ndarray, rate: float) -> np.ndarray:
        self.steps += 1
        self.mean = 0.9 * self.mean + 0.1 * gradient
        self.square = 0.95 * self.square + 0.05 * gradient**2
        mean, square = self.mean / (1 - 0.9**self.steps), self.square / (1 - 0.95**self.steps)
        return -rate * mean / (np.sqrt(square) + 1e-12)


def train(patches: np.ndarray, steps: int, batch: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return the path of (beta, delta), start included, and the loss of each step's batch."""
    target = both_stages(patches, **GIVEN)
    model, adam = Model(), Adam()
    path, losses = [(model.first.beta, model.first.delta)], []
    for step in range(steps):
        chosen = rng.choice(len(patches), batch, replace=False)
        loss, (d_beta, d_delta) = model.loss_and_gradients(patches[chosen], target[chosen])
        rate = 0.04 * (1 + np.cos(np.pi * step / steps)) / 2
        # delta must stay positive, so its logarithm is what is learned: d/d log(delta) = delta d/d delta.
        beta, delta = path[-1]
        by_beta, by_log_delta = adam.step(np.array([d_beta, delta * d_delta]), rate)
        path.append((beta + by_beta, delta * np.exp(by_log_delta)))
        model.set(*path[-1])
        losses.append(loss)
    return np.array(path), np.array(losses)


def plot(path: np.ndarray, losses: np.ndarray, patches: np.ndarray, file: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplot_mosaic(
        [["valley", "valley", "loss", "loss"], ["patch", "given", "before", "after"]],
        figsize=(11, 7.5),
        height_ratios=[1.5, 1],
        layout="constrained",
    )
    target = both_stages(patches, **GIVEN)

    some = slice(0, 8)
    betas, deltas = np.linspace(0.1, 1.4, 34), np.geomspace(0.08, 2.5, 34)
    valley = [[np.mean((both_stages(patches[some], b, d) - target[some]) ** 2) / 2 for b in betas] for d in deltas]
    ax = axes["valley"]
    levels = np.geomspace(np.min(valley), np.max(valley), 18)
    ax.contour(betas, deltas, valley, levels=levels, colors="0.65", linewidths=0.8)
    ax.plot(*path.T, "-o", color="tab:blue", markersize=2.5, linewidth=1, label="path of learning")
    ax.plot(*path[0], "s", color="tab:blue", markersize=8, label="start")
    ax.plot(GIVEN["beta"], GIVEN["delta"], "*", color="tab:red", markersize=16, label="given")
    ax.set(yscale="log", xlabel="beta", ylabel="delta", title="Loss (lines), and the way that was learned")
    ax.legend(loc="upper left")

    ax = axes["loss"]
    ax.semilogy(losses, color="tab:blue", label="loss of each batch")
    for i, name in enumerate(("beta", "delta")):
        error = np.abs(path[1:, i] - GIVEN[name])
        ax.semilogy(error, linestyle="--", color=("tab:orange", "tab:green")[i], label=f"error of {name}")
    ax.set(xlabel="step", title="Loss, and distance from what was given")
    ax.legend()

    k = int(np.argsort(patches.std(axis=(1, 2)))[len(patches) // 2])
    pictures = {
        "patch": ("a patch", patches[k]),
        "given": ("given: both stages", target[k]),
        "before": ("start less given", both_stages(patches[k], *path[0]) - target[k]),
        "after": ("learned less given", both_stages(patches[k], *path[-1]) - target[k]),
    }
    scales = {name: np.abs(pictures["before" if name == "after" else name][1]).max() for name in pictures}
    for name, (title, picture) in pictures.items():
        axes[name].imshow(picture, cmap="gray", vmin=-scales[name], vmax=scales[name])
        axes[name].set_title(f"{title}\nblack to white: {-scales[name]:.2g} to {scales[name]:.2g}", fontsize=10)
        axes[name].set_axis_off()
    figure.savefig(file, dpi=90)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--patches", type=int, default=64)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--output", type=Path, default=Path("train_graph.png"), help="the plot")
    options = parser.parse_args()

    rng = np.random.default_rng(0)
    patches = cut_patches(options.patches, 64, rng)
    path, losses = train(patches, options.steps, options.batch, rng)
    for name, start, end in zip(("beta", "delta"), path[0], path[-1], strict=True):
        print(f"{name:>5}: started at {start:g}, learned {end:.6f}, given {GIVEN[name]:g}")
    print(f" loss: {losses[0]:.3g} at the first step, {losses[-1]:.3g} at the last of {options.steps}")
    plot(path, losses, patches, options.output)
    print(f" plot: {options.output}")


if __name__ == "__main__":
    main()
