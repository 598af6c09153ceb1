"""The short form of soak.py: memory, handles and threads stay."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from cases import DEVICE

SOAK = Path(__file__).parent / "soak.py"
SMALL, LARGE = (200_000, 300) if DEVICE == "cpu" else (400, 20)


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="this system has no /proc, where threads are counted")
def test_nothing_grows(record_testsuite_property):
    done = subprocess.run(
        [sys.executable, SOAK, "--small", str(SMALL), "--large", str(LARGE), "--device", DEVICE],
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    record_testsuite_property("soak", done.stdout)
    told = json.loads(done.stdout)
    assert told["calls"] >= SMALL + LARGE
    assert told["compared_with_the_reference"] > 5
    before, after = told["before"], told["after"]
    # A thread keeps up to 8 MiB to work in; thousands of plans of some KiB each come and go.
    assert after["resident_kib"] - before["resident_kib"] < 9 * 1024, told
    assert after["handles"] == before["handles"], told
    assert after["threads"] <= before["threads"], told
    assert after["objects"] <= before["objects"] + 8, told  # scratch that is kept on Metal
