"""One kernel of each design compiled for an NVIDIA GPU by NVRTC, which needs no GPU and no CUDA toolkit."""

import ctypes
import importlib.metadata
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import msl


def located(package, name):
    """Return the path of an installed package's file, or skip."""
    try:
        files = importlib.metadata.files(package) or []
    except importlib.metadata.PackageNotFoundError:
        pytest.skip(f"needs the package {package}")
    found = [f.locate() for f in files if f.name.startswith(name)]
    if not found:
        pytest.skip(f"the package {package} has no {name}")
    return Path(found[0])


@pytest.fixture(scope="module")
def nvrtc():
    return ctypes.CDLL(str(located("nvidia-cuda-nvrtc", "libnvrtc.so")))


def compiled(nvrtc, text, options):
    """Return (whether NVRTC compiled the text, what it said)."""
    program, size = ctypes.c_void_p(), ctypes.c_size_t()
    assert nvrtc.nvrtcCreateProgram(ctypes.byref(program), text.encode(), b"kernels.cu", 0, None, None) == 0
    status = nvrtc.nvrtcCompileProgram(program, len(options), (ctypes.c_char_p * len(options))(*options))
    nvrtc.nvrtcGetProgramLogSize(program, ctypes.byref(size))
    log = ctypes.create_string_buffer(size.value)
    nvrtc.nvrtcGetProgramLog(program, log)
    nvrtc.nvrtcDestroyProgram(ctypes.byref(program))
    return status == 0, log.value.decode()


@pytest.mark.parametrize("planted", [False, True], ids=["as it is", "planted error"])
def test_kernels_compile(nvrtc, planted):
    include = located("nvidia-cuda-runtime", "cuda_fp16.h").parent
    options = [b"--gpu-architecture=sm_90", b"-std=c++17", b"-default-device"]
    options += [f"-I{folder}".encode() for folder in (msl.HERE / "compat", include)]
    library = msl.load()
    names = [
        "spatial_forward_plain_float",
        "spatial_parameter_gradients_half",
        "spatial_square_sums_bfloat",
        "spatial_gradient_small_half",
        "spatial_gradient_planes_half_5_7",
        "spatial_gradient_simd_half_5_4",
        "spatial_gradient_strip_bfloat_15_2",
        "spatial_forward_strip_float_31_1",
        "spatial_gradient_interleaved_bfloat_5_2",
        "spatial_forward_columns_half_5_2",
    ]
    instances = library.named(names)
    assert len(instances) == len(names)
    if planted:
        library = msl.Library(library.text.replace("place.inside", "place.outside"), library.instances)
    done, log = compiled(nvrtc, msl.source(library, instances, "cuda"), options)
    assert done != planted, log
    if planted:
        assert "outside" in log
