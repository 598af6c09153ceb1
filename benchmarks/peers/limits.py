"""The machine's limits: reading the inputs and writing the output, by the best of several ways."""

import ctypes

import numpy as np

from benchmarks.native_helpers import load
from benchmarks.peers import Job, Peer

WAYS = {"memcpy": 0, "ordinary": 1, "non-temporal": 2}


def placed(like: np.ndarray, offset: int) -> np.ndarray:
    """Return bytes for `like`, `offset` bytes past a page: no two arrays alias in the cache."""
    room = np.empty(like.nbytes + 8192, np.uint8)
    start = -room.ctypes.data % 4096 + offset
    return room[start : start + like.nbytes]


class Limits(Peer):
    def __init__(self, threads):
        self.threads = threads
        self.run = load("limits").limit_seconds
        self.run.restype = ctypes.c_double
        self.run.argtypes = [ctypes.c_int] * 3 + [ctypes.c_void_p] * 3 + [ctypes.c_int64] * 2
        self.version = "memcpy, ordinary and non-temporal stores"

    def open(self, case, x, dy):
        a, b, out = placed(x, 0), placed(dy, 1024), placed(x, 2048)
        a[:], b[:] = x.reshape(-1).view(np.uint8), dy.reshape(-1).view(np.uint8)

        def job(inputs: int, way: int) -> Job:
            def seconds(number):
                pointers = (out.ctypes.data, a.ctypes.data, b.ctypes.data)
                return self.run(inputs, way, self.threads, *pointers, out.size, number)

            def result():
                out.fill(0xA5)
                seconds(1)
                return out

            return Job(seconds, result, (lambda: a ^ b) if inputs == 2 else (lambda: a))

        jobs = {f"forward {name}": job(1, way) for name, way in WAYS.items()}
        return jobs | {f"gradient {name}": job(2, way) for name, way in WAYS.items() if name != "memcpy"}
