"""Build steps that pyproject.toml cannot express: the native core, and the extension that links it."""

import os
import platform
import shutil
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT / "native"))

import numpy  # noqa: E402
from build_native import NATIVE, BuildError, Core, Platform  # noqa: E402
from Cython.Build import cythonize  # noqa: E402
from setuptools import Command, Extension, setup  # noqa: E402
from setuptools.command.build import build  # noqa: E402
from setuptools.command.build_ext import build_ext  # noqa: E402

PACKAGE = "spatialnorm"

# Python may have been built by a compiler that this machine lacks.
c_compiler = (sysconfig.get_config_var("CC") or "cc").split()
if "CC" not in os.environ and c_compiler and not shutil.which(c_compiler[0]):
    os.environ["CC"] = next((name for name in ("cc", "gcc", "clang") if shutil.which(name)), "cc")

# A universal Python builds for one architecture at a time: the instruction-set targets differ.
if sys.platform == "darwin" and sysconfig.get_platform().endswith("universal2") and "ARCHFLAGS" not in os.environ:
    os.environ["ARCHFLAGS"] = f"-arch {platform.machine()}"
    os.environ.setdefault("_PYTHON_HOST_PLATFORM", f"macosx-11.0-{platform.machine()}")

# "build" runs its steps in this order; editable installs and sdists ask each step for its files.
build.sub_commands.insert(0, ("build_native", None))


def write_if_changed(target: Path, content: bytes) -> None:
    """Compare contents, not times: two flavours of the library may take turns in one place."""
    if not target.exists() or target.read_bytes() != content:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)  # a process may have the old file mapped
        target.write_bytes(content)


class build_native(Command):  # noqa: N801  (named as setuptools names commands)
    """Build the core and lay library, headers and the files for CMake and pkg-config into the package."""

    description = "build the native core"
    user_options = [
        ("build-lib=", "b", "folder to lay the package in"),
        ("force", "f", "build everything again"),
        ("parallel=", "j", "compilers at a time"),
    ]
    boolean_options = ["force"]
    editable_mode = False

    def initialize_options(self) -> None:
        self.build_lib = self.force = self.parallel = None

    def finalize_options(self) -> None:
        options = [(name, name) for name in ("build_lib", "force", "parallel")]
        self.set_undefined_options("build", *options)
        self.core = Core(jobs=int(self.parallel) if self.parallel else None, force=bool(self.force))

    def layout(self) -> dict[str, Path | str]:
        """Map each shipped file, by its place in the package, to where it is found after the build, or its text."""
        headers = sorted((NATIVE / "include" / PACKAGE).glob("*.h"))
        return {
            **{f"include/{PACKAGE}/{header.name}": header for header in headers},
            f"lib/{self.core.library.name}": self.core.library,
            **self.core.package_files(),
        }

    def run(self) -> None:
        try:
            self.core.build()
        except BuildError as error:
            raise SystemExit(f"spatialnorm: {error}") from None
        package = ROOT / PACKAGE if self.editable_mode else Path(self.build_lib) / PACKAGE
        for name, source in self.layout().items():
            write_if_changed(package / name, source.encode() if isinstance(source, str) else source.read_bytes())

    def get_source_files(self) -> list[str]:
        """Say what the sdist needs for this step."""
        files = [file for folder in ("native", "metal") for file in (ROOT / folder).rglob("*") if file.is_file()]
        return [str(file.relative_to(ROOT)) for file in files if "__pycache__" not in file.parts]

    def get_outputs(self) -> list[str]:
        return [str(Path(self.build_lib) / PACKAGE / name) for name in self.layout()]

    def get_output_mapping(self) -> dict[str, str]:
        """Say for an editable install which file in the tree stands for which installed file."""
        if not self.editable_mode:
            return {}
        return {str(Path(self.build_lib) / PACKAGE / name): str(Path(PACKAGE) / name) for name in self.layout()}


class build_extension(build_ext):  # noqa: N801
    """Build the extension against the core of this build."""

    def run(self) -> None:
        native = self.get_finalized_command("build_native")
        native.editable_mode = native.editable_mode or bool(self.inplace)
        self.run_command("build_native")  # nothing to do if the build command ran it already
        for extension in self.extensions:
            extension.extra_objects.append(str(native.core.library))
        super().run()

    def build_extensions(self) -> None:
        # Pythons of pyenv and conda pass on the folder of their own libraries; it means nothing elsewhere.
        self.compiler.linker_so = [
            flag for flag in self.compiler.linker_so if not flag.startswith(("-Wl,-rpath", "-L" + sys.prefix))
        ]
        super().build_extensions()


darwin = Platform.default().darwin
hardening = [] if darwin else ["-Wl,-z,relro,-z,now,-z,noexecstack"]
extension = Extension(
    f"{PACKAGE}._core",
    [f"{PACKAGE}/_core.pyx"],
    include_dirs=["native/include", numpy.get_include()],
    define_macros=[("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION")],
    depends=[
        f"{PACKAGE}/_core.pyx",
        *map(str, sorted(Path(PACKAGE).glob("*.px[di]"))),
        *map(str, sorted(Path("native/include/spatialnorm").glob("*.h"))),
    ],
    # A function that NumPy's headers do not declare would be found missing at import only.
    extra_compile_args=[
        "-O3",
        "-fvisibility=hidden",
        "-fstack-protector-strong",
        "-U_FORTIFY_SOURCE",
        "-D_FORTIFY_SOURCE=2",
        # The same bytes wherever it is built: debugging information would name the folder.
        f"-ffile-prefix-map={ROOT}=.",
        "-Werror=implicit-function-declaration",
    ],
    extra_link_args=["-Wl,-rpath,@loader_path/lib" if darwin else "-Wl,-rpath,$ORIGIN/lib", *hardening],
)

setup(
    ext_modules=cythonize(
        [extension],
        build_dir="build/cython",
        compiler_directives={"language_level": 3, "freethreading_compatible": True},
    ),
    cmdclass={"build_native": build_native, "build_ext": build_extension},
    # The flavour for tests on emulated Metal never shares a folder with the real one.
    options={"build": {"build_base": "build/softmetal-package"}} if os.environ.get("SPATIALNORM_SOFTMETAL_DIR") else {},
)
