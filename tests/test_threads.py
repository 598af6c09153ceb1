"""Many callers at once, children by fork, and a pool that takes part in all of it."""

import multiprocessing
import os
import subprocess
import sys
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from cases import DEVICE, Case, cpu_only

import spatialnorm as sn

LARGE = Case(shape=(2, 500, 400), kernel_size=(5, 8))


@pytest.fixture(autouse=True)
def two_threads():
    before = sn.get_num_threads()
    sn.set_num_threads(2)
    yield
    sn.set_num_threads(before)


def test_one_object_many_threads():
    """More shapes than an object keeps plans, so that threads evict each other's."""
    norm = LARGE.norm(DEVICE)
    shapes = [(3 + k, 40 + 5 * k) for k in range(20)] + [(300, 300), (2, 200, 150)]
    arrays = [Case(shape=s).values("f4") for s in shapes]
    forward = [norm(a).tobytes() for a in arrays]
    gradient = [norm.gradient(a, a).tobytes() for a in arrays]
    start = threading.Barrier(8)

    def work(seed):
        start.wait()
        for k in np.random.default_rng(seed).integers(len(arrays), size=60):
            assert norm(arrays[k]).tobytes() == forward[k]
            assert norm.gradient(arrays[k], arrays[k]).tobytes() == gradient[k]
            with pytest.raises(ValueError, match=f"x and out must have one shape.*{arrays[k].shape[-1]}"):
                norm(arrays[k], arrays[k][..., :-1])  # messages are the thread's own

    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(work, seed) for seed in range(8)]:
            done.result()


def test_threads_change_while_running():
    norm = LARGE.norm(DEVICE)
    x = LARGE.values("f4")
    expected = norm(x).tobytes()
    stop = threading.Event()

    def change():
        n = 0
        while not stop.is_set():
            n = n % 5 + 1
            sn.set_num_threads(n)
            time.sleep(0.001)

    changer = threading.Thread(target=change)
    changer.start()
    try:
        for _ in range(40):
            assert norm(x).tobytes() == expected
    finally:
        stop.set()
        changer.join()


def test_nested_pools():
    """Calls from the threads of other calls' callbacks: an outer pool whose tasks wait for an inner one."""
    norm = LARGE.norm(DEVICE)
    x = LARGE.values("f4")
    expected = norm(x).tobytes()
    with ThreadPoolExecutor(3) as inner, ThreadPoolExecutor(3) as outer:

        def both(_):
            future = inner.submit(norm, x)
            return norm(x).tobytes() == expected and future.result().tobytes() == expected

        assert all(outer.map(both, range(12)))


@cpu_only
def test_global_lock_is_released():
    """Another Python thread counts while a long call runs."""
    norm = sn.SpatialNorm(31, device="cpu")
    x = np.ones((3000, 3000), np.float32)
    out = np.empty_like(x)
    norm(x, out)
    count, begin, done = 0, threading.Event(), threading.Event()

    def call():
        begin.wait(10)
        for _ in range(5):
            norm(x, out)
        done.set()

    thread = threading.Thread(target=call)
    thread.start()
    interval = sys.getswitchinterval()
    sys.setswitchinterval(10)  # without a release, the counter would not get a turn
    try:
        begin.set()
        while not done.is_set() and count < 1000:
            count += 1
            time.sleep(0)
        thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert count > 10


# fork ---------------------------------------------------------------------------------------------------------

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="os.fork is not on this system")


def in_child(work):
    """Run `work` in a fork of this process; its result must be true, within a minute."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 on: threads are there, as intended
        child = os.fork()
    if child == 0:
        try:
            os._exit(0 if work() else 1)
        except BaseException:
            os._exit(2)
    end = time.monotonic() + 60
    while time.monotonic() < end:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.kill(child, 9)
    os.waitpid(child, 0)
    pytest.fail("the child hangs")


@needs_fork
@cpu_only
def test_fork_after_use():
    norm = LARGE.norm("cpu")
    x = LARGE.values("f4")
    expected = norm(x).tobytes()
    for _ in range(5):
        assert in_child(lambda: all(norm(x).tobytes() == expected for _ in range(3))) == 0
        assert norm(x).tobytes() == expected
    # A child of a child, and threads in it.
    assert in_child(lambda: norm(x).tobytes() == expected and in_child(lambda: norm(x).tobytes() == expected) == 0) == 0


@needs_fork
@cpu_only
def test_fork_while_another_thread_runs():
    norm = LARGE.norm("cpu")
    x = LARGE.values("f4")
    expected = norm(x).tobytes()
    stop = threading.Event()

    def busy():
        out = np.empty_like(x)
        while not stop.is_set():
            norm(x, out)

    threads = [threading.Thread(target=busy) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(10):
            assert in_child(lambda: norm(x).tobytes() == expected) == 0
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def in_process(seed):
    case = Case(shape=(300, 300))
    return case.norm("cpu")(case.values("f4", seed)).tobytes()


@needs_fork
@cpu_only
def test_multiprocessing():
    expected = [in_process(seed) for seed in range(4)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        with multiprocessing.get_context("fork").Pool(2) as pool:
            assert pool.map_async(in_process, range(4)).get(60) == expected


EXIT = """
import threading
import numpy as np, spatialnorm as sn
sn.set_num_threads(3)
norm, x = sn.SpatialNorm(5), np.ones((1500, 1500), "f4")
norm(x)
def run():
    while True:
        norm(x)
for _ in range(2):
    threading.Thread(target=run, daemon=True).start()
print("done")
"""


@cpu_only
def test_exit_with_work_in_flight():
    for _ in range(3):
        result = subprocess.run([sys.executable, "-c", EXIT], capture_output=True, text=True, timeout=60)
        assert (result.returncode, result.stdout, result.stderr) == (0, "done\n", "")


def test_number_of_threads():
    for n in (1, 2, 3, 7, np.int64(4)):
        sn.set_num_threads(n)
        assert sn.get_num_threads() == n
    code = "import spatialnorm as sn; sn.set_num_threads(9); sn.set_num_threads(None); print(sn.get_num_threads())"
    environment = {k: v for k, v in os.environ.items() if k != "SPATIALNORM_NUM_THREADS"}
    plain = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60)
    limit = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert 1 <= int(plain.stdout) <= limit
    if limit > 1 and hasattr(os, "sched_setaffinity"):
        pinned = "import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))]); " + code
        one = subprocess.run(
            [sys.executable, "-c", pinned], env=environment, capture_output=True, text=True, timeout=60
        )
        assert one.stdout == "1\n", one.stderr
