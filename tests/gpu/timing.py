"""Timing on a GPU with PyTorch's memory, streams and graphs; the kernels are launched by gpu.Gpu."""

from __future__ import annotations

import statistics

import torch
from launch import plan

TORCH = {"float": torch.float32, "half": torch.float16, "bfloat": torch.bfloat16}


def measure(calls, rounds=5, target=2e-3):
    """Median seconds of one call; `calls` (over rotating buffers) run from a captured graph."""
    for call in calls:
        call()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=torch.cuda.current_stream()):
        for call in calls:
            call()

    def once(replays):
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        for _ in range(replays):
            graph.replay()
        end.record()
        end.synchronize()
        return start.elapsed_time(end) * 1e-3 / (replays * len(calls))

    replays = max(1, int(target / (once(2) * len(calls))))
    return statistics.median(once(replays) for _ in range(rounds))


class Images:
    """x, dy and an output of one shape, in enough copies that no cache holds them from one call to the next."""

    def __init__(self, shape, dtype, nhwc=False):
        self.shape, self.dtype, self.nhwc = shape, dtype, nhwc
        n, c, h, w = shape
        size = TORCH[dtype].itemsize
        self.bytes = n * c * h * w * size
        memory = (n, h, w, c) if nhwc else shape
        view = (lambda t: t.permute(0, 3, 1, 2)) if nhwc else (lambda t: t)
        copies = max(2, -(-(600 << 20) // (3 * self.bytes)))

        def make():
            return view(torch.randn(memory, device="cuda").to(TORCH[dtype]))

        self.sets = [
            (make(), make(), view(torch.empty(memory, device="cuda", dtype=TORCH[dtype]))) for _ in range(copies)
        ]

    def copy_seconds(self):
        return measure([lambda x=x, out=out: out.copy_(x) for x, _, out in self.sets])

    def moved(self, which):
        """Bytes that must move: each input read once, the output written once."""
        return self.bytes * (2 if which == "forward" else 3)

    def operands(self, which, images):
        x, dy, out = (t.data_ptr() for t in images)
        return [x, out] if which == "forward" else [dy, x, out]

    def launch(self, which, k, beta=0.75, **options):
        return plan(self.shape, self.dtype, self.nhwc, which, k, beta, **options)

    def best_launch(self, gpu, which, k, **options):
        """The launch that the library makes when it is told how many threadgroups of the kernel run at a time."""
        launch = self.launch(which, k, **options)
        if len(launch.dispatches) > 1:
            return launch
        at_once = gpu.groups_at_once(launch.names[0], launch.dispatches[0].threads)
        return self.launch(which, k, groups_at_once=at_once, **options)

    def seconds(self, gpu, which, launch, rename=None, rounds=5):
        stream = torch.cuda.current_stream().cuda_stream
        scratch = torch.empty(max(launch.scratch_bytes, 16), device="cuda", dtype=torch.uint8)
        return measure(
            [
                lambda s=s: gpu.run(launch, self.operands(which, s), scratch.data_ptr(), stream, rename)
                for s in self.sets
            ],
            rounds,
        )
