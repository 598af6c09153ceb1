"""The command line: one function per subcommand, each imported when it is asked for."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m spatialnorm", description="Spatial (divisive) normalization and its gradient."
    )
    parser.add_argument("--include-dir", action="store_true", help="print the folder of the C headers and exit")
    parser.add_argument(
        "--cmake-dir", action="store_true", help="print the folder for CMake's spatialnorm_DIR and exit"
    )
    parser.add_argument("--pkgconfig-dir", action="store_true", help="print the folder for PKG_CONFIG_PATH and exit")
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    commands = parser.add_subparsers(dest="command", metavar="command")

    demo = commands.add_parser("demo", help="run forward and gradient on a photograph, check them, write a picture")
    demo.add_argument("image", nargs="?", help="a picture or a 2-D .npy file; the photograph in matplotlib if none")
    demo.add_argument("--kernel", type=int, default=31, metavar="N", help="window, in pixels (default 31)")
    demo.add_argument("--device", default="auto", help="auto, cpu or metal (default auto)")
    demo.add_argument(
        "--output",
        default="spatialnorm-demo.png",
        metavar="FILE",
        help="the picture to write (default spatialnorm-demo.png)",
    )

    commands.add_parser("info", help="print version, instruction set, threads and devices")

    selftest = commands.add_parser("selftest", help="compare a device with the NumPy reference")
    selftest.add_argument("--device", default="cpu", help="cpu or metal (default cpu)")
    selftest.add_argument("--json", action="store_true", help="print the results as JSON")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments : sequence of str, optional
        As after the program's name; those of the process if not given.

    Returns
    -------
    int
        Exit status: 0, 1 if a check failed, 2 if the command could not run.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        return _run(parser, options)
    except (OSError, ImportError, MemoryError, RuntimeError, TypeError, ValueError) as error:
        print(f"python -m spatialnorm: {error}", file=sys.stderr)
        return 2


def _run(parser: argparse.ArgumentParser, options: argparse.Namespace) -> int:
    import spatialnorm

    package = os.path.dirname(spatialnorm.get_include())
    if options.include_dir:
        print(spatialnorm.get_include())
    elif options.cmake_dir:
        print(os.path.join(package, "cmake"))
    elif options.pkgconfig_dir:
        print(os.path.join(package, "lib", "pkgconfig"))
    elif options.version:
        print(spatialnorm.__version__)
    elif options.command == "info":
        spatialnorm.show_config()
    elif options.command == "demo":
        from spatialnorm._demo import demo

        return demo(options.image, options.kernel, options.device, options.output)
    elif options.command == "selftest":
        from spatialnorm._selftest import selftest

        return selftest(options.device, options.json)
    else:
        parser.print_help()
        return 2
    return 0
