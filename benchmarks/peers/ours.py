"""spatialnorm as its users call it: through Python, into kept and into fresh memory."""

import ctypes
import sysconfig
from pathlib import Path

import numpy as np

from benchmarks.native_helpers import MissingError
from benchmarks.peers import Job, Peer, python_job


class SpatialNorm(Peer):
    def __init__(self, threads):
        import spatialnorm

        self.sn = spatialnorm
        spatialnorm.set_num_threads(threads)
        self.version = spatialnorm.__version__
        package = Path(spatialnorm.__file__).parent
        library = ctypes.CDLL(str(next((package / "lib").glob("libspatialnorm.*"))))
        library.sn_isa.restype = library.sn_last_error.restype = ctypes.c_char_p
        isa = library.sn_isa().decode()
        if not isa:
            raise MissingError(library.sn_last_error().decode())
        installed = package.parent == Path(sysconfig.get_paths()["platlib"])
        self.facts = {"isa": isa, "package": "installed" if installed else "source tree"}

    def open(self, case, x, dy):
        nhwc = case.layout == "NHWC"
        axes = (1, 2) if nhwc else (-2, -1)
        norm = self.sn.SpatialNorm(
            case.kernel_size, alpha=case.alpha, beta=case.beta, delta=case.delta, axes=axes, device="cpu"
        )
        if nhwc:
            x, dy = (np.ascontiguousarray(a.transpose(0, 2, 3, 1)) for a in (x, dy))
        y, dx = np.empty_like(x), np.empty_like(x)
        names = {"norm": norm, "x": x, "dy": dy, "y": y, "dx": dx}

        def job(call: str, expected: str, out: np.ndarray | None = None) -> Job:
            return python_job(call, names, expected, out, lambda a: a.transpose(0, 3, 1, 2) if nhwc else a)

        jobs = {
            "forward": job("norm(x, y)", "forward", y),
            "gradient": job("norm.gradient(dy, x, dx)", "gradient", dx),
            "forward fresh": job("norm(x)", "forward"),
            "gradient fresh": job("norm.gradient(dy, x)", "gradient"),
        }
        if x.size <= 4096:
            if hasattr(norm, "bind"):
                names["bound"] = norm.bind(x, y)
                jobs["forward bound"] = python_job("bound()", names, "forward", y)
            total = np.empty_like(x)
            names.update(add=np.add, total=total)
            jobs["np.add"] = python_job("add(x, dy, out=total)", names, lambda: x + dy, total)
        return jobs
