"""For tests of the Metal device: is there one, and the emulated one's counts and planted faults."""

import ctypes
import os
import subprocess
import sys
from contextlib import contextmanager

import pytest

import spatialnorm as sn

LIBRARY = os.environ.get("SOFTMETAL_LIBRARY")
AVAILABLE = any(d.kind == "metal" and d.available for d in sn.devices())

needs_metal = pytest.mark.skipif(
    not AVAILABLE, reason="no Metal device; tests/softmetal/run has an emulated one (make softmetal)"
)
needs_emulation = pytest.mark.skipif(
    not (AVAILABLE and LIBRARY), reason="not on emulated Metal: run through tests/softmetal/run (make softmetal)"
)


def library():
    lib = ctypes.CDLL(LIBRARY)
    lib.softmetal_live_objects.restype = lib.softmetal_count.restype = ctypes.c_long
    return lib


def count(event):
    """Events that the emulated system counted."""
    return library().softmetal_count(event.encode())


def live_objects(name=None):
    """Objects of the emulated system that nobody has released yet."""
    return library().softmetal_live_objects(name.encode() if name else None)


@contextmanager
def planted(fault, message=None, skip=0):
    """Let the emulated system fail in the named way meanwhile; the first `skip` calls succeed."""
    text = message.encode() if message else None
    assert library().softmetal_set_fault(fault.encode(), ctypes.c_long(skip), text) == 0
    try:
        yield
    finally:
        library().softmetal_clear_faults()


@contextmanager
def counted():
    """Yield a dictionary that holds, afterwards, by how much `sn.metal_stats()` grew."""
    before, grown = sn.metal_stats(), {}
    yield grown
    grown.update({name: n - before[name] for name, n in sn.metal_stats().items()})


def run_python(program, **environment):
    """Run a program in a process of its own: what it prints, which must be all that it says."""
    made = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, **environment}, capture_output=True, text=True, timeout=300
    )
    assert (made.returncode, made.stderr) == (0, "")
    return made.stdout
