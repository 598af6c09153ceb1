"""The record's tables, from figures that were recorded before; and what it says where there is no GPU."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import gpu
import msl
import record


def test_tables():
    figures = json.loads((msl.ROOT / "benchmarks" / "gpu-2026-11-23.json").read_text())
    figures["check"] = {
        "cases": 2,
        "failures": [],
        "worst errors": {"forward simd float": 1e-7, "forward simd half": 4e-4, "jvp small bfloat": 2e-3},
    }
    figures["sanitizers"] = {"memcheck": "ERROR SUMMARY: 0 errors"}
    figures["rows"].reverse()
    text = record.markdown(figures)
    rows = [row for row in text.splitlines() if "`spatial_" in row]
    assert len(rows) == len(figures["rows"])
    assert rows[0].startswith("| 32x64x56x56 | 5 | float | forward | 15.9 | 86% |")
    assert "| forward | simd | 1.0e-07 | 4.0e-04 | - |" in text
    assert "| jvp | small | - | - | 2.0e-03 |" in text
    assert "2 cases, each run twice; failures: none." in text
    assert "No figure" not in text
    row = next(r for r in figures["rows"] if (r["case"], r["dtype"], r["pass"]) == ("hd", "half", "gradient"))
    row["peers that failed"] = {"separable": "RuntimeError: no memory", "eager": "RuntimeError: no memory"}
    said = "No figure (RuntimeError: no memory): hd half gradient separable, hd half gradient eager."
    assert said in record.markdown(figures)
    figures["check"]["failures"] = ["one"]
    assert "failures: 1." in record.markdown(figures)


@pytest.mark.skipif(gpu.why_not() is None, reason="there is a GPU")
def test_skips_with_a_reason(tmp_path):
    command = [sys.executable, record.__file__, str(tmp_path / "record")]
    beside = {**os.environ, "PYTHONSAFEPATH": ""}  # the script finds the modules beside it
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=beside)
    assert done.stdout.startswith("skipped: no NVIDIA")
    assert not (tmp_path / "record").exists()
