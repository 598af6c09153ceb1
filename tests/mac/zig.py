"""The C and C++ compiler for macOS arm64 on any machine: zig.py cc|c++ ARGUMENTS, with stand-ins for Apple's SDK.

The stand-ins (cross/) are two headers of one line each, which metal-cpp includes, and lists of the symbols that
the system's libraries have. What comes out compiles and links as Mach-O arm64; it cannot show that it runs.
"""

import os
import sys
from pathlib import Path

SDK = Path(__file__).resolve().parent / "cross"
TARGET = "aarch64-macos.14.0"


def command(language: str, arguments: list[str]) -> list[str]:
    # Zig's linker has no such option; Apple's takes it.
    kept = [a for a in arguments if not a.startswith("-Wl,-exported_symbol")]
    sdk = ["-isystem", f"{SDK}/include", f"-F{SDK}/Frameworks", f"-L{SDK}/lib"]
    libraries = [] if "-c" in kept else ["-lobjc"]
    return [sys.executable, "-m", "ziglang", language, "-target", TARGET, *sdk, *kept, *libraries]


if __name__ == "__main__":
    made = command(sys.argv[1], sys.argv[2:])
    os.execv(made[0], made)
