"""oneDNN's lrn_within_channel, called from C++ (native/onednn.cpp), in plain and in its own layouts."""

import ctypes
import weakref

import numpy as np

from benchmarks.native_helpers import MissingError, load
from benchmarks.peers import Job, Peer

LAYOUTS = ["nchw", "nhwc", "nChw8c", "nChw16c"]


class Plain(Peer):
    slow = True
    layouts = LAYOUTS[:1]

    def __init__(self, threads):
        self.threads = threads
        self.library = load("onednn", "-fopenmp", "-ldnnl", wants="oneDNN 2.x with its headers (Debian: libdnnl-dev)")
        pointer = ctypes.c_void_p
        signatures = {
            "peer_open": (pointer, [pointer, *[ctypes.c_int] * 2, *[ctypes.c_float] * 3, ctypes.c_int, *[pointer] * 2]),
            "peer_seconds": (ctypes.c_double, [pointer, ctypes.c_int, ctypes.c_int64]),
            "peer_poison": (None, [pointer, ctypes.c_int]),
            "peer_result": (None, [pointer, ctypes.c_int, pointer]),
            "peer_close": (None, [pointer]),
            "peer_implementation": (ctypes.c_char_p, [pointer]),
            "peer_version": (ctypes.c_char_p, []),
            "peer_problem": (ctypes.c_char_p, []),
        }
        for name, (result, arguments) in signatures.items():
            getattr(self.library, name).restype = result
            getattr(self.library, name).argtypes = arguments
        self.version = self.library.peer_version().decode()

    def handle(self, case, x, dy, layout):
        shape = np.array(case.shape, np.int64)
        numbers = (case.kernel_size, case.alpha, case.beta, case.delta)
        return self.library.peer_open(
            shape.ctypes.data, LAYOUTS.index(layout), *numbers, self.threads, x.ctypes.data, dy.ctypes.data
        )

    def open(self, case, x, dy):
        # oneDNN sums an even window over one sample less.
        if case.kernel_size % 2 == 0 or case.dtype != "float32":
            return {}
        handles = [(layout, self.handle(case, x, dy, layout)) for layout in self.layouts]
        handles = [(layout, Handle(address, self.library)) for layout, address in handles if address]
        if not handles:
            raise MissingError(self.library.peer_problem().decode())
        # Where no layout has generated code, all run the same reference code: the first will do.
        generated = [(layout, handle) for layout, handle in handles if "jit" in handle.implementation]
        found = [self.jobs(layout, handle, x) for layout, handle in generated or handles[:1]]
        return min(found, key=lambda jobs: self.duration(jobs) if len(found) > 1 else 0.0)

    @staticmethod
    def duration(jobs: dict[str, Job]) -> float:
        return sum(min(job.seconds(1) for _ in range(5)) for job in jobs.values())

    def jobs(self, layout, owner, x):
        note = f"{layout}: {owner.implementation}"

        def job(gradient: int) -> Job:
            def result():
                out = np.empty_like(x)
                self.library.peer_poison(owner.address, gradient)
                self.library.peer_seconds(owner.address, gradient, 1)
                self.library.peer_result(owner.address, gradient, out.ctypes.data)
                return out

            def seconds(number):
                return self.library.peer_seconds(owner.address, gradient, number)

            return Job(seconds, result, "gradient" if gradient else "forward", note)

        return {"forward": job(0), "gradient": job(1)}


class Best(Plain):
    """The fastest of its own layouts for forward and gradient together."""

    layouts = LAYOUTS[1:]


class Handle:
    """Closes the native handle when nothing refers to it any more."""

    def __init__(self, address, library):
        self.address, self.implementation = address, library.peer_implementation(address).decode()
        weakref.finalize(self, library.peer_close, address)
