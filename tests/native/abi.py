"""The C interface as a list of facts: functions, constants, and where each field of each structure lies.

python tests/native/abi.py > tests/native/abi_records/N.txt        record interface N (SN_ABI_VERSION)
"""

from __future__ import annotations

import re
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

HEADERS = Path(__file__).parent.parent.parent / "native" / "include" / "spatialnorm"
RECORDS = Path(__file__).parent / "abi_records"


def text_of(header: Path) -> str:
    """Return the header without comments and preprocessor lines, on one line."""
    text = re.sub(r"/\*.*?\*/", " ", header.read_text(), flags=re.DOTALL)
    lines = [line for line in text.replace("\\\n", " ").splitlines() if not line.lstrip().startswith("#")]
    return re.sub(r"\s+", " ", " ".join(lines))


def functions(text: str) -> list[str]:
    return sorted(re.findall(r"SN_API ([^;{]*\([^;]*\));", text))


def name_of(function: str) -> str:
    return re.search(r"(\w+)\(", function)[1]


def structures(text: str) -> dict[str, list[str]]:
    """Return the fields of each structure; a declaration such as `int64_t a, b[4]` gives two."""
    found = {}
    for name, body in re.findall(r"typedef struct (\w+) \{(.*?)\} \1;", text):
        fields = []
        for declaration in filter(None, map(str.strip, body.split(";"))):
            function = re.search(r"\(\*(\w+)\)", declaration)
            names = [function[1]] if function else re.findall(r"(\w+)(?:\[\d+\])?(?=,|$)", declaration)
            fields += names
        found[name] = fields
    return found


def constants(text: str) -> list[str]:
    return [name for body in re.findall(r"SN_ENUM\(\w+\) \{(.*?)\}", text) for name in re.findall(r"(\w+) = ", body)]


def program(texts: dict[str, str]) -> str:
    """Return a C program that prints what only a compiler knows."""
    lines = [f"#include <spatialnorm/{name}>" for name in texts] + ["#include <stddef.h>", "#include <stdio.h>"]
    lines += ["#define SIZE(type, field) sizeof(((type *)0)->field)", "int main(void) {"]
    for text in texts.values():
        for name in constants(text):
            lines.append(f'printf("constant {name} %d\\n", (int){name});')
        for structure, fields in structures(text).items():
            lines.append(f'printf("structure {structure} size %zu\\n", sizeof({structure}));')
            for field in fields:
                where = f"offsetof({structure}, {field}), SIZE({structure}, {field})"
                lines.append(f'printf("field {structure}.{field} at %zu size %zu\\n", {where});')
    return "\n".join([*lines, "return 0;", "}", ""])


def facts(headers: Path = HEADERS, compiler: str = "cc") -> list[str]:
    """List the facts of the interface that the headers in a folder describe."""
    texts = {name: text_of(headers / name) for name in ("spatialnorm.h", "spatialnorm_py.h")}
    with tempfile.TemporaryDirectory() as folder:
        source, binary = Path(folder, "abi.c"), Path(folder, "abi")
        source.write_text(program(texts))
        include = ["-I", str(headers.parent), "-isystem", sysconfig.get_path("include")]
        # Python's own functions, called by inline ones, are not linked here: sections without a caller go.
        flags = ["-std=c11", "-ffunction-sections", "-O2", "-Wno-unused-function"]
        subprocess.run([compiler, *flags, *include, str(source), "-o", str(binary)], check=True)
        printed = subprocess.run([str(binary)], capture_output=True, text=True, check=True).stdout
    declared = [f"function {function}" for text in texts.values() for function in functions(text)]
    return sorted([*declared, *printed.splitlines()])


def version(headers: Path = HEADERS) -> int:
    return int(re.search(r"#define SN_ABI_VERSION (\d+)", (headers / "spatialnorm.h").read_text())[1])


def record(number: int) -> list[str]:
    return (RECORDS / f"{number}.txt").read_text().splitlines()


if __name__ == "__main__":
    sys.stdout.write("\n".join(facts()) + "\n")
