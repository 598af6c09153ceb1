"""Faults around calls from Python: memory, signals, forks, the interpreter's end, other interpreters, small stacks."""

import os
import signal
import subprocess
import sys
import sysconfig
import textwrap
import threading
import warnings

import numpy as np
import pytest

import spatialnorm as sn

needs_posix = pytest.mark.skipif(not hasattr(os, "fork"), reason="os.fork and its signals are not on this system")
FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))


def python(code: str, timeout: float = 120) -> str:
    """Run a program in a process of its own, which must end well; return what it prints."""
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_each_allocation_of_the_interpreter_fails():
    """The n-th one, for every n, of several kinds of call: MemoryError or the right result."""
    pytest.importorskip("_testcapi", reason="this Python comes without its _testcapi module")
    output = python(
        """
        import _testcapi
        import numpy as np, spatialnorm as sn

        x = np.linspace(-1, 1, 48, dtype="f4").reshape(6, 8)
        lent = memoryview(x)
        # A device by name: os.environ, which "auto" asks, is not itself proof against failures.
        new = lambda: sn.SpatialNorm(3, beta=0.5, device="cpu")
        calls = {
            "array": lambda: new()(x),
            "memoryview": lambda: new()(lent),
            "gradient": lambda: new().gradient(x, lent),
            "jvp": lambda: new().jvp(x, x),
            "parameters": lambda: np.array(new().parameter_gradients(x, lent)),
            "bind": lambda: new().bind(x)(),
        }
        sites = 0
        for name, call in calls.items():
            right = call().tobytes()
            for n in range(1, 2000):
                failed = False
                _testcapi.set_nomemory(n, n + 1)
                try:
                    result = call()
                except MemoryError:
                    failed = True
                finally:
                    _testcapi.remove_mem_hooks()
                if not failed:
                    assert result.tobytes() == right, (name, n)
                    # Allocations that Python itself does without are passed over; the end is where none fails.
                    if n > 300:
                        break
                else:
                    sites += 1
                assert call().tobytes() == right, (name, n)
        print(sites)
        """
    )
    assert int(output) >= 20


@needs_posix
def test_limited_address_space():
    """A result that no memory is left for: MemoryError, and calls go on."""
    pytest.importorskip("resource", reason="this system has no limits on resources")
    output = python(
        """
        import resource
        import numpy as np, spatialnorm as sn
        sn.set_num_threads(2)
        norm, x = sn.SpatialNorm(5), np.ones((2000, 2000), "f4")
        right = norm(x).tobytes()
        with open("/proc/self/statm") as file:
            size = int(file.read().split()[0]) * resource.getpagesize()
        failed = 0
        for spare in range(0, 64 << 20, 1 << 20):
            resource.setrlimit(resource.RLIMIT_AS, (size + spare, resource.RLIM_INFINITY))
            try:
                result = norm.gradient(x, x)
            except MemoryError:
                failed += 1
            result = None
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY,) * 2)
        assert norm(x).tobytes() == right
        print(failed)
        """
    )
    assert int(output) > 0


@needs_posix
@pytest.mark.parametrize("threads", [1, 3])
def test_interrupt_during_a_long_call(threads):
    """Ctrl-C is honoured when the call is over; its result is whole, and later calls are right."""
    output = python(
        f"""
        import os, signal, threading, time
        import numpy as np, spatialnorm as sn
        signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in what a shell runs in the background
        sn.set_num_threads({threads})
        norm, x = sn.SpatialNorm(31), np.random.default_rng(1).normal(size=(3000, 3000)).astype("f4")
        right = norm(x).tobytes()
        out = np.zeros_like(x)
        begun = time.perf_counter()
        norm(x, out)
        span = time.perf_counter() - begun
        interrupted = 0
        for k in range(6):
            out[...] = 0
            timer = threading.Timer(span * (k + 0.5) / 6, os.kill, (os.getpid(), signal.SIGINT))
            try:
                timer.start()
                norm(x, out)
                timer.join()
                time.sleep(1)
            except KeyboardInterrupt:
                interrupted += 1
            timer.join()
            assert out.tobytes() == right or not out.any()  # whole, or not begun
        assert norm(x).tobytes() == right
        print(interrupted)
        """
    )
    assert int(output) == 6


@needs_posix
def test_fork_in_every_state_of_the_pool():
    """Children from before the first use, between uses, and at any moment of others' calls; and their children."""
    output = python(
        """
        import os, threading, time, warnings
        import numpy as np, spatialnorm as sn
        warnings.simplefilter("ignore")
        sn.set_num_threads(4)
        norm, x = sn.SpatialNorm(5), np.random.default_rng(1).normal(size=(400, 500)).astype("f4")

        def child(work):
            pid = os.fork()
            if pid == 0:
                try:
                    os._exit(0 if work() else 1)
                finally:
                    os._exit(2)
            end = time.monotonic() + 60
            while time.monotonic() < end:
                done, status = os.waitpid(pid, os.WNOHANG)
                if done:
                    return os.waitstatus_to_exitcode(status)
                time.sleep(0.0002)
            os.kill(pid, 9)
            return "hangs"

        own = []
        assert child(lambda: norm(x).any() and norm.gradient(x, x).any()) == 0  # before the first use
        right = norm(x).tobytes()
        good = lambda: norm(x).tobytes() == right
        assert child(lambda: good() and child(good) == 0) == 0
        stop = threading.Event()

        def call(threads):
            out = np.empty_like(x)
            while not stop.is_set():
                sn.set_num_threads(threads)
                norm(x, out)

        threads = [threading.Thread(target=call, args=(n,)) for n in (2, 3, 5)]
        for t in threads:
            t.start()
        delays = np.random.default_rng(2).uniform(0, 0.003, size=60)
        results = []
        for delay in delays:
            time.sleep(delay)
            results.append(child(good))
        stop.set()
        for t in threads:
            t.join()
        assert results == [0] * len(results), results
        assert good()
        print(len(results))
        """,
        timeout=300,
    )
    assert int(output) == 60


@pytest.mark.parametrize("how", ["return", "sys.exit(0)", "os._exit(0)", "os.kill(os.getpid(), signal.SIGTERM)"])
def test_end_of_the_interpreter_with_work_in_flight(how):
    code = f"""
        import atexit, os, signal, sys, threading, time
        import numpy as np, spatialnorm as sn
        sn.set_num_threads(3)
        norm, x = sn.SpatialNorm(9), np.ones((1500, 1500), "f4")
        norm(x)
        bound = norm.bind(x)
        def run():
            while True:
                norm(x), bound(), norm.parameter_gradients(x, memoryview(x))
        for _ in range(3):
            threading.Thread(target=run, daemon=True).start()
        atexit.register(lambda: norm(x))
        time.sleep(0.1)
        print("ends", flush=True)
        {"" if how == "return" else how}
        """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=120, check=False
    )
    expected = -signal.SIGTERM if "SIGTERM" in how else 0
    assert (done.returncode, done.stdout, done.stderr) == (expected, "ends\n", "")


def test_other_interpreters_of_the_process():
    """Work there or are refused by an ImportError, on this Python; never a crash, and this interpreter goes on."""
    output = python(
        """
        import numpy as np, spatialnorm as sn
        try:
            import _interpreters as interpreters            # 3.13
            run = interpreters.exec
        except ImportError:
            import _xxsubinterpreters as interpreters       # 3.11, 3.12
            run = interpreters.run_string
        code = '''
        try:
            import numpy as np, spatialnorm as sn
            y = sn.spatial_norm(np.ones((4, 4), "f4"), 3)
            print("works" if y.shape == (4, 4) else "wrong")
        except ImportError as error:
            print("refused:", str(error).splitlines()[0] if str(error) else "")
        '''
        import textwrap
        for _ in range(2):
            other = interpreters.create()
            failure = run(other, textwrap.dedent(code))
            if failure is not None:
                print("failed:", failure)
            interpreters.destroy(other)
        assert sn.spatial_norm(np.ones((4, 4), "f4"), 3).shape == (4, 4)
        """
    )
    lines = [line for line in output.splitlines() if line]
    assert len(lines) == 2, output
    assert all(line == "works" or line.startswith("refused:") for line in lines), output


def test_smallest_stacks_of_threads():
    """What Python allows at least, and calls from the bottom of a deep recursion."""
    x = np.random.default_rng(1).normal(size=(50, 60)).astype("f4")
    norm = sn.SpatialNorm((9, 12))
    expected = [norm(x).tobytes(), norm.gradient(x, x).tobytes(), norm.jvp(x, x).tobytes()]
    found = []

    def call():
        found.append([norm(x).tobytes(), norm.gradient(x, x).tobytes(), norm.jvp(x, x).tobytes()])

    def deep(n):
        return call() if n == 0 else deep(n - 1)

    before = threading.stack_size(64 << 10)  # CPython's own least is 32 KiB, too little for NumPy's printing
    try:
        threads = [threading.Thread(target=call) for _ in range(4)]
    finally:
        for thread in threads:
            thread.start()
        threading.stack_size(before)
    for thread in threads:
        thread.join()
    thread = threading.Thread(target=deep, args=(sys.getrecursionlimit() - 200,))
    thread.start()
    thread.join()
    assert found == [expected] * 5


@pytest.mark.skipif(FREE_THREADED, reason="NumPy's resize is not safe beside other threads without the global lock")
def test_arrays_changed_by_other_threads():
    """Resized, reshaped, made read-only between and beside calls: a right result or an error."""
    norm = sn.SpatialNorm(3)
    errors, stop = [], threading.Event()
    shared = [np.ones((60, 80), "f4")]
    seen = set()

    def change():
        shapes = [(60, 80), (80, 60), (4800, 1), (2, 40, 60)]
        k = 0
        while not stop.is_set():
            k += 1
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # NumPy 2.5 deprecates setting the shape
                shared[0].shape = shapes[k % 4]
            shared[0].flags.writeable = k % 3 > 0
            if k % 50 == 0:
                shared[0] = np.ones((60, 80), "f4")

    def call():
        for _ in range(3000):
            array = shared[0]
            try:
                result = norm(array)
                norm.gradient(array, array, array)
                seen.add(result.shape)
            except ValueError:
                seen.add("error")
            except BaseException as error:
                errors.append(error)
                raise

    changer = threading.Thread(target=change)
    callers = [threading.Thread(target=call) for _ in range(2)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for thread in (changer, *callers):
            thread.start()
        for thread in callers:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
        stop.set()
        changer.join()
    assert not errors
    assert seen
