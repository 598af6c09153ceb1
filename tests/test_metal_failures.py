"""Failures of the system, planted in the emulated one: each is one exception with the system's words."""

import re

import numpy as np
import pytest
from metal_device import counted, live_objects, needs_emulation, planted, run_python

import spatialnorm as sn

pytestmark = needs_emulation

# Runs the calls in a new process, which has compiled no kernel yet, and prints what each raises.
PROGRAM = """
import numpy as np, spatialnorm as sn
x = np.random.default_rng(0).normal(size=(2, 40, 50)).astype("f4")
out = np.full_like(x, 7)
def attempt(call):
    try:
        call()
    except Exception as error:
        print(type(error).__name__, "|", error)
attempt(lambda: sn.SpatialNorm(3, device="metal")(x, out))
attempt(lambda: sn.SpatialNorm(3, device="metal").gradient(x, x, out))
print((out == 7).all())
print([(d.kind, d.available, d.description) for d in sn.devices()][1:])
big = np.ones((1024, 1024), "f4")
attempt(lambda: print(bool((sn.SpatialNorm(3)(big) == sn.SpatialNorm(3, device="cpu")(big)).all())))
print(sn.metal_stats()["command_buffers"])
"""


def test_no_device():
    lines = run_python(PROGRAM, SOFTMETAL_FAULT="no_device").splitlines()
    reason = "RuntimeError | device 'metal' cannot run here: Metal: no Metal device was found on this machine"
    assert lines[:2] == [reason] * 2
    assert lines[2:] == ["True", "[('metal', False, 'no Metal device was found on this machine')]", "True", "0"]


def test_kernels_that_do_not_compile():
    words = "program_source:1:1: error: unknown type name 'kernal'"
    lines = run_python(PROGRAM, SOFTMETAL_FAULT=f"compile={words}").splitlines()
    assert lines[0].startswith('RuntimeError | device "metal" (')
    assert all(words in line for line in lines[:2])
    assert lines[2] == "True"
    assert "'metal', False" in lines[3]
    assert words in lines[3]  # sn.devices() says why
    assert lines[4:] == ["True", "0"]  # "auto" is answered by the CPU


def test_pipeline_that_cannot_be_made():
    words = "too many threadgroup bytes"
    lines = run_python(PROGRAM, SOFTMETAL_FAULT=f"pipeline={words}").splitlines()
    assert all(line.startswith('RuntimeError | device "metal" (') and words in line for line in lines[:2])
    assert lines[2] == "True"
    assert lines[4:] == ["True", "0"]


def test_no_command_queue():
    lines = run_python(PROGRAM, SOFTMETAL_FAULT="command_queue").splitlines()
    assert all(line.startswith('RuntimeError | device "metal" (') for line in lines[:2])
    assert all(line.endswith("gave no command queue") for line in lines[:2])
    assert lines[2] == "True"
    assert lines[4:] == ["True", "0"]


@pytest.fixture
def x(rng):
    return rng.normal(size=(3, 37, 41)).astype("f4")


def calls(norm, x, out):
    """Every pass, each into `out`."""
    yield lambda: norm(x, out)
    yield lambda: norm.gradient(x, x[::-1], out)
    yield lambda: norm.jvp(x, x[::-1], out)


@pytest.mark.parametrize("words", ["Caused GPU Hang Error (00000003)", "Internal Error (0000000e)"])
def test_command_buffer_that_fails(x, words):
    norm = sn.SpatialNorm(4, device="metal")
    expected = norm(x)
    before = live_objects()
    out = np.full_like(x, 7)
    for call in calls(norm, x, out):
        with planted("command_buffer", words), pytest.raises(RuntimeError) as failed:
            call()
        assert words in str(failed.value)
        assert 'device "metal"' in str(failed.value)
        assert (out == 7).all()
        del failed
    with planted("command_buffer", words), pytest.raises(RuntimeError, match="device"):
        norm.parameter_gradients(x, x)
    np.testing.assert_array_equal(norm(x, out), expected)  # the device is as good as before
    assert live_objects("SoftMetalCommandBuffer") == 0
    assert live_objects() <= before + 8  # scratch that is kept


def test_command_buffer_that_fails_in_place(x):
    norm, before = sn.SpatialNorm(5, device="metal"), x.copy()
    with planted("command_buffer", "hang"), pytest.raises(RuntimeError, match="hang"):
        norm(x, x)
    np.testing.assert_array_equal(x, before)


def test_auto_goes_on_with_the_cpu(rng):
    x = rng.normal(size=(1024, 1024)).astype("f4")
    expected = sn.SpatialNorm(3, device="cpu")(x)
    with counted() as grown, planted("command_buffer", "hang"):
        np.testing.assert_array_equal(sn.SpatialNorm(3, device="auto")(x), expected)
    assert (grown["command_buffers"], grown["runs"]) == (1, 0)  # it was tried


def test_no_memory_for_a_buffer():
    """Scratch, and a copy of an output that is an input; in a new process, which keeps no buffer yet."""
    program = """
import numpy as np, spatialnorm as sn
x = np.random.default_rng(0).normal(size=(1024, 1024)).astype("f4")
expected = sn.SpatialNorm(3, device="cpu")(x)
a = x[:100]
out = np.full_like(a, 7)
wide, norm = sn.SpatialNorm((4, 40), edge="clamp", device="metal"), sn.SpatialNorm(3, device="metal")
for call in (lambda: wide(a, out), lambda: wide.gradient(a, a[::-1], out), lambda: wide.jvp(a, a[::-1], out),
             lambda: wide.parameter_gradients(a, a), lambda: norm(a, a)):
    try:
        call()
    except MemoryError as error:
        print(error)
    assert (out == 7).all()
y = x.copy()
print(bool((sn.SpatialNorm(3, device="auto")(y, y) == expected).all()), sn.metal_stats()["command_buffers"])
"""
    lines = run_python(program, SOFTMETAL_FAULT="buffer").splitlines()
    assert len(lines) == 6
    for line in lines[:5]:
        assert re.fullmatch(
            r'device "metal" \(.*\) has no memory for a buffer of \d+ bytes \(it takes \d+ at most\)', line
        )
    assert lines[5] == "True 0"  # "auto" is answered by the CPU


def test_no_copy_refused(x):
    """The operands are copied, and counted."""
    norm = sn.SpatialNorm(5, beta=0.75, device="metal")
    with counted() as grown:
        expected = norm(x), norm.gradient(x, x), norm.parameter_gradients(x, x)
    assert (grown["wrapped_buffers"], grown["staged_buffers"]) == (7, 0)
    out = np.full_like(x, 7)
    with planted("no_copy"):
        with counted() as grown:
            assert norm(x, out) is out
        assert (grown["refused_buffers"], grown["staged_buffers"], grown["wrapped_buffers"]) == (2, 2, 0)
        assert grown["staged_bytes"] == 2 * x.nbytes
        np.testing.assert_array_equal(out, expected[0])
        np.testing.assert_array_equal(norm.gradient(x, x), expected[1])
        assert norm.parameter_gradients(x, x) == expected[2]
        padded = np.full((3, 40, 50), 7, "f4")
        norm(x, padded[:, 1:38, 2:43])
        np.testing.assert_array_equal(padded[:, 1:38, 2:43], expected[0])
        padded[:, 1:38, 2:43] = 7
        assert (padded == 7).all()  # nothing beside the output


def test_buffers_longer_than_the_device_takes():
    """`maxBufferLength`: operands are no longer wrapped, and their copies are too long as well."""
    program = """
import numpy as np, spatialnorm as sn
x, out = np.ones((64, 64), "f4"), np.full((64, 64), 7, "f4")
try:
    sn.SpatialNorm(3, device="metal")(x, out)
except MemoryError as error:
    print(error, (out == 7).all(), sn.metal_stats()["refused_buffers"])
"""
    text = run_python(program, SOFTMETAL_MAX_BUFFER="8192")
    assert "no memory for a buffer of 16384 bytes (it takes 8192 at most) True 2" in text


def test_few_threads_of_a_threadgroup(x):
    """Where registers run short, the plain kernels answer; where even they cannot run, an exception."""
    program = """
import numpy as np, spatialnorm as sn
x = np.random.default_rng(0).normal(size=(40, 90)).astype("f4")
try:
    y = sn.SpatialNorm(5, device="metal")(x)
    print(float(np.abs(y / sn.SpatialNorm(5, device="cpu")(x) - 1).max()) < 1e-5)
except RuntimeError as error:
    print(error)
"""
    assert run_python(program, SOFTMETAL_MAX_THREADS="256") == "True\n"
    assert run_python(program, SOFTMETAL_SIMD_WIDTH="16") == "True\n"
    assert "cannot run threadgroups of 256 threads" in run_python(program, SOFTMETAL_MAX_THREADS="64")


def test_fork():
    """Metal does not survive fork(): the child is told, and has the CPU."""
    program = """
import os, numpy as np, spatialnorm as sn
x = np.ones((9, 9), "f4")
norm = sn.SpatialNorm(3, device="metal")
y = norm(x)
if os.fork() == 0:
    try:
        norm(x)
    except RuntimeError as error:
        print(error, flush=True)
    print(np.allclose(sn.SpatialNorm(3)(x), y), [d.available for d in sn.devices()], flush=True)
    os._exit(0)
os.wait()
"""
    text = run_python(program)
    assert 'device "metal" is not usable in a child made by fork()' in text
    assert text.endswith("True [True, False]\n")
