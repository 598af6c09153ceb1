#!/bin/bash
# Builds emulated Metal, and a private Python environment whose spatialnorm uses it. The last line of
# its output is the launcher. Needs from Debian 12: clang-19 g++ make binutils libblocksruntime-dev python3
# (with venv), and the package index for metal-cpp's headers, NumPy and pytest.
#
# Environment: SOFTMETAL_BUILD_DIR (build/softmetal), METAL_CPP_DIR (a folder with Metal/Metal.hpp),
# SOFTMETAL_ONLY=1 (leave out the Python environment), PYTHON (python3).
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
BUILD=${SOFTMETAL_BUILD_DIR:-$root/build/softmetal}
mkdir -p "$BUILD"
BUILD=$(cd "$BUILD" && pwd)
PYTHON=${PYTHON:-python3}

for tool in "${HOST_CXX:-clang++-19}" g++ make nm addr2line "$PYTHON"; do
  command -v "$tool" >/dev/null || { echo "softmetal: missing program: $tool" >&2; exit 1; }
done
echo '#include <Block.h>' | g++ -E -x c++ - >/dev/null 2>&1 || { echo "softmetal: missing Debian package: libblocksruntime-dev" >&2; exit 1; }

# One build at a time.
exec 9>"$BUILD/lock"
flock 9

# The headers are fetched, never kept in the tree.
metal_cpp() {
  if [ -n "${METAL_CPP_DIR:-}" ]; then
    [ -f "$METAL_CPP_DIR/Metal/Metal.hpp" ] || { echo "softmetal: METAL_CPP_DIR=$METAL_CPP_DIR has no Metal/Metal.hpp" >&2; return 1; }
    (cd "$METAL_CPP_DIR" && pwd)
    return
  fi
  local folder="$BUILD/metal-cpp-367.4.2"
  if [ ! -f "$folder/Metal/Metal.hpp" ]; then
    local download
    download=$(mktemp -d "$BUILD/download.XXXXXX")
    "$PYTHON" -m pip download -q --no-deps --no-binary :all: -d "$download" pymetal-cpp==0.1.5 >&2
    tar -xzf "$download"/pymetal_cpp-0.1.5.tar.gz -C "$download"
    rm -rf "$folder"
    mv "$download/pymetal_cpp-0.1.5/thirdparty/metal-cpp" "$folder"
    rm -rf "$download"
  fi
  echo "$folder"
}
METAL_CPP=$(metal_cpp)

# A change of headers is not seen by their time stamps.
if [ "$(cat "$BUILD/metal-cpp-used" 2>/dev/null)" != "$METAL_CPP" ]; then
  rm -rf "$BUILD/obj/tests"
  echo "$METAL_CPP" >"$BUILD/metal-cpp-used"
fi
nice make -s -j2 -f "$here/softmetal.mk" BUILD="$BUILD" METAL_CPP="$METAL_CPP" HOST_CXX="${HOST_CXX:-clang++-19}"

# What native/build_native.py reads (SPATIALNORM_SOFTMETAL_DIR).
echo "-fblocks -isystem $here/sysinclude -isystem $METAL_CPP" >"$BUILD/cxxflags"
echo "-L$BUILD/lib -lsoftmetal -lBlocksRuntime -Wl,-rpath,$BUILD/lib" >"$BUILD/ldflags"

if [ "${SOFTMETAL_ONLY:-0}" != 1 ]; then
  "$PYTHON" "$here/environment.py" "$root" "$BUILD" >&2
fi
echo "$here/run"
