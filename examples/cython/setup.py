"""Build the extension against the installed spatialnorm, and link its library."""

import os
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

import spatialnorm

include = Path(spatialnorm.get_include())
package = include.parent
(library,) = (package / "lib").glob("libspatialnorm*")

extension = Extension(
    "contrast",
    ["contrast.pyx"],
    language="c++",
    include_dirs=[str(include)],
    extra_objects=[str(library)],
    runtime_library_dirs=[str(library.parent)],
    extra_compile_args=os.environ.get("EXTRA_CFLAGS", "").split(),
)
# Cython looks for the .pxd along sys.path, where an editable installation of spatialnorm is not.
setup(name="contrast", ext_modules=cythonize([extension], include_path=[str(package.parent)]))
