"""The Metal device from Python: what it shares, copies, keeps and releases."""

import gc
import threading

import numpy as np
import pytest
from metal_device import count, counted, live_objects, needs_emulation, needs_metal

import spatialnorm as sn

pytestmark = needs_metal


@pytest.fixture
def x(rng):
    return rng.normal(size=(2, 3, 33, 47)).astype("f4")


def metal(*arguments, **named):
    return sn.SpatialNorm(*arguments, **named, device="metal")


def test_a_run_shares_its_operands(x):
    norm = metal(5)
    with counted() as grown:
        norm.gradient(x, x, sn.empty_like(x))
    assert grown["wrapped_buffers"] == 3
    assert (grown["runs"], grown["command_buffers"], grown["staged_buffers"]) == (1, 1, 0)


@pytest.mark.parametrize("shape", [(1, 1), (7, 5), (3, 64, 64), (1, 1000, 1024)])
def test_empty_is_used_where_it_lies(shape):
    """Even where the system wraps nothing that does not begin and end with a page."""
    a, b = sn.empty(shape), sn.empty_like(np.ones(shape, "f4"))
    assert a.ctypes.data % 4096 == b.ctypes.data % 4096 == 0
    a[...] = 1
    with counted() as grown:
        metal(3)(a, b)
    assert (grown["wrapped_buffers"], grown["staged_buffers"]) == (2, 0)


def test_memory_around_the_output_is_left_alone(x):
    """Whole pages are lent to the device, but only the output is written."""
    block = np.full(x.size + 4096, 7, "f4")
    for start in (0, 1, 5, 1024, 4095):
        out = block[start : start + x.size].reshape(x.shape)
        metal(4)(x, out)
        np.testing.assert_array_equal(out, metal(4)(x))
        out[...] = 7
        assert (block == 7).all()


@pytest.mark.parametrize(("dtype", "bound"), [("float32", 2e-6), ("float16", 1e-3)])
@pytest.mark.parametrize("shape", [(2, 70, 41), (130, 256), (100, 300), (64, 700)])
def test_gradient_of_the_largest_windows(shape, dtype, bound, rng):
    """A walk of its own, in strips of 256 results: less than one, one, some of the last beside the image, three."""
    x, dy = rng.normal(size=(2, *shape)).astype(dtype)
    dx = metal(63, 2000.0, 0.75, 1.1).gradient(dy, x)
    exact = sn.SpatialNorm(63, 2000.0, 0.75, 1.1, device="cpu").gradient(dy.astype("f8"), x.astype("f8"))
    np.testing.assert_allclose(dx, exact, rtol=0, atol=bound * np.abs(exact).max())


def test_misaligned_operands_are_copied(x):
    raw = np.zeros(x.nbytes + 4, np.uint8)
    odd = raw[1 : 1 + x.nbytes].view("f4").reshape(x.shape)
    odd[...] = x
    with counted() as grown:
        y = metal(3)(odd)
    assert (grown["misaligned_buffers"], grown["staged_buffers"], grown["wrapped_buffers"]) == (1, 1, 1)
    assert grown["staged_bytes"] == x.nbytes
    np.testing.assert_array_equal(y, metal(3)(x))


def test_in_place_takes_a_copy_of_the_output(x):
    norm = metal(3)
    expected = norm(x)
    with counted() as grown:
        norm(x, x)
    assert (grown["in_place_buffers"], grown["staged_buffers"], grown["wrapped_buffers"]) == (1, 1, 1)
    np.testing.assert_array_equal(x, expected)


# A plan of each kind.
KINDS = {
    "simd": (metal, (3, 40, 90), 5, {}),
    "small": (metal, (30, 7, 7), (2, 3), {}),
    "planes": (metal, (40, 7, 7), 5, {}),
    "columns": (metal, (9, 14, 14), 5, {}),
    "general": (metal, (3, 40, 90), (4, 30), {"edge": "clamp"}),
    "strip": (metal, (1, 70, 130), 31, {}),
    "interleaved": (metal, (2, 24, 24, 16), 5, {"axes": (1, 2)}),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_plan_run_many_times_allocates_nothing(kind, rng):
    make, shape, window, named = KINDS[kind]
    norm = make(window, **named)
    a, b, out = (rng.normal(size=shape).astype("f4") for _ in range(3))

    def run():
        norm(a, out)
        norm.gradient(a, b, out)
        norm.jvp(a, b, out)
        norm.parameter_gradients(a, b)
        norm(out, out)

    run()
    with counted() as grown:
        for _ in range(20):
            run()
    assert grown["runs"] == grown["command_buffers"] == 100
    assert grown["allocated_buffers"] == 0
    assert grown["pipelines"] == 0


@needs_emulation
def test_a_thousand_runs_leave_no_object(rng):
    norm = metal(3, beta=0.75)
    x = rng.normal(size=(2, 9, 11)).astype("f4")
    out = np.empty_like(x)
    norm(x, out)
    norm(x, x)
    before, waits, leaked = live_objects(), count("waits"), count("leaked_autoreleases")
    for _ in range(1000):
        norm(x, out)
    assert live_objects() == before
    assert count("waits") == waits + 1000
    for _ in range(200):
        norm(x, x)
    assert live_objects() == before
    assert count("leaked_autoreleases") == leaked == 0
    assert live_objects("SoftMetalCommandBuffer") == live_objects("NSAutoreleasePool") == 0


@needs_emulation
def test_objects_of_a_norm_go_with_it(rng):
    x = rng.normal(size=(2, 70, 80)).astype("f4")
    metal((4, 30), edge="clamp")(x)
    gc.collect()
    before = live_objects()
    for beta in (0.3, 0.4, 0.5):
        metal((4, 30), edge="clamp", beta=beta)(x)
    gc.collect()
    assert live_objects() == before


def test_many_threads_one_plan(rng):
    norm = metal((4, 30), edge="clamp")
    arrays = [rng.normal(size=(2, 40, 50)).astype("f4") for _ in range(4)]
    expected = [norm(a) for a in arrays]
    wrong = []

    def work(k):
        for i in range(10):
            j = (k + i) % len(arrays)
            if norm(arrays[j]).tobytes() != expected[j].tobytes():
                wrong.append((k, i))

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_environment_names_the_device():
    from metal_device import run_python

    program = """
import numpy as np, spatialnorm as sn
sn.spatial_norm(np.ones((4, 4), "f4"))
print(sn.metal_stats()["runs"])
"""
    assert run_python(program, SPATIALNORM_DEVICE="metal") == "1\n"
    assert run_python(program, SPATIALNORM_DEVICE="cpu") == "0\n"


def test_auto_takes_metal_for_large_work_only():
    x = np.ones((1024, 1024), "f4")
    with counted() as grown:
        sn.SpatialNorm(3, device="auto")(x[:1000])
        sn.SpatialNorm(3, device="auto")(x.astype("f8"))
    assert grown["runs"] == 0
    with counted() as grown:
        sn.SpatialNorm(3, device="auto")(x)
    assert grown["runs"] == 1
