"""What is measured on: processor, system, versions, and how much other work there was."""

from __future__ import annotations

import os
import platform
import re
import resource
import time
from importlib import metadata
from pathlib import Path


def processor() -> str:
    """Return the processor's name; virtual machines hide the model, so family and model come along."""
    text = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    fields = dict(re.findall(r"^(model name|cpu family|model)\s*:\s*(.+)$", text, re.M))
    if not fields:
        return platform.processor() or platform.machine()
    return f"{fields.get('model name', '?')} (family {fields.get('cpu family', '?')}, model {fields.get('model', '?')})"


def caches() -> dict[str, str]:
    found = {}
    for index in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        kind, level = (index / "type").read_text().strip(), (index / "level").read_text().strip()
        if kind != "Instruction":
            found[f"L{level}"] = (index / "size").read_text().strip()
    return found


def facts() -> dict:
    release = Path("/proc/version")
    page = Path("/sys/kernel/mm/transparent_hugepage/enabled")
    chosen = re.search(r"\[(\w+)\]", page.read_text()) if page.exists() else None
    return {
        "processor": processor(),
        "machine": platform.machine(),
        "processors": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "caches": caches(),
        "system": f"{platform.system()} {platform.release()}" if release.exists() else platform.platform(),
        "libc": " ".join(platform.libc_ver()),
        "transparent_huge_pages": chosen[1] if chosen else "",
        "python": platform.python_version(),
        "numpy": metadata.version("numpy"),
    }


class OtherWork:
    """Processor time that others used while this run was under way (Linux)."""

    def __init__(self) -> None:
        self.begin = time.monotonic()
        self.total, self.steal = self.read()
        self.own = self.used()

    @staticmethod
    def read() -> tuple[float, float]:
        """Return busy and stolen seconds of all processors since the system started."""
        if not Path("/proc/stat").exists():
            return 0.0, 0.0
        fields = [int(v) / os.sysconf("SC_CLK_TCK") for v in Path("/proc/stat").read_text().split("\n")[0].split()[1:]]
        return sum(fields[:3]) + sum(fields[5:7]), fields[7]

    @staticmethod
    def used() -> float:
        usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return sum(u.ru_utime + u.ru_stime for u in usages)

    def share(self) -> dict[str, float]:
        """Return how many processors others kept busy, and how many the host took away, on average.

        Call it when the workers have ended: only then does the system count their time as ours.
        """
        elapsed = time.monotonic() - self.begin
        busy, steal = self.read()
        others = busy - self.total - (self.used() - self.own)
        return {"others": max(0.0, others / elapsed), "stolen": (steal - self.steal) / elapsed, "seconds": elapsed}


def busy_now(seconds: float = 1.5) -> float:
    """Return how many processors are busy at this moment."""
    before = OtherWork.read()[0]
    time.sleep(seconds)
    return (OtherWork.read()[0] - before) / seconds
