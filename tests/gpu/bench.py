"""Speed of the Metal kernels on an NVIDIA GPU, beside the device copy and PyTorch, with their errors.

    python tests/gpu/bench.py [--peers float,half] [--dtype float,half] [--cases NAME,...] [--design NAME] [--out FILE]

Every row is checked against float64 in the same run, its output poisoned first. `of copy` is the least traffic
(8 bytes an element forward, 12 gradient, half that in half precision) over the rate of a device-to-device copy of
the same tensor. --peers adds PyTorch for those dtypes: eager, torch.compile, and torch.compile of the formula with two
one-dimensional pools ("separable"), which is the fair peer; `half:separable` only that one. --design times the
kernels of one design (launch.py) in place of those that the library would choose.
"""

from __future__ import annotations

import argparse
import datetime
import itertools
import json
import subprocess
import sys
import time
from pathlib import Path

import gpu as cuda
import msl
from launch import DESIGNS, plan

CASES = {
    "56": ((32, 64, 56, 56), 5, False),
    "hd": ((8, 3, 1080, 1920), 9, False),
    "4k-5": ((4, 1, 4096, 4096), 5, False),
    "4k-15": ((4, 1, 4096, 4096), 15, False),
    "4k-31": ((4, 1, 4096, 4096), 31, False),
    "4k-63": ((4, 1, 4096, 4096), 63, False),
    "nhwc": ((32, 64, 56, 56), 5, True),
    "14": ((128, 512, 14, 14), 5, False),
    "7": ((128, 2048, 7, 7), 5, False),
    "4k-33": ((4, 1, 4096, 4096), 33, False),
}

PASSES = ("forward", "gradient")


def box(a, k):
    """Mean over k x k windows (k odd), zeros outside, by two one-dimensional pools."""
    from torch.nn.functional import avg_pool2d

    a = avg_pool2d(a, (k, 1), stride=1, padding=(k // 2, 0))
    return avg_pool2d(a, (1, k), stride=1, padding=(0, k // 2))


def separable(x, k, beta):
    return x * (1.0 + box(x * x, k)) ** -beta


def eager(x, k, beta):
    from torch.nn.functional import avg_pool2d

    return x * (1.0 + avg_pool2d(x * x, k, stride=1, padding=k // 2)) ** -beta


def reference(which, x, dy, k, beta):
    x, dy = x.double(), dy.double()
    t = 1.0 + box(x * x, k)
    if which == "forward":
        return x * t**-beta
    return dy * t**-beta - 2 * beta * x * box(dy * x * t ** (-beta - 1), k)


def error(gpu, images, which, launch, k, beta):
    """Largest error over largest magnitude, and the worst relative error where the result is not small."""
    import torch

    x, dy, out = images.sets[0]
    out.fill_(float("nan"))
    scratch = torch.empty(max(launch.scratch_bytes, 16), device="cuda", dtype=torch.uint8)
    gpu.run(launch, images.operands(which, images.sets[0]), scratch.data_ptr(), torch.cuda.current_stream().cuda_stream)
    torch.cuda.synchronize()
    worst = 0.0
    for i in range(min(x.shape[0], 4)):
        ref = reference(which, x[i : i + 1], dy[i : i + 1], k, beta)
        worst = max(worst, float((out[i : i + 1].double() - ref).abs().max() / ref.abs().max()))
    if bool(out.isnan().any()):
        raise AssertionError("elements were not written")
    return worst


FORMS = ("separable", "compiled", "eager")


def form_function(form):
    import torch
    import torch._functorch.config

    # A backward pass that donates its buffers can run only once; it is timed again and again on one graph.
    torch._functorch.config.donated_buffer = False
    return {
        "eager": lambda: eager,
        "compiled": lambda: torch.compile(eager, dynamic=False),
        "separable": lambda: torch.compile(separable, dynamic=False),
    }[form]()


def peers(images, k, chosen, end, beta=0.75):
    """Seconds of each PyTorch form, {(pass, form): seconds}, and why others have none, {form: reason}.

    None is begun after the time `end`."""
    import torch
    from timing import measure

    few, found, failed = images.sets[:2], {}, {}
    torch._dynamo.reset()
    for form in chosen:
        began = time.time()
        if began > end:
            failed[form] = "no time left"
            print(f"  {form}: {failed[form]}", flush=True)
            continue
        function = form_function(form)
        try:
            found["forward", form] = measure([lambda s=s, f=function: f(s[0], k, beta) for s in few])
            inputs = [s[0].detach().requires_grad_() for s in few]
            outs = [function(i, k, beta) for i in inputs]
            found["gradient", form] = measure(
                [
                    lambda i=i, o=o, s=s: torch.autograd.grad(o, i, s[1], retain_graph=True)
                    for i, o, s in zip(inputs, outs, few, strict=True)
                ]
            )
            del inputs, outs
        except Exception as reason:  # a peer that cannot run is named, not hidden
            failed[form] = f"{type(reason).__name__}: {' '.join(str(reason).split())[:200]}"
            print(f"  {form}: {failed[form]}", flush=True)
        print(f"  [{form}: {time.time() - began:.0f} s]", flush=True)
        torch.cuda.empty_cache()
    return found, failed


def warm_peers(names, dtype, beta=0.75):
    """Have torch.compile do its work for later processes, which find it in its cache."""
    import torch
    from timing import TORCH

    for name, form in itertools.product(names, FORMS[:2]):
        (n, c, h, w), k, nhwc = CASES[name]
        function = form_function(form)
        x = torch.randn((n, h, w, c) if nhwc else (n, c, h, w), device="cuda").to(TORCH[dtype])
        x = x.permute(0, 3, 1, 2) if nhwc else x
        function(x, k, beta)
        x = x.detach().requires_grad_()
        torch.autograd.grad(function(x, k, beta), x, torch.ones_like(x))


def needed_kernels(names, dtypes, design="automatic"):
    """Names of the kernels that the cases run."""
    found = set()
    for (shape, k, nhwc), dtype, which in itertools.product([CASES[n] for n in names], dtypes, PASSES):
        found.update(plan(shape, dtype, nhwc, which, k, design=design).names)
    return found


def row(gpu, name, dtype, forms, design, end):
    from timing import Images

    shape, k, nhwc = CASES[name]
    images = Images(shape, dtype, nhwc)
    copy = images.copy_seconds()
    rate = 2 * images.bytes / copy
    others, failed = peers(images, k, forms, end)
    found = []
    for which in PASSES:
        launch = images.best_launch(gpu, which, k, design=design)
        entry = {
            "case": name,
            "shape": shape,
            "nhwc": nhwc,
            "k": k,
            "dtype": dtype,
            "pass": which,
            "kernel": launch.names[-1],
            "copy TB/s": rate / 1e12,
            "error": error(gpu, images, which, launch, k, 0.75),
        }
        entry["seconds"] = images.seconds(gpu, which, launch)
        entry["of copy"] = images.moved(which) / rate / entry["seconds"]
        launch = images.best_launch(gpu, which, k, beta=5.0, design=design)
        entry["error beta 5"] = error(gpu, images, which, launch, k, 5.0)
        entry["of copy beta 5"] = images.moved(which) / rate / images.seconds(gpu, which, launch)
        for (p, form), seconds in others.items():
            if p == which:
                entry[form] = seconds / entry["seconds"]
        missing = {form: reason for form, reason in failed.items() if form not in entry}
        if missing:
            entry["peers that failed"] = missing
        found.append(entry)
    return found


def driver():
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    return subprocess.run(command, capture_output=True, text=True).stdout.strip()


def line(e):
    shape = "x".join(map(str, e["shape"])) + (" NHWC" if e["nhwc"] else "")
    form = "".join(f" {e[f]:.1f} |" if f in e else " - |" for f in reversed(FORMS))
    return (
        f"| {shape} | {e['k']} | {e['dtype']} | {e['pass']} | {e['seconds'] * 1e6:.1f} |"
        f" {e['of copy']:.0%} | {e['of copy beta 5']:.0%} |"
        f" {e['error']:.1e} | {e['error beta 5']:.1e} |{form} `{e['kernel']}` |"
    )


HEAD = (
    "| shape (NCHW) | k | dtype | pass | us | of copy | beta 5 | error | beta 5 "
    "| eager | compiled | separable | kernel |\n" + "|---" * 13 + "|"
)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peers", default="", help="dtypes, such as float,half:separable+eager")
    parser.add_argument("--peer-seconds", type=float, default=float("inf"), help="then peers are left out")
    parser.add_argument("--warm-peers", default=None, help="only compile the peers of this dtype, for later runs")
    parser.add_argument("--dtype", default="float,half")
    parser.add_argument("--cases", default=",".join(CASES))
    parser.add_argument("--design", default="automatic", choices=DESIGNS)
    parser.add_argument("--out", default=None)
    arguments = parser.parse_args()
    reason = cuda.why_not()
    if reason:
        print(f"skipped: {reason}")
        return
    try:
        import torch
    except ImportError:
        print("skipped: PyTorch with CUDA is not installed")
        return
    names, dtypes = arguments.cases.split(","), arguments.dtype.split(",")
    if arguments.warm_peers:
        warm_peers(names, arguments.warm_peers)
        return
    end = time.time() + arguments.peer_seconds
    torch.cuda.set_stream(torch.cuda.Stream())  # graphs cannot be captured on the default stream
    gpu, library = cuda.Gpu(), msl.load()
    gpu.load(library, library.named(needed_kernels(names, dtypes, arguments.design)))
    print(f"{datetime.date.today()}, {gpu.name}, PyTorch {torch.__version__}\n{HEAD}", flush=True)
    about = {
        "date": str(datetime.date.today()),
        "command": " ".join(["python tests/gpu/bench.py", *sys.argv[1:]]),
        "device": gpu.name,
        "multiprocessors": gpu.multiprocessors,
        "driver": driver(),
        "PyTorch": torch.__version__,
        "CUDA": torch.version.cuda,
        "rows": [],
    }
    compared = dict((p.split(":") + ["+".join(FORMS)])[:2] for p in arguments.peers.split(",") if p)
    for dtype, name in itertools.product(dtypes, names):
        forms = [f for f in FORMS if f in compared.get(dtype, "").split("+")]
        for entry in row(gpu, name, dtype, forms, arguments.design, end):
            about["rows"].append(entry)
            print(line(entry), flush=True)
        if arguments.out:  # row by row: what was measured stays, whatever comes
            Path(arguments.out).write_text(json.dumps(about, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
