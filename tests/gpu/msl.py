"""The Metal kernels without a Mac: the same text as CUDA (nvcc) or as C++ (g++, fibers).

``compat/metal_stdlib`` maps keywords and builtins.  This module expands the preprocessor's macros, reads the
entry points (``kernel void ...``) and their instantiations (``[[host_name(...)]]``), and writes for each a
wrapper that supplies what Metal passes by attribute.  In the text itself it changes two words: it writes
``threadgroup_array`` where ``threadgroup`` declares an array, because Metal has one word for the array and for
pointers to it, and CUDA and C++ have not; and ``device_memory`` for ``device``, a word that CUDA's own macros use.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
METAL = ROOT / "metal"
BUILD = ROOT / "build" / "gpu"

ENTRY = re.compile(
    r"(?:template\s*<(?P<template>[^>]*)>\s*)?kernel\s+void\s+(?P<name>\w+)\s*\((?P<parameters>.*?)\)\s*\{", re.S
)
PARAMETER = re.compile(r"(.*?)(\w+)\s*\[\[(\w+)(?:\(\d+\))?\]\]\s*,?", re.S)
INSTANCE = re.compile(
    r"template\s*\[\[host_name\((?P<name>[^)]*)\)\]\]\s*\[\[kernel\]\]\s*decltype\((?P<function>.*?)\)[^;]*;", re.S
)
ARRAY = re.compile(r"\bthreadgroup\s+(\w+\s+\w+\s*\[)")
BUILTIN = {
    "cuda": {
        "threadgroup_position_in_grid": "blockIdx.x",
        "thread_index_in_threadgroup": "threadIdx.x",
        "thread_index_in_simdgroup": "threadIdx.x % 32u",
        "simdgroup_index_in_threadgroup": "__shfl_sync(0xffffffffu, threadIdx.x / 32u, 0)",
        "threads_per_threadgroup": "blockDim.x",
    },
    "cpu": {
        "threadgroup_position_in_grid": "fibers::group_number",
        "thread_index_in_threadgroup": "fibers::self_lane",
        "thread_index_in_simdgroup": "fibers::self_lane % 32u",
        "simdgroup_index_in_threadgroup": "fibers::self_lane / 32u",
        "threads_per_threadgroup": "unsigned(fibers::all.size())",
    },
}


@dataclass(frozen=True)
class Instance:
    """One function of the library: its name for the host, and the C++ that names it."""

    name: str
    function: str
    parameters: tuple[tuple[str, str, str], ...]  # type, name, attribute

    @property
    def buffers(self) -> list[tuple[str, str]]:
        return [(kind, name) for kind, name, attribute in self.parameters if attribute == "buffer"]


@dataclass(frozen=True)
class Library:
    """The expanded text without its instantiations, and the instantiations."""

    text: str
    instances: tuple[Instance, ...]

    def named(self, names=None) -> list[Instance]:
        return [i for i in self.instances if names is None or i.name in names]


def expand(file: Path, seen: set[Path]) -> str:
    """Return the file's text with its own headers put in place."""
    lines = []
    for line in file.read_text().splitlines():
        own = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
        if own:
            header = (file.parent / own[1]).resolve()
            if header not in seen:
                seen.add(header)
                lines.append(expand(header, seen))
        elif not re.match(r"\s*#\s*(pragma\s+once|include\s+<metal_stdlib>)|using namespace metal;", line):
            lines.append(line)
    return "\n".join(lines)


def load(file: Path = METAL / "spatial.metal", defines: tuple[str, ...] = ()) -> Library:
    command = ["g++", "-E", "-P", "-x", "c++", "-D__METAL_VERSION__=310", *(f"-D{d}" for d in defines), "-"]
    text = subprocess.run(command, input=expand(file, set()), text=True, check=True, capture_output=True).stdout
    entries = {}
    for match in ENTRY.finditer(text):
        formals = [t.split()[-1] for t in (match["template"] or "").split(",") if t]
        entries[match["name"]] = formals, [(t.strip(), n, a) for t, n, a in PARAMETER.findall(match["parameters"])]
    instances = [Instance(name, name, tuple(p)) for name, (formals, p) in entries.items() if not formals]
    for match in INSTANCE.finditer(text):
        function = match["function"].strip()
        formals, parameters = entries[function.split("<")[0].strip()]
        actuals = [a.strip() for a in function[function.index("<") + 1 : function.rindex(">")].split(",")]
        kinds = []
        for kind, parameter, attribute in parameters:
            for formal, actual in zip(formals, actuals, strict=True):
                kind = re.sub(rf"\b{formal}\b", actual, kind)
            kinds.append((kind, parameter, attribute))
        instances.append(Instance("".join(re.findall(r'"([^"]*)"', match["name"])), function, tuple(kinds)))
    text = ARRAY.sub(r"threadgroup_array \1", INSTANCE.sub("", text))
    text = re.sub(r"\bdevice\b", "device_memory", text)
    return Library(text, tuple(instances))


def instance(library: Library, name: str, function: str, *arguments) -> Instance:
    """Instantiate a kernel with other arguments than spatial.metal does, for measurements."""
    like = next(i for i in library.instances if i.function.split("<")[0] == function)
    old, new = like.function[like.function.index("<") + 1 : -1].split(",")[0].strip(), str(arguments[0])
    parameters = tuple(
        (re.sub(rf"\b{old}\b", new, kind) if attribute == "buffer" else kind, n, attribute)
        for kind, n, attribute in like.parameters
    )
    return Instance(name, f"{function}<{', '.join(map(str, arguments))}>", parameters)


def kernel_and_numbers(instance: Instance) -> tuple[str, list[int]]:
    """Return the kernel's name and the numbers among its template arguments."""
    kernel, _, arguments = instance.function.partition("<")
    return kernel, [int(a) for a in arguments.rstrip(">").split(",") if a.strip().isdigit()]


def threads(instance: Instance) -> int:
    """Threads of a threadgroup, from the kernel's template arguments."""
    kernel, numbers = kernel_and_numbers(instance)
    if kernel.endswith("_strip"):
        return numbers[3] // numbers[1]  # k, columns, rows, width, each
    if kernel.endswith(("_long", "_long_16")):
        return numbers[2]  # k, rows, width
    if kernel.endswith("_interleaved"):
        return numbers[5] // numbers[1] * numbers[4]  # k, columns, rows, channels, lanes, width
    if kernel.endswith("_planes"):
        return 32 * numbers[1]  # k, side
    return 128 if kernel.endswith(("_simd", "_columns")) else 256


def bounds(instance: Instance) -> str:
    """Return nvcc's launch bounds: threads of a threadgroup and, where told, threadgroups to leave registers for.

    Simdgroups of the gradient with 12 elements to a thread or more need 128 registers; left alone, nvcc takes 200. Its
    strips of 256 threads need 128, those of 128 threads 168; nvcc takes some more.
    """
    kernel, numbers = kernel_and_numbers(instance)
    count, groups = threads(instance), None
    if kernel == "spatial_gradient_simd" and numbers[1] * numbers[2] >= 12:
        groups = 4
    elif kernel == "spatial_gradient_strip":
        groups = {256: 2, 128: 3}.get(count)
    return f"{count}, {groups}" if groups else str(count)


def plain_type(kind: str) -> str:
    return " ".join(re.sub(r"\b(device|constant)\b|&", "", kind).split())


def wrapper(instance: Instance, target: str) -> str:
    declared, passed = [], []
    for kind, name, attribute in instance.parameters:
        if attribute != "buffer":
            passed.append(BUILTIN[target][attribute])
        elif target == "cuda":
            declared.append(f"{'const __grid_constant__ ' if '&' in kind else ''}{plain_type(kind)} {name}")
            passed.append(name)
        else:
            index = len(declared)
            declared.append(name)
            passed.append("*params" if "&" in kind else f"static_cast<{plain_type(kind)}>(buffers[{index}])")
    call = f"program::{instance.function}({', '.join(passed)});"
    if target == "cuda":
        head = f'extern "C" __global__ void __launch_bounds__({bounds(instance)}) {instance.name}'
        return f"{head}({', '.join(declared)}) {{ {call} }}\n"
    return (
        f'extern "C" void {instance.name}(void* const* buffers, const SpatialParams* params, unsigned groups, '
        "unsigned threads) {\n"
        f"    fibers::run(groups, threads, [&] {{ {call} }});\n}}\n"
    )


def source(library: Library, instances: list[Instance], target: str) -> str:
    parts = ["#include <metal_stdlib>\n"]
    if target == "cpu":
        parts.append('#include "fibers.h"\n')
    parts += ["namespace program {\n", library.text, "\n}\nusing namespace program;\n"]
    parts += [wrapper(instance, target) for instance in instances]
    return "".join(parts)


def compiled(text: str, command: list[str], suffix: str) -> tuple[Path, str]:
    """Compile the text once; return the result and what the compiler said."""
    # A result is found again on another machine, wherever the checkout lies there.
    key = hashlib.sha256("\0".join([text, *(c.replace(str(ROOT), "") for c in command[1:])]).encode())
    for header in sorted((HERE / "compat").iterdir()):
        key.update(header.read_bytes())
    BUILD.mkdir(parents=True, exist_ok=True)
    target = BUILD / f"{key.hexdigest()[:20]}{suffix}"
    log = target.with_suffix(".log")
    if not target.exists():
        made = BUILD / f"{target.stem}.{os.getpid()}{suffix}"
        unit = made.with_suffix(".cu" if suffix == ".cubin" else ".cpp")
        unit.write_text(text)
        done = subprocess.run([*command, "-o", str(made), str(unit)], text=True, capture_output=True)
        if done.returncode:
            raise RuntimeError(f"{command[0]} refused the kernels:\n{done.stdout}{done.stderr}")
        unit.unlink()
        log.write_text(done.stdout + done.stderr)
        made.replace(target)
    return target, log.read_text()


def cpu(library: Library, names=None, options: tuple[str, ...] = ()) -> ctypes.CDLL:
    command = [
        "g++",
        "-O1",
        "-std=c++17",
        "-w",
        "-shared",
        "-fPIC",
        "-U_FORTIFY_SOURCE",
        f"-I{HERE / 'compat'}",
        *options,
    ]
    return ctypes.CDLL(str(compiled(source(library, library.named(names), "cpu"), command, ".so")[0]))


def nvcc() -> str | None:
    return shutil.which("nvcc") or next((p for p in ["/usr/local/cuda/bin/nvcc"] if Path(p).exists()), None)


def cuda(library: Library, instances, arch: str = "sm_90", options: tuple[str, ...] = ()) -> tuple[Path, str]:
    """Return a cubin and the assembler's report of registers and spills."""
    command = [
        nvcc() or "nvcc",
        "-cubin",
        f"-arch={arch}",
        "-std=c++17",
        "-w",
        "--expt-relaxed-constexpr",
        "-Xptxas",
        "-v",
        "-DNDEBUG",
        f"-I{HERE / 'compat'}",
        *options,
    ]
    return compiled(source(library, instances, "cuda"), command, ".cubin")
