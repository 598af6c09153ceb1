"""Core and extension for macOS arm64, built elsewhere: cross_build.py OUTPUT_FOLDER.

Needs the packages ziglang, cython, numpy and setuptools in the Python that runs this, and the metal-cpp headers in
METAL_CPP_DIR or where tests/softmetal/build.sh keeps them.
"""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT / "native"))

from build_native import Core, Platform  # noqa: E402

# What the headers of Python and NumPy were told of this machine, and is otherwise on macOS arm64; None: not defined.
PYTHON = {
    "HAVE_KQUEUE": 1,
    "SIZEOF_LONG_DOUBLE": 8,
    "_DARWIN_C_SOURCE": 1,
    "HAVE_GCC_ASM_FOR_X87": None,
    "Py_ENABLE_SHARED": None,
    "_GNU_SOURCE": None,
    "_POSIX_C_SOURCE": None,
    "_XOPEN_SOURCE": None,
}
NUMPY = {"NPY_HAVE_ENDIAN_H": None, "NPY_SIZEOF_LONGDOUBLE": 8, "NPY_SIZEOF_COMPLEX_LONGDOUBLE": 16}


def compiler(language):
    return [sys.executable, str(HERE / "zig.py"), language]


def metal_cpp():
    """The folder of metal-cpp's headers, or None."""
    softmetal = Path(os.environ.get("SOFTMETAL_BUILD_DIR") or ROOT / "build" / "softmetal")
    folders = [os.environ.get("METAL_CPP_DIR"), *sorted(softmetal.glob("metal-cpp-*/"))]
    return next((Path(f) for f in folders if f and (Path(f) / "Metal" / "Metal.hpp").exists()), None)


def core(folder):
    """Build the core with its Metal device."""
    os.environ["METAL_CPP_DIR"] = str(metal_cpp())
    os.environ.pop("SPATIALNORM_SOFTMETAL_DIR", None)
    return Core(Platform("macosx", "arm64"), Path(folder), compiler("c++")).build()


def headers(source, target, configuration, values):
    """Copy a folder of headers, with other values in one of them."""
    shutil.copytree(source, target, dirs_exist_ok=True)
    file = Path(target) / configuration
    text = file.read_text()
    for name in values:
        text = re.sub(rf"^#\s*(define|undef)\s+{name}\b.*$", "", text, flags=re.M)
    lines = [f"#define {name} {value}" for name, value in values.items() if value is not None]
    file.write_text("\n".join([*lines, text]))
    return f"-I{target}"


def extension(folder, library):
    """Build the extension against that core."""
    import numpy
    from Cython.Compiler.Main import compile_single
    from Cython.Compiler.Options import CompilationOptions

    source, target = Path(folder) / "_core.c", Path(folder) / "_core.so"
    options = CompilationOptions(output_file=str(source), language_level=3, include_path=[str(ROOT)])
    assert compile_single(str(ROOT / "spatialnorm" / "_core.pyx"), options, "spatialnorm._core").num_errors == 0
    include = [
        headers(sysconfig.get_path("include"), Path(folder) / "python", "pyconfig.h", PYTHON),
        headers(numpy.get_include(), Path(folder) / "numpy", "numpy/_numpyconfig.h", NUMPY),
        f"-I{ROOT / 'native' / 'include'}",
    ]
    subprocess.run(
        [
            *(*compiler("cc"), "-O2", "-dynamiclib", "-undefined", "dynamic_lookup", str(source), str(library)),
            *("-DNPY_NO_DEPRECATED_API=NPY_2_0_API_VERSION", "-Werror=implicit-function-declaration"),
            *(*include, "-Wl,-rpath,@loader_path/lib", "-o", str(target)),
        ],
        check=True,
    )
    return target


if __name__ == "__main__":
    made = core(sys.argv[1])
    print(made)
    print(extension(sys.argv[1], made))
