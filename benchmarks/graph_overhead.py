"""What a graph costs beside the calls that it makes.

    python benchmarks/graph_overhead.py

Every row compares a graph with the same work by plain calls on arrays made once, in turns in one process.
The goal is for one node on a 16 x 16 image: `graph.run` takes at most 3 times the plain call. The exit
status is 1 when it is missed. Times depend on the machine and its other work; believe the ratios.
"""

from __future__ import annotations

import statistics
import sys
import timeit
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# As run.py: measure the installed package.
sys.path[:] = [p for p in sys.path if Path(p or ".").resolve() not in (ROOT, ROOT / "benchmarks")] + [str(ROOT)]

import numpy as np  # noqa: E402

import spatialnorm as sn  # noqa: E402
from benchmarks import machine  # noqa: E402
from spatialnorm.graph import Graph, ImageNode, SpatialNormalizationNode  # noqa: E402

GOAL = 3.0
TURNS, SECONDS = 25, 0.02  # how often each takes its turn, and for how long

Call = Callable[[], object]


def chain(n: int) -> tuple[list[SpatialNormalizationNode], list[sn.SpatialNorm]]:
    """Make n nodes, one after the other, and the objects that do the same."""
    image, nodes = ImageNode("x"), []
    for i in range(n):
        nodes.append(SpatialNormalizationNode(image, 3 + i % 3))
        nodes[-1].beta = 0.75
        image = nodes[-1].result_image
    return nodes, [sn.SpatialNorm(node.kernel_height, beta=node.beta, device="cpu") for node in nodes]


def forward(size: int, n: int, how: str) -> tuple[Call, Call, list[np.ndarray]]:
    """Return the plain calls, the graph, and what either writes to."""
    nodes, norms = chain(n)
    x, plain_out, graph_out = np.random.default_rng(0).normal(size=(3, size, size)).astype("f4")
    graph = Graph(nodes[-1].result_image, "cpu")
    sources = {"x": x}

    def plain() -> None:
        norms[0](x, plain_out)
        for norm in norms[1:]:
            norm(plain_out, plain_out)

    first = norms[0]
    one = (lambda: first(x, plain_out)) if n == 1 else plain
    calls = {"run": lambda: graph.run(sources, graph_out), "call": lambda: graph(x, out=graph_out)}
    return one, calls[how], [plain_out, graph_out]


def training(size: int, n: int, how: str) -> tuple[Call, Call, list[np.ndarray]]:
    """Forward and gradient of n nodes, all intermediate images kept."""
    nodes, norms = chain(n)
    x, dy, plain_out, graph_out = np.random.default_rng(0).normal(size=(4, size, size)).astype("f4")
    (last,) = nodes[-1].training_graph(ImageNode("dy"))
    graph = Graph(last.result_image, "cpu")
    sources = {"x": x, "dy": dy}
    images = [x, *(np.empty_like(x) for _ in norms[1:])]

    def plain() -> None:
        for norm, source, target in zip(norms, images, images[1:], strict=False):
            norm(source, target)
        gradient = dy
        for norm, image in zip(reversed(norms), reversed(images), strict=True):
            norm.gradient(gradient, image, plain_out)
            gradient = plain_out

    norm = norms[0]
    one = (lambda: norm.gradient(dy, x, plain_out)) if n == 1 else plain
    return one, lambda: graph.run(sources, graph_out), [plain_out, graph_out]


ROWS = [
    ("forward, 1 node, 16 x 16, graph.run", forward, 16, 1, "run", GOAL),
    ("forward, 1 node, 16 x 16, graph(x)", forward, 16, 1, "call", GOAL),
    ("gradient, 1 node, 16 x 16, graph.run", training, 16, 1, "run", GOAL),
    ("forward, 10 nodes, 16 x 16, graph.run", forward, 16, 10, "run", None),
    ("training, 5 nodes, 16 x 16, graph.run", training, 16, 5, "run", None),
    ("forward, 10 nodes, 256 x 256, graph.run", forward, 256, 10, "run", None),
    ("training, 5 nodes, 256 x 256, graph.run", training, 256, 5, "run", None),
]


def measure(calls: list[Call]) -> list[list[float]]:
    """Let the calls take turns; return each one's times in nanoseconds."""
    timers = [timeit.Timer(call) for call in calls]
    counts = [max(1, int(SECONDS / (min(timer.repeat(3, 20)) / 20))) for timer in timers]
    times: list[list[float]] = [[] for _ in calls]
    for _ in range(TURNS):
        for timer, count, found in zip(timers, counts, times, strict=True):
            found.append(timer.timeit(count) / count * 1e9)
    return times


def main() -> None:
    sn.set_num_threads(1)
    other = machine.OtherWork()
    facts = machine.facts()
    print(f"{facts['processor']}, Python {facts['python']}, NumPy {facts['numpy']}, spatialnorm {sn.__version__}")
    print(f"one thread; {TURNS} turns, medians, nanoseconds\n")
    print(f"{'':42} {'plain':>10} {'graph':>10} {'ratio':>7}  {'quartiles':>13}  goal")
    missed = 0
    for name, make, size, n, how, goal in ROWS:
        plain, graph, outputs = make(size, n, how)
        for call, output in zip((plain, graph), outputs, strict=True):
            output.fill(np.nan)
            call()
        if outputs[0].tobytes() != outputs[1].tobytes():
            sys.exit(f"graph_overhead: {name}: the graph's result differs from that of the plain calls.")
        a, b = measure([plain, graph])
        ratios = [y / x for x, y in zip(a, b, strict=True)]
        low, ratio, high = statistics.quantiles(ratios, n=4)
        missed += goal is not None and ratio > goal
        verdict = "" if goal is None else f"{goal:g}: {'met' if ratio <= goal else 'MISSED'}"
        columns = f"{statistics.median(a):>10.0f} {statistics.median(b):>10.0f} {ratio:>7.2f}"
        print(f"{name:42} {columns}  {low:>5.2f} - {high:<5.2f}  {verdict}".rstrip())
    share = other.share()
    print(f"\nMeanwhile others kept {share['others']:.2f} processors busy; the host took away {share['stolen']:.2f}.")
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
