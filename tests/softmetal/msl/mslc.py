#!/usr/bin/env python3
"""The kernel compiler of the emulation.

    mslc.py check FILE.metal [options]                     prints the library's kernels and function constants
    mslc.py build FILE.metal --kernel NAME --output OUT.so [--constant INDEX=TYPE:BITS ...] [--checked] [options]

Options: --version 310 (100 * major + 10 * minor), --math fast|relaxed|safe, --define NAME=VALUE.
Messages go to standard error as `program_source:LINE:COLUMN: error: ...`, with exit status 1.

Steps: preprocess with an empty <metal_stdlib>; translate (translate.py) and lint the tokens; compile with
real address spaces; lint the intermediate code; for `build`, make a shared library of it."""

import argparse
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.dont_write_bytecode = True
from lint_ir import ALLOWED, Report, erase_address_spaces  # noqa: E402
from tokens import CompileError  # noqa: E402
from translate import Translation, build_table, check_table  # noqa: E402

CLANG = os.environ.get("SOFTMETAL_CLANG", "clang++-19").split()
VERSIONS = (110, 120, 200, 210, 220, 230, 240, 300, 310, 320)
LANGUAGE = ["-x", "c++", "-std=c++14", "-nostdinc", "-nostdinc++"]
# What each math mode lets the optimiser assume. `safe` still allows a*b+c to be fused, as Metal does.
MATH = {
    "safe": ["-ffp-contract=on"],
    "relaxed": ["-ffast-math", "-fhonor-infinities", "-fhonor-nans", "-ffp-contract=fast"],
    "fast": ["-ffast-math", "-ffp-contract=fast"],
}
FRONT_END = LANGUAGE + [
    "-fno-exceptions",
    "-fno-rtti",
    "-fno-threadsafe-statics",
    "-fsigned-char",
    "-fno-color-diagnostics",
    "-ferror-limit=0",
    "-fmacro-backtrace-limit=1",
    "-Xclang",
    "-cl-single-precision-constant",
    "-Wno-unknown-attributes",
    "-Wno-duplicate-decl-specifier",
    "-Wno-c++17-extensions",
    "-Wno-unused-function",
    "-Wno-undefined-internal",
    "-Wno-undefined-inline",
    "-Wno-unknown-pragmas",
    "-Wno-pass-failed",
    "-Wno-return-type-c-linkage",
    "-Wno-invalid-offsetof",
    "-Werror=return-type",
    "-Werror=vla-cxx-extension",
    "-Werror=vla",
    "-Werror=infinite-recursion",
    "-fPIC",
    "-fvisibility=hidden",
    "-g1",
]


def clang(arguments):
    return subprocess.run(CLANG + arguments, capture_output=True, text=True)


def processor():
    """Conversions of half and fused operations are one instruction on processors of the last ten years."""
    try:
        with open("/proc/cpuinfo") as f:
            words = set(f.read().split())
    except OSError:
        return []
    return (
        ["-march=x86-64-v3"]
        if {"avx2", "fma", "f16c", "bmi2", "movbe", "lzcnt"} <= words | ({"lzcnt"} if "abm" in words else set())
        else []
    )


def preprocess(options, folder):
    path = os.path.join(folder, "program.metal")
    with open(options.source, encoding="utf-8") as f:
        text = f.read()
    with open(path, "w", encoding="utf-8") as f:
        f.write('# 1 "program_source"\n' + text)
    made = clang(
        ["-E"]
        + LANGUAGE
        + [
            "-D__METAL_VERSION__=%d" % options.version,
            "-D__METAL__=1",
            "-D__METAL_MACOS__=1",
            "-I" + os.path.join(HERE, "marker"),
        ]
        + ["-D" + d for d in options.define]
        + ["-Wno-invalid-pp-token", "-Wno-unknown-pragmas", path]
    )
    if made.returncode:
        raise CompileError(made.stderr)
    return re.sub(
        r"^[ \t]*#[ \t]*pragma[ \t]+METAL[ \t]+fp[ \t]+contract", "#pragma clang fp contract", made.stdout, flags=re.M
    )


def front_end(options, folder, cpp, real_spaces):
    """-> (intermediate code or None, messages)"""
    out = os.path.join(folder, "program.ll")
    arguments = (
        FRONT_END + MATH[options.math] + processor() + ["-D__METAL_VERSION__=%d" % options.version, "-D__METAL__=1"]
    )
    if real_spaces:
        arguments.append("-DSM_CHECK")
    arguments += ["-fsanitize=thread", "-O1"] if options.checked else ["-O2"]
    made = clang(arguments + ["-Xclang", "-disable-llvm-passes", "-S", "-emit-llvm", cpp, "-o", out])
    if made.returncode:
        return None, made.stderr
    with open(out) as f:
        return f.read(), made.stderr


# A struct is copied between address spaces by a constructor that C++ makes for the default one only. Metal
# makes one for each, so this complaint of clang's, and no other, is not an error.
COPY_COMPLAINT = re.compile(
    r"error: (no matching constructor for initialization of|no viable overloaded '='|no viable conversion from)"
)
COPY_NOTES = re.compile(
    r"note: candidate (constructor|function) \(the implicit (copy|move) (constructor|assignment operator)\) not viable"
    r".*(address space|1 argument|no known conversion)|requires (0|\d+) arguments?|\(the implicit default constructor\)"
)


def only_copies(messages):
    """Are all errors such complaints?"""
    errors = [[]]
    for line in messages.splitlines():
        if ": error: " in line or ": fatal error: " in line:
            errors.append([line])
        elif ": note: " in line:
            errors[-1].append(line)
    errors = errors[1:]
    return bool(errors) and all(
        COPY_COMPLAINT.search(e[0])
        and any("address space" in n for n in e[1:])
        and all(COPY_NOTES.search(n) for n in e[1:] if "note: candidate" in n)
        for e in errors
    )


def intermediate(options, folder, translation, table):
    cpp = os.path.join(folder, "program.cpp")
    with open(cpp, "w", encoding="utf-8") as f:
        f.write('#include "%s/include/metal.h"\n' % HERE + translation.cpp + '\n# 1 "softmetal_table"\n' + table)
    ir, messages = front_end(options, folder, cpp, real_spaces=True)
    if ir is None and only_copies(messages):
        ir, messages = front_end(options, folder, cpp, real_spaces=False)
    if ir is None:
        raise CompileError(readable(messages))
    return ir


def readable(messages):
    """clang's words for the address spaces, and its paths, in Metal's terms."""
    for number, space in (("1", "device"), ("2", "constant"), ("3", "threadgroup")):
        messages = messages.replace("__attribute__((address_space(%s)))" % number, space)
    messages = messages.replace("const constant", "constant")
    messages = re.sub(r"^In file included from .*\n(?:.* from .*\n)*", "", messages, flags=re.M)
    return re.sub(r"^.*/program\.cpp", "program_source", messages, flags=re.M)


def check(options, folder):
    translation = Translation(preprocess(options, folder))
    ir = intermediate(options, folder, translation, check_table(translation.kernels))
    report = Report(ir, len(translation.kernels))
    report.errors = demangle(report.errors)
    if report.errors:
        raise CompileError(
            "\n".join(report.errors) + "\n%d error%s generated." % (len(report.errors), "s" * (len(report.errors) > 1))
        )
    for f in translation.constants:
        print("constant", f.index, f.name, f.type, sep="\t")
    for kernel, size in zip(translation.kernels, report.threadgroup_bytes, strict=False):
        print("kernel", kernel.name, size, translation.max_threads[kernel.base], sep="\t")


def demangle(errors):
    made = subprocess.run(["c++filt"], input="\n".join(errors), stdout=subprocess.PIPE, text=True)
    return [e for e in made.stdout.splitlines() if e]


def build(options, folder):
    values = {}
    for word in options.constant:
        index, value = word.split("=", 1)
        values[int(index)] = tuple(value.split(":", 1))
    translation = Translation(preprocess(options, folder), values, options.kernel)
    ir = intermediate(options, folder, translation, build_table(translation))
    arguments = ["-O2"]
    if options.checked:
        ir = erase_address_spaces(ir)
        arguments = [
            "-O1",
            "-fsanitize=thread",
            "-mllvm",
            "-tsan-instrument-func-entry-exit=0",
            "-mllvm",
            "-tsan-instrument-atomics=0",
        ]
    path, objects = os.path.join(folder, "kernel.ll"), os.path.join(folder, "kernel.o")
    with open(path, "w") as f:
        f.write(ir)
    made = clang(arguments + processor() + ["-fPIC", "-w", "-x", "ir", "-c", path, "-o", objects])
    if not made.returncode:
        made = clang(["-shared", "-nostdlib", objects, "-lm", "-lgcc_s", "-lc", "-o", options.output])
    if made.returncode:
        raise CompileError(made.stderr)
    refuse_unknown_symbols(options, translation, objects)


def refuse_unknown_symbols(options, translation, objects):
    listing = subprocess.run(["nm", "--undefined-only", objects], stdout=subprocess.PIPE, text=True, check=True).stdout
    for name in re.findall(r"\bU (\S+)", listing):
        missing = re.match(r"sm_no_value_(\d+)$", name)
        if missing:
            constant = next(f for f in translation.constants if f.index == int(missing.group(1)))
            raise CompileError(
                "function constant '%s' (index %d) is used by kernel '%s' but was given no value"
                % (constant.name, constant.index, options.kernel)
            )
        if not ALLOWED.match(name) and not name.startswith(("__tsan_", "_GLOBAL_OFFSET_TABLE_")):
            raise CompileError("program_source:0:0: error: call of '%s', which Metal does not have" % name)


def main():
    parser = argparse.ArgumentParser(description="kernel compiler of emulated Metal")
    parser.add_argument("mode", choices=("check", "build"))
    parser.add_argument("source")
    parser.add_argument("--version", type=int, default=310)
    parser.add_argument("--math", choices=sorted(MATH), default="fast")
    parser.add_argument("--define", action="append", default=[])
    parser.add_argument("--kernel")
    parser.add_argument("--output")
    parser.add_argument("--constant", action="append", default=[])
    parser.add_argument("--checked", action="store_true")
    options = parser.parse_args()
    if options.version not in VERSIONS:
        sys.exit("language version %d is not one of %s" % (options.version, ", ".join(map(str, VERSIONS))))
    try:
        with tempfile.TemporaryDirectory() as folder:
            {"check": check, "build": build}[options.mode](options, folder)
    except CompileError as e:
        sys.stderr.write(str(e).rstrip() + "\n")
        sys.exit(1)


if __name__ == "__main__":
    main()
