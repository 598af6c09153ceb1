"""Builds the small C++ helpers of the benchmark on the spot, and loads them through ctypes."""

from __future__ import annotations

import ctypes
import hashlib
import os
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

SOURCES = Path(__file__).resolve().parent / "native"


class MissingError(Exception):
    """A peer cannot run on this machine; the message names what is missing."""


def load(name: str, *flags: str, wants: str = "") -> ctypes.CDLL:
    """Compile native/NAME.cpp (once per content, kept in the temporary folder) and load it."""
    command = shlex.split(os.environ.get("CXX", ""))
    command = command or [next((c for c in ("g++", "clang++", "c++") if shutil.which(c)), "")]
    if not command[0]:
        raise MissingError("a C++ compiler (g++ or clang++)")
    source = SOURCES / f"{name}.cpp"
    command += ["-std=c++17", "-O2", "-fPIC", "-shared", "-pthread"]
    key = hashlib.sha256(" ".join([*command, *flags]).encode() + source.read_bytes()).hexdigest()[:16]
    library = Path(tempfile.gettempdir()) / f"spatialnorm-benchmark-{os.getuid()}" / f"{name}-{key}.so"
    if not library.exists():
        library.parent.mkdir(mode=0o700, exist_ok=True)
        unfinished = library.with_suffix(f".{os.getpid()}")
        result = subprocess.run(
            [*command, str(source), "-o", str(unfinished), *flags], capture_output=True, text=True, check=False
        )
        if result.returncode:
            reason = next((line for line in result.stderr.splitlines() if "error" in line), result.stderr.strip())
            raise MissingError(wants or f"{source.name} did not compile: {reason}")
        unfinished.replace(library)
    return ctypes.CDLL(str(library))
