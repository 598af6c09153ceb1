"""Time kernels for odd square windows with other columns, rows and widths than spatial_table.h lists.

python tests/gpu/tune.py compile      registers, spills and shared memory of each; needs nvcc, no GPU
python tests/gpu/tune.py run [WORD ...]      only the lines that hold every word
ncu ... python tests/gpu/tune.py profile WORD ...      each of those kernels once
"""

from __future__ import annotations

import re
import sys

import gpu as cuda
import msl

SHAPES = {
    "56": ((32, 64, 56, 56), False),
    "hd": ((8, 3, 1080, 1920), False),
    "4k": ((4, 1, 4096, 4096), False),
    "14": ((128, 512, 14, 14), False),
    "7": ((128, 2048, 7, 7), False),
    "nhwc": ((32, 64, 56, 56), True),
}
WINDOWS = {"56": [5], "hd": [9], "4k": [5, 15, 31, 63], "14": [5], "7": [5], "nhwc": [3, 5, 7, 9, 15]}
WAVES = (1, 2, 4)  # times the threadgroups that run at a time

# After the window: columns of a thread, rows of a step; then of a strip its width and the windows that a thread sums,
# of an interleaved kernel the channels of a thread and the threads side by side. Of planes their side, of whole columns
# how many a thread takes and their height. Long strips, for the largest windows: rows and width.
VARIANTS = """
forward simd 5: 4 4, 2 4
forward simd 9: 4 8, 4 4
forward simd 15: 4 7, 2 14
forward strip 31: 1 8 256 8, 1 10 256 16
forward strip 63: 1 8 256 16, 1 8 256 8
gradient simd 5: 2 4, 4 2, 4 4
gradient strip 9: 1 8 256 16, 2 8 256 16, 2 4 256 8
gradient strip 15: 1 8 256 16, 2 8 256 16, 2 8 384 16
gradient strip 31: 1 10 384 12, 1 8 384 12
gradient long 63: 8 384
forward interleaved 3: 1 2 4 8 56, 4 2 1 16 56, 2 2 2 16 56
gradient interleaved 3: 4 2 1 16 56, 2 2 2 8 56, 2 2 1 16 56
forward interleaved 5: 1 2 4 8 56, 4 2 1 16 56, 2 2 2 16 56
gradient interleaved 5: 2 4 1 16 56, 4 2 1 16 56, 2 4 1 8 56, 2 2 2 8 56, 2 2 1 16 56, 1 2 2 8 56
forward interleaved 7: 1 4 2 8 56, 2 2 2 8 56, 4 2 1 16 56, 2 4 1 16 56
gradient interleaved 7: 1 4 2 4 64, 2 4 1 8 56, 2 4 1 16 56
forward interleaved 9: 1 4 2 8 56, 2 4 1 16 56, 4 2 1 16 56
gradient interleaved 9: 2 4 1 8 64, 1 4 2 4 64, 2 4 1 16 56
forward interleaved 15: 4 2 1 16 64, 2 2 2 8 64
gradient interleaved 15: 1 4 2 4 64, 2 4 1 8 56
forward planes 5: 7
gradient planes 5: 7
forward columns 5: 2 14
gradient columns 5: 2 14
"""


def variants(library, dtypes=("float", "half")):
    """Yield (instance, pass, design, k, dtype, tile) for everything to be timed."""
    for line in VARIANTS.strip().splitlines():
        which, design, k = re.match(r"(\w+) (\w+) (\d+):", line).groups()
        for sizes in line.split(":")[1].split(","):
            numbers = [int(n) for n in sizes.split()]
            for dtype in dtypes:
                name = f"tune_{which}_{design}_{dtype}_{k}_" + "_".join(map(str, numbers))
                small = "_16" if design == "long" and dtype != "float" else ""
                made = msl.instance(library, name, f"spatial_{which}_{design}{small}", dtype, int(k), *numbers)
                yield made, which, design, int(k), dtype, tile(design, numbers)


def tile(design, numbers):
    """Columns, rows, width and channels as the library's launch arithmetic takes them."""
    if design == "interleaved":
        columns, rows, channels, lanes, width = numbers
        return columns, rows, width, channels, lanes
    if design == "long":
        return 1, *numbers, 1, 1
    if design == "planes":
        return (*numbers * 3, 1, 1)
    return (*numbers[:3], 0, 0)[:3] + (1, 1)


# The host's name of a design, where it has no other.
HOST = {"long": "strip"}

# The shapes that a design is timed on.
PLANAR = [name for name, (_, nhwc) in SHAPES.items() if not nhwc]
FITS = {"interleaved": ["nhwc"], "planes": ["7"], "columns": ["14"], "strip": ["56", "hd", "4k"], "long": ["4k"]}


def matches(words, *what):
    text = " ".join(map(str, what))
    return all(re.search(rf"\b{word}\b", text) for word in words)


def chosen(library, words):
    return [v for v in variants(library) if matches(words, *v[1:5], v[0].name)]


def profile(words):
    import torch
    from timing import Images

    gpu, library = cuda.Gpu(), msl.load()
    table = chosen(library, words)
    gpu.load(library, [v[0] for v in table])
    for instance, which, design, k, dtype, tile in table:
        shape, nhwc = SHAPES[FITS.get(design, ["4k"])[-1]]
        images = Images(shape, dtype, nhwc)
        at_once = gpu.groups_at_once(instance.name, msl.threads(instance))
        launch = images.launch(which, k, groups_at_once=at_once, design=HOST.get(design, design), tile=tile)
        gpu.run(launch, images.operands(which, images.sets[0]), 0, 0, {launch.names[0]: instance.name})
        torch.cuda.synchronize()


def run(words):
    import torch
    from timing import Images

    torch.cuda.set_stream(torch.cuda.Stream())
    gpu, library = cuda.Gpu(), msl.load()
    table = chosen(library, words)
    gpu.load(library, [v[0] for v in table])
    for shape_name, k in [(name, k) for name, ks in WINDOWS.items() for k in ks]:
        shape, nhwc = SHAPES[shape_name]
        for dtype in ("float", "half"):
            here = [v for v in table if v[3] == k and v[4] == dtype and shape_name in FITS.get(v[2], PLANAR)]
            if not here:
                continue
            images = Images(shape, dtype, nhwc)
            copy = images.copy_seconds()
            print(f"{shape_name} k={k} {dtype}: copy {2 * images.bytes / copy / 1e12:.2f} TB/s", flush=True)
            results = []
            for instance, which, design, _, _, tile in here:
                best = None
                at_once = gpu.groups_at_once(instance.name, msl.threads(instance))
                for waves in WAVES:
                    host, groups = HOST.get(design, design), waves * at_once
                    launch = images.launch(which, k, design=host, groups_at_once=groups, tile=tile)
                    try:
                        seconds = images.seconds(gpu, which, launch, {launch.names[0]: instance.name}, rounds=3)
                    except cuda.CudaError as reason:
                        print(f"  {instance.name}: {reason}")
                        return
                    best = min(best or (seconds, waves), (seconds, waves))
                results.append((which, best[0], best[1], instance.name[5:]))
            for which, seconds, waves, name in sorted(results):
                share = images.moved(which) / (2 * images.bytes / copy) / seconds
                print(f"  {which:9s} {share:6.1%} {seconds * 1e6:8.1f} us  {name} waves {waves}", flush=True)
            del images


if __name__ == "__main__":
    words = sys.argv[2:]
    if sys.argv[1:2] == ["compile"]:
        from report import report

        library = msl.load()
        for name, figures in report(library, [v[0] for v in chosen(library, words)]).items():
            print(name, *figures)
    else:
        reason = cuda.why_not()
        sys.exit(f"skipped: {reason}" if reason else profile(words) if sys.argv[1:2] == ["profile"] else run(words))
