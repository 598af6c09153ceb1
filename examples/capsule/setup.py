"""Build the extension against the installed spatialnorm's headers; nothing is linked."""

import os

from setuptools import Extension, setup

import spatialnorm

extension = Extension(
    "contrast",
    ["contrast.c"],
    include_dirs=[spatialnorm.get_include()],
    extra_compile_args=os.environ.get("EXTRA_CFLAGS", "").split(),
)
setup(name="contrast", ext_modules=[extension])
