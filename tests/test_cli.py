"""The command line, run as users run it."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cases import DEVICE

import spatialnorm as sn

WITHOUT_MATPLOTLIB = (
    "import sys; sys.modules['matplotlib'] = None; from spatialnorm._cli import main; sys.exit(main(sys.argv[1:]))"
)


def run(*arguments, start=("-m", "spatialnorm"), cwd=None):
    return subprocess.run(
        [sys.executable, *start, *map(str, arguments)], capture_output=True, text=True, cwd=cwd, timeout=300
    )


def test_info():
    result = run("info")
    assert result.returncode == 0
    assert "instruction set" in result.stdout
    assert sn.__version__ in result.stdout


def test_include_dir():
    assert run("--include-dir").stdout == sn.get_include() + "\n"
    assert (Path(sn.get_include()) / "spatialnorm" / "spatialnorm_py.h").exists()
    assert run("--version").stdout == sn.__version__ + "\n"


@pytest.mark.parametrize(
    ("option", "file"), [("--cmake-dir", "spatialnorm-config.cmake"), ("--pkgconfig-dir", "spatialnorm.pc")]
)
def test_folders_for_builds(option, file):
    assert (Path(run(option).stdout.strip()) / file).exists()


@pytest.mark.parametrize(("arguments", "word"), [((), "usage"), (("paint",), "paint"), (("--nonsense",), "nonsense")])
def test_wrong_use(arguments, word):
    result = run(*arguments)
    assert result.returncode == 2
    assert word in result.stdout + result.stderr
    assert "Traceback" not in result.stderr


def test_selftest(device):
    result = run("selftest", "--device", device)
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.endswith("\npassed\n")
    assert "FAILED" not in result.stdout


def test_selftest_json(device):
    result = run("selftest", "--device", device, "--json")
    report = json.loads(result.stdout)
    assert report["passed"] is True
    assert report["device"] == device
    assert report["config"]["spatialnorm"] == sn.__version__
    operations = {row["operation"] for row in report["rows"]}
    assert operations >= {"spatial_forward", "spatial_gradient", "spatial_jvp", "spatial_parameter_gradients"}
    assert all(row["cases"] >= 40 and row["worst"] <= row["allowed"] for row in report["rows"])


def test_selftest_can_fail(monkeypatch, capsys):
    """A wrong reference stands in for a wrong kernel."""
    from spatialnorm import _cli, reference

    right = reference.spatial_jvp
    monkeypatch.setattr(reference, "spatial_jvp", lambda *args, **kwargs: right(*args, **kwargs) * 1.001)
    assert _cli.main(["selftest", "--device", DEVICE]) == 1
    text = capsys.readouterr().out
    assert text.endswith("\nFAILED\n")
    failed = [line for line in text.splitlines() if "FAILED at" in line]
    assert failed
    assert all("spatial_jvp" in line for line in failed)


@pytest.mark.parametrize("as_json", [True, False])
def test_selftest_of_a_device_that_is_not_here(as_json):
    metal = [d for d in sn.devices() if d.kind == "metal"]
    if metal and metal[0].available:
        pytest.skip("this build has a Metal device")
    result = run("selftest", "--device", "metal", *["--json"] * as_json)
    assert result.returncode == 2
    assert "device 'metal' cannot run here" in result.stderr
    assert "Traceback" not in result.stderr


PANELS = ["input", "local_energy", "normalized", "gradient"]


def test_demo_with_numpy_alone(tmp_path, device):
    result = run("demo", "--device", device, "--output", "d.png", start=("-c", WITHOUT_MATPLOTLIB), cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(f"d-{panel}.npy" for panel in PANELS)
    assert "right" in result.stdout
    assert "times a copy" in result.stdout
    assert "matplotlib" in result.stdout
    panels = [np.load(tmp_path / f"d-{panel}.npy") for panel in PANELS]
    x, energy, y, gradient = panels
    assert all(p.dtype == np.float32 and p.shape == x.shape for p in panels)
    np.testing.assert_allclose(y, x / np.sqrt(energy), rtol=1e-5, atol=1e-6)
    assert np.abs(gradient).max() > 0


def test_demo_needs_matplotlib_for_pictures(tmp_path):
    result = run("demo", "cat.jpg", start=("-c", WITHOUT_MATPLOTLIB), cwd=tmp_path)
    assert result.returncode == 2
    assert "pip install" in result.stderr
    assert not list(tmp_path.iterdir())


def test_demo_with_a_picture(tmp_path, device):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    result = run("demo", "--device", device, "--output", "d.png", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "grace_hopper.jpg" in result.stdout
    assert (tmp_path / "d.png").read_bytes().startswith(b"\x89PNG")
    picture = np.random.default_rng(0).integers(0, 255, (60, 80, 3), np.uint8)
    from matplotlib.image import imsave

    imsave(tmp_path / "mine.png", picture)
    result = run("demo", "mine.png", "--kernel", "9", "--output", "m.png", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "mine.png, 60 x 80" in result.stdout
    assert (tmp_path / "m.png").exists()


@pytest.mark.parametrize("shape", [(50, 60), (50, 60, 3), (50, 60, 1)])
def test_demo_with_an_array(shape, tmp_path):
    np.save(tmp_path / "a.npy", np.random.default_rng(0).random(shape))
    result = run("demo", "a.npy", "--kernel", "8", "--output", "a.png", start=("-c", WITHOUT_MATPLOTLIB), cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "a.npy, 50 x 60" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("missing.npy",), "missing.npy"),
        (("line.npy",), "2 axes"),
        (("--kernel", "0"), "kernel_size"),
        (("--device", "abacus"), "abacus"),
    ],
)
def test_demo_refuses(arguments, word, tmp_path):
    np.save(tmp_path / "line.npy", np.zeros(9))
    result = run("demo", *arguments, "--output", "x.png", cwd=tmp_path)
    assert result.returncode == 2
    assert word in result.stderr
    assert "Traceback" not in result.stderr
    assert not list(tmp_path.glob("x*"))
