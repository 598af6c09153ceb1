"""What is measured: the cases, and which contenders run them.

A section is a list of cases that the same contenders run in turns; `plan` builds them all. A
contender is a peer (benchmarks/peers/) with a number of threads and perhaps an instruction set.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

BYTES = {"float16": 2, "bfloat16": 2, "float32": 4, "float64": 8}
WINDOWS = [3, 5, 9, 15, 31, 63]


@dataclass(frozen=True)
class Case:
    """One operation on one array. `shape` is N, C, H, W whatever the layout in memory."""

    shape: tuple[int, int, int, int]
    kernel_size: int
    # alpha is 1, not AlexNet's 1e-4, because a wrong gradient hides where alpha is small.
    alpha: float = 1.0
    beta: float = 0.75
    delta: float = 1.0
    dtype: str = "float32"
    layout: str = "NCHW"

    @property
    def name(self) -> str:
        text = "x".join(map(str, self.shape)) + f" k={self.kernel_size}"
        text += "" if self.dtype == "float32" else f" {self.dtype}"
        text += "" if self.layout == "NCHW" else f" {self.layout}"
        return text if self.beta == 0.75 else f"{text} beta={self.beta:g}"

    @property
    def elements(self) -> int:
        n, c, h, w = self.shape
        return n * c * h * w

    @property
    def bytes(self) -> int:
        return self.elements * BYTES[self.dtype]

    def cropped(self, size: int) -> Case:
        n, c, h, w = self.shape
        return replace(self, shape=(n, c, min(h, size), min(w, size)))

    def to_dict(self) -> dict:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict) -> Case:
        return cls(**{**values, "shape": tuple(values["shape"])})


@dataclass(frozen=True)
class Contender:
    """A peer as it runs: with `threads` threads and, for ours, on a forced instruction set."""

    peer: str
    threads: int = 1
    isa: str = ""

    @property
    def name(self) -> str:
        text = f"{self.peer} {self.isa}".strip()
        return text if self.threads == 1 else f"{text}, {self.threads} threads"


@dataclass(frozen=True)
class Section:
    name: str
    cases: list[Case]
    contenders: list[Contender]


OURS = "spatialnorm"
LIMITS = "limit"
# Compiled for minutes in all, so only where asked for in full.
COMPILED = ["torch.compile composite", "torch.compile separable", "torch.compile closed form"]
PEERS = ["OpenCV", "Numba", "JAX", "SciPy", "PyTorch eager", *COMPILED, "oneDNN plain", "oneDNN best layout"]

NETWORK = Case((1, 64, 56, 56), 5)
BATCH = Case((8, 64, 56, 56), 5)
PHOTOGRAPH = Case((1, 3, 1080, 1920), 9)
LARGE = Case((1, 1, 4096, 4096), 31)
SMALL = Case((1, 1, 16, 16), 5)
TINY = Case((1, 1, 2, 2), 5)
CHANNELS = Case((1, 64, 512, 512), 5)


SECTIONS = ["small", "tiny", "windows", "threads", "layouts", "dtypes", "isa", "peers", "peer windows", "memory"]


def windows(size: int, kernel_sizes: list[int]) -> list[Case]:
    return [Case((1, 1, size, size), k) for k in kernel_sizes]


def plan(quick: bool, threads: list[int], dtypes: list[str]) -> list[Section]:
    """Return the sections of a run, in the order in which they are measured."""
    first, most = threads[0], threads[-1]
    own = [Contender(name, n) for n in threads for name in (LIMITS, OURS)]
    single = [Contender(LIMITS, first), Contender(OURS, first)]
    others = [peer for peer in PEERS if not (quick and peer in COMPILED)]
    everyone = [*single, *(Contender(peer, first) for peer in others)]

    large_windows = windows(2048, [5, 63]) if quick else windows(4096, WINDOWS)
    peer_cases = [NETWORK, *windows(1024, [5, 31])] if quick else [NETWORK, PHOTOGRAPH, LARGE]
    side = 2048 if quick else 4096
    types = [Case((1, 1, side, side), 5, dtype=dtype) for dtype in dtypes]
    layouts = [CHANNELS, replace(CHANNELS, layout="NHWC")]
    targets = [Case((1, 1, side, side), k) for k in (5, 31)] + [NETWORK]
    # The kindest of the compiled forms will do for the series: each window is compiled anew.
    series = [c for c in everyone if c.peer not in COMPILED[:2]]
    sections = [
        Section("small", [SMALL], everyone),
        Section("tiny", [TINY, Case((1, 1, 64, 64), 5)], single),
        Section("windows", large_windows, own),
        Section("threads", [NETWORK, BATCH, PHOTOGRAPH], own),
        Section("layouts", layouts if not quick else [], single),
        Section("dtypes", types, single),
        Section("isa", targets, [Contender(OURS, first, isa) for isa in ("avx2", "avx512")]),
        Section("peers", peer_cases, everyone),
        Section("peer windows", [] if quick else windows(2048, WINDOWS), series),
    ]
    if most == first:
        sections = [s for s in sections if s.name != "threads"]
    return [s for s in sections if s.cases]
