"""Python without a global lock: it stays off, and one object serves many threads whose calls are small."""

import subprocess
import sys
import sysconfig
import threading

import numpy as np
import pytest
from cases import DEVICE, Case

import spatialnorm as sn

free_threaded = pytest.mark.skipif(
    not sysconfig.get_config_var("Py_GIL_DISABLED"), reason="this Python has a global lock: see python3.13t"
)

LOCK = """
import sys
import numpy as np
import spatialnorm as sn, spatialnorm.graph
norm = sn.SpatialNorm(3)
norm.bind(norm.gradient(norm(np.ones((4, 4), "f4")), np.ones((4, 4), "f4")))()
print(sys._is_gil_enabled())
"""


@free_threaded
def test_the_global_lock_stays_off():
    """An extension that does not say that it can do without turns it on again, with a warning."""
    done = subprocess.run([sys.executable, "-P", "-W", "error", "-c", LOCK], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "False\n"), done.stderr


def test_one_object_many_small_calls():
    """More layouts than an object keeps plans, arrays of each thread's own, calls that keep a global lock."""
    case = Case(shape=(2, 2), kernel_size=3)
    norm = case.norm(DEVICE)
    threads = 8
    x = [Case(shape=(1 + k % 3, 2 + k)).values("f4", k) for k in range(12)]
    expected = [(norm(a).tobytes(), norm.gradient(a, a).tobytes()) for a in x]
    wrong = []
    start = threading.Barrier(threads)

    def work(seed):
        own = [a.copy() for a in x]
        out = [np.empty_like(a) for a in x]
        bound = [norm.bind(a, b) for a, b in zip(own, out, strict=True)]
        start.wait()
        for k in np.random.default_rng(seed).integers(len(x), size=400):
            forward, gradient = expected[k]
            out[k].fill(np.nan)
            ok = norm(own[k], out[k]) is out[k] and out[k].tobytes() == forward
            out[k].fill(np.nan)
            ok &= bound[k]() is out[k] and out[k].tobytes() == forward
            ok &= norm.gradient(own[k], own[k], out[k]).tobytes() == gradient
            if not ok:
                wrong.append((seed, int(k)))

    workers = [threading.Thread(target=work, args=(seed,)) for seed in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong


def test_one_bound_call_in_many_threads():
    """All of them write the same result to the same place."""
    x = Case(shape=(9, 12)).values("f4")
    norm = sn.SpatialNorm(3, device=DEVICE)
    bound = norm.bind(x)
    expected = norm(x).tobytes()
    results = []

    def work():
        for _ in range(200):
            bound()
        results.append(bound.out.tobytes())

    workers = [threading.Thread(target=work) for _ in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert results == [expected] * 6
