"""Compile the kernels for an NVIDIA GPU, without one: registers, spills and shared memory of each.

python tests/gpu/report.py [WORD ...]
"""

from __future__ import annotations

import re
import sys

import msl


def report(library, instances):
    found = {}
    for part in parts(library, instances):
        _, log = msl.cuda(library, part)
        for name, rest in re.findall(r"Function properties for (\w+)\n(.*?Used.*?)\n", log, re.S):
            registers = int(re.search(r"Used (\d+) registers", rest)[1])
            stack = int(re.search(r"(\d+) bytes stack frame", rest)[1])
            spilled = sum(map(int, re.findall(r"(\d+) bytes spill", rest)))
            shared = re.search(r"(\d+) bytes smem", rest)
            found[name] = registers, stack, spilled, int(shared[1]) if shared else 0
    return found


def parts(library, instances, size=4):
    """Instances to compile together: those asked for with their neighbours in the library, so that whoever asks finds
    what was compiled before; one by one what the library does not have."""
    wanted, own = {i.name for i in instances}, [*library.instances]
    every = [own[i : i + size] for i in range(0, len(own), size)]
    known = {i.name for i in own}
    return [p for p in every if wanted & {i.name for i in p}] + [[i] for i in instances if i.name not in known]


if __name__ == "__main__":
    if msl.nvcc() is None:
        sys.exit("skipped: nvcc is not installed")
    library = msl.load()
    chosen = [i for i in library.instances if all(word in i.name for word in sys.argv[1:])]
    for name, (registers, stack, spilled, shared) in sorted(report(library, chosen).items()):
        print(f"{name:55s} {registers:4d} registers, {stack} bytes of stack, {spilled} spilled, {shared} shared")
