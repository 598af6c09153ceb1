"""Programs built before go on working: every interface that was recorded is part of the present one."""

from __future__ import annotations

import re
import shutil
import sys
import sysconfig
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent.parent.parent / "native"))

import abi
import build_native

ADVICE = (
    "The C interface differs from tests/native/abi_records/{0}.txt. If {0} was released and things were only added, "
    "raise SN_ABI_VERSION; then record it: python tests/native/abi.py > tests/native/abi_records/N.txt. If anything "
    "changed or went, programs built before break: raise ABI in native/build_native.py and SN_LIBRARY_NUMBER too."
)


@pytest.fixture(scope="module", autouse=True)
def _tools():
    if not shutil.which("cc"):
        pytest.skip("no cc on this machine (Debian package gcc)")
    if not Path(sysconfig.get_path("include"), "Python.h").exists():
        pytest.skip("no Python.h on this machine (Debian package python3-dev)")


def grows(structure: str) -> bool:
    """A structure that tells its size may get more fields; the others are as they are for good."""
    return structure in ("sn_metal_stats", "sn_api")


def missing(older: list[str], newer: list[str]) -> list[str]:
    """Return the facts that a newer interface does not keep."""
    lost = sorted(set(older) - set(newer))
    sizes = {line.split()[1]: int(line.split()[3]) for line in newer if line.startswith("structure ")}

    def allowed(line: str) -> bool:
        kind, name, *rest = line.split()
        return kind == "structure" and grows(name) and sizes.get(name, 0) > int(rest[1])

    return [line for line in lost if not allowed(line)]


def test_the_interface_is_the_recorded_one():
    number = abi.version()
    assert abi.facts() == abi.record(number), ADVICE.format(number)


def test_every_recorded_interface_is_kept():
    numbers = sorted(int(path.stem) for path in abi.RECORDS.glob("*.txt"))
    assert numbers == list(range(1, abi.version() + 1))
    for older in numbers[:-1]:
        assert missing(abi.record(older), abi.record(older + 1)) == []


@pytest.mark.parametrize(
    ("old", "new", "fact"),
    [
        (
            "int64_t shape[4];\n    int64_t strides[4];",
            "int64_t strides[4];\n    int64_t shape[4];",
            "sn_tensor.shape at 8",
        ),
        ("int64_t kernel_height, kernel_width;", "int32_t kernel_height, kernel_width;", "sn_spatial_params.kernel_"),
        ("SN_FLOAT32 = 3", "SN_FLOAT32 = 5", "constant SN_FLOAT32 3"),
        ("sn_plan_run(const sn_plan *plan", "sn_plan_run(sn_plan *plan", "function sn_status sn_plan_run"),
        ("SN_API int32_t sn_get_num_threads(void);", "", "sn_get_num_threads"),
        ("    int32_t available;", "    int32_t available, more;", "structure sn_device_info size"),
    ],
)
def test_a_change_is_noticed(old, new, fact, tmp_path):
    folder = tmp_path / "spatialnorm"
    shutil.copytree(abi.HEADERS, folder)
    header = folder / "spatialnorm.h"
    text = header.read_text()
    assert old in text
    header.write_text(text.replace(old, new, 1))
    lost = missing(abi.record(abi.version()), abi.facts(folder))
    assert any(fact in line for line in lost), lost


def test_what_may_grow():
    record = abi.record(1)
    size = next(line for line in record if line.startswith("structure sn_metal_stats size"))
    bytes_ = int(size.split()[3])
    longer = [line for line in record if line != size] + [f"structure sn_metal_stats size {bytes_ + 8}"]
    assert missing(record, longer) == []
    shorter = [line for line in record if line != size] + [f"structure sn_metal_stats size {bytes_ - 8}"]
    assert missing(record, shorter) == [size]


def test_the_capsule_holds_every_function():
    """In the order in which they came, with their types; sn_abi_version is a field there."""
    text = abi.text_of(abi.HEADERS / "spatialnorm_py.h")
    fields = re.search(r"typedef struct sn_api \{(.*?)\} sn_api;", text)[1].split(";")
    pointers = {re.sub(r"\(\*(\w+)\)", r"sn_\1", field.strip()) for field in fields if "(*" in field}
    functions = set(abi.functions(abi.text_of(abi.HEADERS / "spatialnorm.h")))
    assert pointers == functions - {"uint32_t sn_abi_version(void)"}


def test_numbers_agree():
    text = (abi.HEADERS / "spatialnorm_py.h").read_text()
    assert int(re.search(r"#define SN_LIBRARY_NUMBER (\d+)", text)[1]) == build_native.ABI
