"""Time strip kernels with other rows, columns and numbers of threadgroups than spatial.metal and launch.cpp choose.

python tests/gpu/tune.py compile      needs nvcc, no GPU
python tests/gpu/tune.py run [WORD ...]
ncu ... python tests/gpu/tune.py profile      each of PROFILED once
"""

from __future__ import annotations

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
SIMD = {"forward": {5: (4, 2), 9: (4, 8), 15: (4, 8)}, "gradient": {5: (4, 2)}}  # rows of a step
STRIP = {  # rows of a step, columns of a strip, windows of a thread
    "forward": {31: [(8, 256, 8), (8, 256, 16)], 63: [(8, 256, 8), (8, 256, 16)]},
    "gradient": {
        9: [(8, 128, 8), (8, 256, 8)],
        15: [(8, 128, 8), (8, 256, 8)],
        31: [(8, 256, 16), (8, 384, 8), (8, 384, 16)],
        63: [(8, 256, 16), (8, 384, 16)],
    },
}
INTERLEAVED = {  # columns of a thread, rows of a step, channels of a threadgroup
    "forward": [(4, 4, 8), (4, 4, 16), (2, 4, 16)],
    "gradient": [(2, 4, 8), (4, 4, 8), (2, 4, 16)],
}
CASES = [("56", 5), ("hd", 9), ("4k", 5), ("4k", 15), ("4k", 31), ("4k", 63), ("14", 5), ("7", 5), ("nhwc", 5)]
CONCURRENCY = (33792, 50688, 67584, 84480, 101376, 135168, 270336)


def variants(library):
    """(instance, which, dtype, k, design, two sizes of its tile) for everything to be timed."""
    for dtype in ("float", "half"):
        for which in ("forward", "gradient"):
            for k, rows in SIMD[which].items():
                for r in rows:
                    name = f"tune_{which}_simd_{dtype}_{k}_{r}"
                    yield (
                        msl.instance(library, name, f"spatial_{which}_simd", dtype, k, r),
                        which,
                        dtype,
                        k,
                        "simd",
                        r,
                        0,
                    )
            for k, sizes in STRIP[which].items():
                if dtype == "half" and k > 15:
                    continue
                for r, width, each in sizes:
                    name = f"tune_{which}_strip_{dtype}_{k}_{each}_{r}x{width}"
                    yield (
                        msl.instance(library, name, f"spatial_{which}_strip", dtype, k, r, width, each),
                        which,
                        dtype,
                        k,
                        "strip",
                        r,
                        width,
                    )
            for columns, r, channels in INTERLEAVED[which]:
                name = f"tune_{which}_interleaved_{dtype}_5_{r}_{columns}x{channels}"
                yield (
                    msl.instance(library, name, f"spatial_{which}_interleaved", dtype, 5, columns, r, channels),
                    which,
                    dtype,
                    5,
                    "interleaved",
                    columns,
                    channels,
                )


PROFILED = [
    ("forward", "float", "4k", 5, "simd", 4, 0),
    ("forward", "half", "4k", 5, "simd", 4, 0),
    ("gradient", "half", "4k", 5, "simd", 4, 0),
    ("forward", "half", "4k", 15, "simd", 4, 0),
    ("gradient", "half", "4k", 15, "simd", 4, 0),
    ("gradient", "float", "4k", 15, "strip", 8, 256),
    ("forward", "float", "4k", 31, "strip", 8, 256),
    ("gradient", "float", "4k", 31, "strip", 8, 384),
    ("gradient", "float", "4k", 63, "strip", 8, 384),
    ("forward", "float", "14", 5, "simd", 4, 0),
    ("gradient", "float", "nhwc", 5, "interleaved", 2, 8),
]


def profile():
    import torch
    from timing import Images

    gpu, library = cuda.Gpu(), msl.load()
    table = {tuple(key): instance for instance, *key in variants(library)}
    gpu.load(library, list(table.values()))
    for which, dtype, name, k, design, rows, width in PROFILED:
        shape, nhwc = SHAPES[name]
        images = Images(shape, dtype, nhwc)
        options = {"design": design, "tile": (0, 0) if design == "simd" else (rows, width)}
        launch = images.launch(which, k, concurrency=67584, **options)
        instance = table[which, dtype, k, design, rows, width]
        gpu.run(launch, images.operands(which, images.sets[0]), 0, 0, {launch.names[0]: instance.name})
        torch.cuda.synchronize()


def run(words):
    import torch
    from timing import Images

    torch.cuda.set_stream(torch.cuda.Stream())
    gpu, library = cuda.Gpu(), msl.load()
    table = list(variants(library))
    gpu.load(library, [v[0] for v in table])
    for shape_name, k in CASES:
        shape, nhwc = SHAPES[shape_name]
        for dtype in ("float", "half"):
            if dtype == "half" and k > 15:
                continue
            images = Images(shape, dtype, nhwc)
            copy = images.copy_seconds()
            print(f"{shape_name} k={k} {dtype}: copy {2 * images.bytes / copy / 1e12:.2f} TB/s", flush=True)
            for which in ("forward", "gradient"):
                if not all(w in f"{shape_name} {k} {dtype} {which}" for w in words):
                    continue
                results = []
                for instance, *key, design, rows, width in table:
                    if (
                        key != [which, dtype, k]
                        or (design == "interleaved") != nhwc
                        or (design == "strip" and shape_name in ("14", "7"))
                    ):
                        continue
                    for concurrency in CONCURRENCY:
                        tile = (0, 0) if design == "simd" else (rows, width)
                        launch = images.launch(which, k, design=design, concurrency=concurrency, tile=tile)
                        rename = {launch.names[0]: instance.name}
                        seconds = images.seconds(gpu, which, launch, rename)
                        share = images.moved(which) / (2 * images.bytes / copy) / seconds
                        results.append((share, instance.name, concurrency, seconds))
                results.sort(reverse=True)
                best = {}
                for r in results:
                    best.setdefault(r[1], r)
                for share, name, concurrency, seconds in best.values():
                    print(f"  {which:9s} {share:6.1%} {seconds * 1e6:8.1f} us  {name[5:]} at {concurrency}", flush=True)
            del images


if __name__ == "__main__":
    if sys.argv[1:2] == ["compile"]:
        from report import report

        library = msl.load()
        for name, figures in report(library, [v[0] for v in variants(library)]).items():
            print(name, *figures)
    else:
        reason = cuda.why_not()
        sys.exit(f"skipped: {reason}" if reason else profile() if sys.argv[1:2] == ["profile"] else run(sys.argv[2:]))
