"""Tests of emulated Metal itself: build it with tests/softmetal/build.sh, then run pytest on this file.

Nothing here ran on a GPU: the host programs are compiled against the real metal-cpp headers and linked with
the emulation. Samples carry what is expected of them in their first lines."""

import ctypes
import os
import re
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
BUILD = Path(os.environ.get("SOFTMETAL_BUILD_DIR") or ROOT / "build" / "softmetal")
HOST = BUILD / "bin" / "host_tests"
MSLC = HERE.parent / "msl" / "mslc.py"

pytestmark = pytest.mark.skipif(not HOST.exists(), reason="emulated Metal is not built: run tests/softmetal/build.sh")


def samples(folder):
    return sorted((HERE / folder).glob("*.metal"), key=lambda p: p.name)


def header(path, word):
    """The value of a `// word: value` line."""
    m = re.search(r"^// %s: (.*)$" % word, path.read_text(), re.M)
    return m.group(1) if m else None


def environment(**settings):
    kept = {
        k: v
        for k, v in os.environ.items()
        if not k.startswith("SOFTMETAL_") or k in ("SOFTMETAL_BUILD_DIR", "SOFTMETAL_CLANG", "SOFTMETAL_PYTHON")
    }
    return {**kept, **{"SOFTMETAL_" + k: v for k, v in settings.items()}}


def host(*arguments, **settings):
    made = subprocess.run(
        [str(HOST), *map(str, arguments)],
        env=environment(**settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    )
    return made.returncode, made.stdout


def host_names():
    return host("list")[1].split() if HOST.exists() else []


def mslc(*arguments):
    made = subprocess.run(
        [sys.executable, "-I", "-S", str(MSLC), *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    )
    return made.returncode, made.stdout


# ---- the language


@pytest.mark.parametrize("path", samples("must_fail"), ids=lambda p: p.stem)
def test_source_that_metal_refuses(path, tmp_path):
    code, output = mslc("check", path, "--version", header(path, "version") or "310")
    if code == 0 and path.stem == "threadgroup_too_big":  # Metal says so when the pipeline is made
        code, output = host("run", path, "k", 64, 64, 64)
    assert code == 1, output
    assert re.search(header(path, "error"), output), output


@pytest.mark.parametrize("path", samples("must_pass"), ids=lambda p: p.stem)
def test_source_that_metal_takes(path, tmp_path):
    code, output = mslc("check", path)
    assert code == 0, output
    for line in output.splitlines():
        name = line.split("\t")[1]
        for extra in ([], ["--checked"]):
            code, message = mslc("build", path, "--kernel", name, "--output", tmp_path / "k.so", *extra)
            assert code == 0, message


def test_kernel_listing():
    code, output = mslc("check", HERE / "kernels" / "box_sum.metal")
    assert code == 0
    assert output.splitlines() == [
        "constant\t0\tRADIUS\tuint",
        "constant\t1\tADD_BIAS\tbool",
        "kernel\tbox_sum_float\t4096\t0",
        "kernel\tbox_sum_half\t4096\t0",
        "kernel\tbox_sum_bfloat\t4096\t0",
    ]


def test_wrong_arguments_of_the_compiler(tmp_path):
    path = HERE / "kernels" / "box_sum.metal"
    code, output = mslc("check", path, "--version", "123")
    assert code == 1
    assert "language version 123 is not one of" in output
    code, output = mslc("build", path, "--kernel", "nothing", "--output", tmp_path / "k.so")
    assert code == 1
    assert "no kernel named 'nothing'" in output


# ---- the host interface


@pytest.mark.parametrize("name", [n for n in host_names() if not n.startswith("checked_")])
def test_host(name):
    code, output = host(name)
    assert code == 0, output


@pytest.mark.parametrize("order", ["reverse", "shuffle"])
@pytest.mark.parametrize("name", [n for n in host_names() if n.startswith(("kernel_", "language_"))])
def test_host_in_other_thread_orders(name, order):
    for seed in ("1", "2"):
        code, output = host(name, ORDER=order, SEED=seed)
        assert code == 0, output


@pytest.mark.parametrize(
    "name", [n for n in host_names() if n.startswith(("kernel_", "language_", "command_", "checked_"))]
)
def test_host_in_checked_mode(name):
    code, output = host(name, CHECK="1")
    assert code == 0, output


def test_other_simd_width():
    code, output = host("kernel_reduce", SIMD_WIDTH="16")
    assert code == 0, output


def test_unknown_order_is_an_error():
    code, output = host("kernel_transpose", ORDER="sideways")
    assert code == 1


@pytest.mark.parametrize("path", samples("faults"), ids=lambda p: p.stem)
def test_planted_fault_is_found(path):
    modes = {"checked": ["1"], "any": ["0", "1"], "unchecked": ["0"]}[header(path, "mode")]
    for order in ("forward", "shuffle"):
        for mode in modes:
            code, output = host("run", path, "k", 128, 64, 128, CHECK=mode, ORDER=order)
            assert code == 1, "not found"
            if order == "forward":
                assert re.search(header(path, "report"), output), output


@pytest.mark.parametrize("order", ["forward", "reverse", "shuffle"])
@pytest.mark.parametrize("path", samples("correct"), ids=lambda p: p.stem)
def test_correct_sample_is_not_reported(path, order):
    for mode in ("0", "1"):
        code, output = host("run", path, "k", 128, 64, 128, CHECK=mode, ORDER=order)
        assert code == 0, output


def test_misused_object_ends_the_process_with_a_message():
    # As the real runtime does; everything that Metal's validation reports comes back as an NSError instead.
    code, output = host("run", HERE / "correct" / "barrier.metal", "k", 128, 64, 128, FAULT="bufer")
    assert code < 0
    assert "SOFTMETAL_FAULT names an unknown fault 'bufer'" in output


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("no_device", "no Metal device"),
        ("compile=no licence", "no licence"),
        ("pipeline", "planted fault: the pipeline state cannot be made"),
        ("command_buffer=the GPU hung", "the GPU hung"),
    ],
)
def test_fault_by_environment(fault, words):
    sample = HERE / "correct" / "barrier.metal"
    code, output = host("run", sample, "k", 128, 64, 128, FAULT=fault)
    assert code == 1
    assert words in output
    code, output = host("run", sample, "k", 128, 64, 128, FAULT="command_buffer@1=late")  # the first still succeeds
    assert code == 0, output


# ---- as a library in Python

PYTHON_PROGRAM = """
import ctypes, os, sys
tests = ctypes.CDLL(sys.argv[1] + "/lib/libhost_tests.so", mode=os.RTLD_LOCAL | os.RTLD_NOW)   # as an extension is
metal = ctypes.CDLL(sys.argv[1] + "/lib/libsoftmetal.so")
metal.softmetal_live_objects.restype = metal.softmetal_count.restype = ctypes.c_long
for name in (b"device_properties", b"kernel_box_sum_float", b"command_handlers", b"kernel_transpose"):
    assert tests.run_host_test(name) == 0, name
for name in (b"SoftMetalBuffer", b"SoftMetalCommandBuffer", b"SoftMetalCommandQueue",
             b"SoftMetalLibrary", b"SoftMetalComputePipelineState", b"NSString", b"NSError", b"NSAutoreleasePool"):
    print(name.decode(), metal.softmetal_live_objects(name))
print("command_buffers", metal.softmetal_count(b"command_buffers"))
assert metal.softmetal_set_fault(b"no_device", 0, None) == 0
assert tests.run_host_test(b"device_properties") == 1
metal.softmetal_clear_faults()
assert tests.run_host_test(b"device_properties") == 0
"""


def test_in_python_and_counts():
    made = subprocess.run(
        [sys.executable, "-c", PYTHON_PROGRAM, str(BUILD)],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    )
    assert made.returncode == 0, made.stdout
    counts = dict(line.split() for line in made.stdout.splitlines() if re.match(r"\w+ \d+$", line))
    assert counts["command_buffers"] == "10"  # 8 box sums, one with handlers, one transposition
    assert counts.pop("NSString") == "3"  # the constants of Foundation
    counts.pop("command_buffers")
    assert set(counts.values()) == {"0"}, counts


# ---- the cache of compiled kernels


def test_cache_is_used_and_safe_in_parallel(tmp_path):
    sample = HERE / "correct" / "barrier.metal"
    with ThreadPoolExecutor(4) as pool:
        results = list(
            pool.map(lambda _: host("run", sample, "k", 128, 64, 128, CACHE=str(tmp_path / "cache")), range(8))
        )
    assert all(code == 0 for code, _ in results), results
    names = sorted(p.suffix for p in (tmp_path / "cache").iterdir())
    assert names == [".so", ".txt", ".txt"], (
        names
    )  # the library's listing, the kernel and its listing; nothing left over
    # With a compiler that cannot run, only the cache can answer.
    code, output = host("run", sample, "k", 128, 64, 128, CACHE=str(tmp_path / "cache"), PYTHON="false")
    assert code == 0, output
    code, output = host("run", sample, "k", 128, 64, 128, CACHE=str(tmp_path / "empty"), PYTHON="false")
    assert code == 1


def test_many_instantiations_compile_in_seconds(tmp_path):
    source = (HERE / "kernels" / "box_sum.metal").read_text()
    source += "".join(
        'template [[host_name("sum_%d")]] [[kernel]] decltype(sum_of<float, %d>) sum_of<float, %d>;\n' % (n, n, n)
        for n in range(1, 101)
    ).join(
        [
            """
template <typename T, int N>
kernel void sum_of(device const T* src [[buffer(0)]], device T* dst [[buffer(1)]], uint i [[thread_position_in_grid]]) {
    threadgroup float tile[64 + N];
    tile[i % 64] = float(src[i]);
    threadgroup_barrier(mem_flags::mem_threadgroup);
    float s = 0;
    for (int k = 0; k < N; k++) s += tile[(i + k) % 64];
    dst[i] = T(s);
}
""",
            "",
        ]
    )
    path = tmp_path / "many.metal"
    path.write_text(source)
    start = time.monotonic()
    code, output = mslc("check", path)
    checked = time.monotonic() - start
    assert code == 0, output
    assert output.count("kernel\tsum_") == 100
    assert "kernel\tsum_100\t656\t0" in output
    start = time.monotonic()
    code, output = mslc("build", path, "--kernel", "sum_77", "--output", tmp_path / "k.so")
    assert code == 0, output
    assert checked < 30
    assert time.monotonic() - start < 15


# ---- the other processor


def test_aarch64_assembly_under_qemu(tmp_path):
    tools = ["aarch64-linux-gnu-g++", "qemu-aarch64-static"]
    missing = [t for t in tools if shutil.which(t) is None]
    if missing:
        pytest.skip("missing programs: " + ", ".join(missing))
    soft = HERE.parent
    subprocess.run(
        [
            tools[0],
            "-std=c++17",
            "-O2",
            "-Wall",
            "-Wno-cast-function-type",
            "-I",
            str(soft / "sysinclude"),
            "-o",
            str(tmp_path / "probe"),
            str(HERE / "aarch64.cpp"),
            *map(
                str,
                [
                    soft / "exec/fiber.cpp",
                    soft / "exec/switch_aarch64.S",
                    soft / "objc/runtime.cpp",
                    soft / "objc/foundation.cpp",
                    soft / "objc/msgsend_aarch64.S",
                ],
            ),
            "-ldl",
            "-lpthread",
        ],
        check=True,
        timeout=120,
    )
    made = subprocess.run(
        [tools[1], "-L", "/usr/aarch64-linux-gnu", str(tmp_path / "probe")],
        stdout=subprocess.PIPE,
        text=True,
        timeout=60,
    )
    assert (made.returncode, made.stdout) == (0, "ok\n")


# ---- the launcher


def test_launcher(tmp_path):
    if not (BUILD / "venv" / "bin" / "python").exists():
        pytest.skip(
            "the launcher's Python environment is not built: run tests/softmetal/build.sh without SOFTMETAL_ONLY"
        )
    program = "import sys, os, numpy, pytest; print(sys.prefix, os.environ['SPATIALNORM_SOFTMETAL_DIR'])"
    made = subprocess.run(
        [str(HERE.parent / "run"), "python", "-c", program],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=60,
    )
    assert made.stdout.split() == [str(BUILD.resolve() / "venv"), str(BUILD.resolve())]


def test_library_exports_its_interface():
    metal = ctypes.CDLL(str(BUILD / "lib" / "libsoftmetal.so"))
    for name in ("softmetal_live_objects", "softmetal_count", "softmetal_set_fault", "softmetal_clear_faults"):
        assert getattr(metal, name)
