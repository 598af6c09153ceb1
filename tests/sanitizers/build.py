"""Build core and test programs under sanitizers, and run them: `make asan`, `make tsan`.

    python tests/sanitizers/build.py address|thread [--quick] [--only scalar avx2 avx512 python]

`address` is AddressSanitizer with UndefinedBehaviorSanitizer. With --quick the core has the scalar target alone and the
cases are fewer: the vector targets take minutes to compile under a sanitizer, and test_guards.py watches their memory
by the machine's own means. --only runs some of the parts: instruction sets, for the native programs, and the extension,
which `thread --quick` leaves out. Needs g++ or clang with its sanitizers' libraries, and an environment with the
package's test extra.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(ROOT / "native"))

import build_native  # noqa: E402

SANITIZERS = {
    # Every finding ends the program; float division by zero is IEEE arithmetic, as specified.
    "address": ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined", "-fno-omit-frame-pointer"],
    "thread": ["-fsanitize=thread"],
}
COMMON = ["-O1", "-g", "-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=0", "-Wno-cpp"]
PARTS = ["scalar", "avx2", "avx512", "python"]
# What a program of tests/ is made of, relative to tests/.
PROGRAMS = {
    "run_cases": ["native/run_cases.cpp", "native/table.cpp"],
    "threads": ["native/threads.cpp"],
    "c_interface": ["native/c_interface.c"],
    "guards": ["sanitizers/guards.cpp"],
    "stress": ["sanitizers/stress.cpp"],
}


def run(*command: object, **environment: str) -> None:
    print("$", shlex.join(map(str, command)), flush=True)
    done = subprocess.run([str(c) for c in command], env={**os.environ, **environment}, check=False)
    if done.returncode:
        sys.exit(f"{command[0]} ended with status {done.returncode}")


def build_core(kind: str, quick: bool) -> Path:
    own = {"CXXFLAGS": shlex.join([*COMMON, *SANITIZERS[kind]]), "LDFLAGS": shlex.join(SANITIZERS[kind])}
    before = {name: os.environ.pop(name, None) for name in own}
    os.environ.update(own)
    if quick:
        build_native.TARGETS = {}
    folder = ROOT / "build" / f"sanitizer-{kind}{'-quick' if quick else ''}"
    try:
        return build_native.Core(folder=folder).build()
    finally:
        for name, value in before.items():
            del os.environ[name]
            if value is not None:
                os.environ[name] = value


def build_program(name: str, kind: str, library: Path) -> Path:
    program = library.parent / name
    sources = [ROOT / "tests" / source for source in PROGRAMS[name]]
    standard = ["-x", "c", "-std=c11"] if sources[0].suffix == ".c" else ["-std=c++17"]
    sources = [*sources, "-x", "none"] if sources[0].suffix == ".c" else sources
    flags = [*standard, "-pthread", *COMMON, *SANITIZERS[kind], f"-I{ROOT / 'native' / 'include'}"]
    run(*build_native.compiler(), *flags, *sources, library, "-o", program, f"-Wl,-rpath,{library.parent}")
    return program


def build_package(kind: str, library: Path) -> Path:
    """Lay the package with a sanitized extension beside the library; return the folder for PYTHONPATH."""
    import numpy

    folder = library.parent / "package"
    package = folder / "spatialnorm"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(ROOT / "spatialnorm", package, ignore=shutil.ignore_patterns("*.so", "lib", "__pycache__"))
    (package / "lib").mkdir()
    shutil.copy(library, package / "lib")
    source = library.parent / "_core.c"
    run(sys.executable, "-m", "cython", "-3", ROOT / "spatialnorm" / "_core.pyx", "-o", source)
    include = [sysconfig.get_path("include"), numpy.get_include(), ROOT / "native" / "include"]
    flags = ["-shared", "-fPIC", "-fwrapv", "-DNPY_NO_DEPRECATED_API=NPY_2_0_API_VERSION", *(f"-I{i}" for i in include)]
    output = package / f"_core{sysconfig.get_config_var('EXT_SUFFIX')}"
    compiler = build_native.compiler()
    run(
        *compiler,
        "-x",
        "c",
        *COMMON,
        *SANITIZERS[kind],
        *flags,
        source,
        "-x",
        "none",
        library,
        "-o",
        output,
        "-Wl,-rpath,$ORIGIN/lib",
    )
    return folder


def runtime(name: str) -> str:
    """Return the path of a sanitizer's library, which must be loaded before Python."""
    found = subprocess.run(
        [*build_native.compiler(), f"-print-file-name={name}"], capture_output=True, text=True, check=True
    )
    return found.stdout.strip()


# The package's tests of everything that lends memory or breaks a rule; the kernels have the native programs.
LENDING = ["test_buffers", "test_errors", "test_bind", "test_inplace", "test_sequence", "fuzz/test_operands"]
# Of threads that share an object or a graph. A child of fork() has no threads, and ThreadSanitizer none of it.
SHARING = ["test_threads", "test_bind", "test_graph_run"]
SHARED = "(thread or async or pools or lock) and not fork and not multiprocessing and not exit"


def check_package(kind: str, library: Path, preload: list[str], tests: list[str], *options: str, **more: str) -> None:
    environment = {
        "LD_PRELOAD": " ".join(map(runtime, preload)),
        "PYTHONPATH": str(build_package(kind, library)),
        **more,
    }
    files = [ROOT / "tests" / f"{name}.py" for name in tests]
    run(sys.executable, "-P", "-m", "pytest", "-q", "-p", "no:cacheprovider", *files, *options, **environment)


def check_address(parts: list[str], quick: bool) -> None:
    library = build_core("address", quick)
    table = library.parent / "table"
    run(sys.executable, ROOT / "tests" / "native" / "make_cases.py", table)
    isas = [part for part in parts if part != "python"]
    names = ("run_cases", "threads", "c_interface", "guards") if isas else ()
    programs = {name: build_program(name, "address", library) for name in names}
    for isa in isas:
        # g++ 12 keeps AVX-512 registers, which need 64 bytes, in that check's stack, which it aligns to less.
        after_return = int(isa != "avx512")
        options = {
            "SPATIALNORM_ISA": isa,
            "UBSAN_OPTIONS": "print_stacktrace=1",
            "ASAN_OPTIONS": f"detect_stack_use_after_return={after_return}",
        }
        run(programs["run_cases"], table, **options)
        run(programs["threads"], **options)
        run(programs["c_interface"], **options)
        run(programs["guards"], "1", "331" if quick else "41", **options)
    if "python" in parts:
        check_package(
            "address",
            library,
            ["libasan.so", "libubsan.so"],
            LENDING,
            PYTHONMALLOC="malloc",  # every object has its own memory, and its own end
            # Leaks are the interpreter's, at its end; tests/soak counts ours. Some tests ask for impossible arrays.
            ASAN_OPTIONS="detect_leaks=0:allocator_may_return_null=1",
            UBSAN_OPTIONS="print_stacktrace=1",
        )


def check_thread(parts: list[str], quick: bool) -> None:
    library = build_core("thread", quick)
    options = f"halt_on_error=1:die_after_fork=0:suppressions={HERE / 'thread.supp'}"
    isas = [part for part in parts if part != "python"]
    programs = {name: build_program(name, "thread", library) for name in (("threads", "stress") if isas else ())}
    for isa in isas:
        run(programs["threads"], SPATIALNORM_ISA=isa, TSAN_OPTIONS=options)
        run(programs["stress"], "2" if quick else "20", SPATIALNORM_ISA=isa, TSAN_OPTIONS=options)
    if "python" in parts:
        check_package("thread", library, ["libtsan.so"], SHARING, "-k", SHARED, TSAN_OPTIONS=options)


def main() -> None:
    parser = argparse.ArgumentParser(description="Build core and test programs under sanitizers, and run them.")
    parser.add_argument("kind", choices=SANITIZERS)
    parser.add_argument("--quick", action="store_true", help="the scalar target alone, fewer cases")
    parser.add_argument("--only", nargs="+", choices=PARTS, help="some of the parts")
    options = parser.parse_args()
    quick_parts = ["scalar", "python"] if options.kind == "address" else ["scalar"]
    parts = options.only or (quick_parts if options.quick else PARTS)
    try:
        (check_address if options.kind == "address" else check_thread)(parts, options.quick)
    except build_native.BuildError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
