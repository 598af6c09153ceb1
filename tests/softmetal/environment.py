"""Makes the private virtual environment of the launcher, and installs the checkout there with emulated Metal.

Called by build.sh: environment.py CHECKOUT BUILD_FOLDER. The checkout's own build outputs and the user's
installation are left alone: the sources are copied, and built in the copy. Everything is skipped that is
there already and made of the same sources."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

SOURCES = ("setup.py", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE", "spatialnorm", "native", "metal")

# Python puts the folder of a script, or the current one, before all others, and the checkout has a folder
# `spatialnorm` without (or with another) native part. This finder makes the private installation come first.
FINDER = """\
import sys
from importlib.machinery import PathFinder

class PrivateFirst:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == "spatialnorm" and path is None:
            return PathFinder.find_spec(name, [%r])
        return None

sys.meta_path.insert(0, PrivateFirst)
"""


def run(*command, **extra):
    subprocess.run([str(c) for c in command], check=True, **extra)


def requirements(root):
    """NumPy, pytest, and what pyproject.toml lists as the extra `test`."""
    names = ["numpy", "pytest"]
    try:
        import tomllib

        with open(os.path.join(root, "pyproject.toml"), "rb") as f:
            names += tomllib.load(f).get("project", {}).get("optional-dependencies", {}).get("test", [])
    except (ImportError, OSError):
        pass
    return names


def make_environment(venv, names):
    python = os.path.join(venv, "bin", "python")
    made_by = os.path.join(venv, "made-by")
    wanted = sys.version + "\n" + " ".join(names)
    if os.path.exists(python) and os.path.exists(made_by) and Path(made_by).read_text() == wanted:
        return python
    shutil.rmtree(venv, ignore_errors=True)
    run(sys.executable, "-m", "venv", venv)
    run(python, "-m", "pip", "install", "-q", "--disable-pip-version-check", *names)
    with open(made_by, "w") as f:
        f.write(wanted)
    return python


def source_files(root):
    """Tracked and new files of the package, by relative path; without git, all that are not build outputs."""
    try:
        listing = (
            subprocess.run(
                ["git", "ls-files", "-z", "-co", "--exclude-standard", "--", *SOURCES],
                cwd=root,
                check=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
            .stdout.decode()
            .split("\0")
        )
    except (OSError, subprocess.CalledProcessError):
        listing = []
        for name in SOURCES:
            path = os.path.join(root, name)
            if os.path.isfile(path):
                listing.append(name)
            for folder, _, names in os.walk(path):
                listing += [
                    os.path.relpath(os.path.join(folder, n), root)
                    for n in names
                    if not n.endswith((".so", ".pyc", ".o"))
                ]
    return sorted(p for p in set(listing) if p and os.path.isfile(os.path.join(root, p)))


def copy_sources(root, files, copy):
    """Only what changed is written, so that the build in the copy is incremental."""
    for path in files:
        old, new = os.path.join(root, path), os.path.join(copy, path)
        os.makedirs(os.path.dirname(new), exist_ok=True)
        if not os.path.exists(new) or Path(old).read_bytes() != Path(new).read_bytes():
            shutil.copyfile(old, new)
            shutil.copymode(old, new)
    kept = {os.path.join(copy, p) for p in files}
    for top in SOURCES:
        for folder, _, names in os.walk(os.path.join(copy, top)):
            for name in names:
                path = os.path.join(folder, name)
                if path not in kept and not name.endswith((".so", ".c", ".o")) and ".so." not in name:
                    os.remove(path)


def fingerprint(root, files, build):
    h = hashlib.sha256()
    for path in files:
        h.update(path.encode() + b"\0" + Path(root, path).read_bytes())
    for name in ("cxxflags", "ldflags"):
        h.update(Path(build, name).read_bytes())
    return h.hexdigest()


def has_bridge(root):
    """Is there a file that uses metal-cpp?"""
    folder = os.path.join(root, "native", "src", "metal")
    names = [n for n in os.listdir(folder) if n.endswith(".cpp")] if os.path.isdir(folder) else []
    return any("Metal/Metal.hpp" in Path(folder, n).read_text(encoding="utf-8") for n in names)


def install(root, build, venv, python):
    if not os.path.exists(os.path.join(root, "setup.py")) or not has_bridge(root):
        print("softmetal: no setup.py, or no Metal bridge in native/src/metal: spatialnorm is not installed")
        return
    files, copy, stamp = source_files(root), os.path.join(build, "src"), os.path.join(venv, "installed")
    print_of_sources = fingerprint(root, files, build)
    if os.path.exists(stamp) and Path(stamp).read_text() == print_of_sources:
        return
    copy_sources(root, files, copy)
    if os.path.exists(stamp):
        os.remove(stamp)
    run(
        python,
        "-m",
        "pip",
        "install",
        "-q",
        "--disable-pip-version-check",
        "--force-reinstall",
        "--no-deps",
        copy,
        env={**os.environ, "SPATIALNORM_SOFTMETAL_DIR": build},
    )
    site = subprocess.run(
        [python, "-I", "-c", "import sysconfig; print(sysconfig.get_path('platlib'))"],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout.strip()
    with open(os.path.join(site, "_spatialnorm_softmetal.py"), "w") as f:
        f.write(FINDER % site)
    with open(os.path.join(site, "spatialnorm_softmetal.pth"), "w") as f:
        f.write("import _spatialnorm_softmetal\n")
    with open(stamp, "w") as f:
        f.write(print_of_sources)


def main():
    root, build = sys.argv[1:3]
    venv = os.path.join(build, "venv")
    python = make_environment(venv, requirements(root))
    install(root, build, venv, python)


if __name__ == "__main__":
    main()
