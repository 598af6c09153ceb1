"""An NVIDIA GPU through CUDA's driver interface: memory, modules, launches. No framework, so that
compute-sanitizer sees little but our kernels."""

from __future__ import annotations

import ctypes
import os
from concurrent.futures import ThreadPoolExecutor

import msl
import numpy as np
from report import parts


class CudaError(RuntimeError):
    pass


def why_not() -> str | None:
    """Say why there is no GPU to run on, or return None."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return "no NVIDIA driver (libcuda.so.1) on this machine"
    count = ctypes.c_int()
    if driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count)) or not count.value:
        return "no NVIDIA GPU on this machine"
    return None


def compiled(library, instances):
    """Compile the instances, on all processors: [(those of a part, its cubin)]."""
    work = parts(library, list(instances))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(zip(work, pool.map(lambda part: msl.cuda(library, part)[0], work), strict=True))


class Gpu:
    """The first GPU's primary context, which PyTorch shares."""

    def __init__(self):
        self.driver = ctypes.CDLL("libcuda.so.1")
        self.check(self.driver.cuInit(0), "cuInit")
        device, context = ctypes.c_int(), ctypes.c_void_p()
        self.check(self.driver.cuDeviceGet(ctypes.byref(device), 0), "cuDeviceGet")
        self.check(self.driver.cuDevicePrimaryCtxRetain(ctypes.byref(context), device), "cuDevicePrimaryCtxRetain")
        self.check(self.driver.cuCtxSetCurrent(context), "cuCtxSetCurrent")
        name = ctypes.create_string_buffer(100)
        self.driver.cuDeviceGetName(name, 100, device)
        self.name = name.value.decode()
        cores = ctypes.c_int()
        self.check(self.driver.cuDeviceGetAttribute(ctypes.byref(cores), 16, device), "cuDeviceGetAttribute")
        self.multiprocessors = cores.value
        self.functions = {}

    def check(self, status, what):
        if status:
            text = ctypes.c_char_p()
            self.driver.cuGetErrorString(status, ctypes.byref(text))
            raise CudaError(f"{what}: {(text.value or b'unknown error').decode()}")

    def load(self, library, instances):
        """Compile and load the instances; they are launched by name."""
        for part, cubin in compiled(library, instances):
            module = ctypes.c_void_p()
            self.check(self.driver.cuModuleLoadData(ctypes.byref(module), cubin.read_bytes()), "cuModuleLoadData")
            for instance in part:
                function = ctypes.c_void_p()
                self.check(
                    self.driver.cuModuleGetFunction(ctypes.byref(function), module, instance.name.encode()),
                    instance.name,
                )
                self.functions[instance.name] = function

    def alloc(self, size):
        pointer = ctypes.c_uint64()
        self.check(self.driver.cuMemAlloc_v2(ctypes.byref(pointer), ctypes.c_size_t(max(size, 16))), "cuMemAlloc")
        return pointer.value

    def free(self, pointer):
        self.check(self.driver.cuMemFree_v2(ctypes.c_uint64(pointer)), "cuMemFree")

    def upload(self, pointer, array):
        self.check(
            self.driver.cuMemcpyHtoD_v2(
                ctypes.c_uint64(pointer), ctypes.c_void_p(array.ctypes.data), ctypes.c_size_t(array.nbytes)
            ),
            "upload",
        )

    def download(self, array, pointer):
        self.check(
            self.driver.cuMemcpyDtoH_v2(
                ctypes.c_void_p(array.ctypes.data), ctypes.c_uint64(pointer), ctypes.c_size_t(array.nbytes)
            ),
            "download",
        )

    def run(self, launch, operands, scratch=0, stream=0, rename=None):
        """Enqueue a launch (launch.make_launch) on device addresses."""
        for dispatch in launch.dispatches:
            values = []
            for binding in dispatch.bindings[: dispatch.n_bindings]:
                start = operands[binding.index] if binding.kind == 0 else scratch
                values.append(ctypes.c_uint64(start + binding.offset))
            values.append(dispatch.params)
            pointers = (ctypes.c_void_p * len(values))(*[ctypes.addressof(v) for v in values])
            name = dispatch.kernel.decode()
            function = self.functions[(rename or {}).get(name, name)]
            self.check(
                self.driver.cuLaunchKernel(
                    function, dispatch.groups, 1, 1, dispatch.threads, 1, 1, 0, ctypes.c_void_p(stream), pointers, None
                ),
                name,
            )

    def groups_at_once(self, name, threads):
        """Threadgroups of the kernel that run at a time."""
        groups = ctypes.c_int()
        self.check(
            self.driver.cuOccupancyMaxActiveBlocksPerMultiprocessor(
                ctypes.byref(groups), self.functions[name], threads, ctypes.c_size_t(0)
            ),
            "cuOccupancyMaxActiveBlocksPerMultiprocessor",
        )
        return groups.value * self.multiprocessors

    def synchronize(self):
        self.check(self.driver.cuCtxSynchronize(), "a kernel")


def place(pointer, base, view):
    """Where the view's first element lies when its memory `base` has been copied to `pointer`."""
    return pointer + view.ctypes.data - base.ctypes.data


def run_case(gpu, make_launch, case, images):
    """Run the case's launch on copies of the images; return the bytes of scratch, with the output downloaded."""
    launch = make_launch(case.operation, case.shape, [view.strides for _, view in images])
    pointers = [gpu.alloc(base.nbytes) for base, _ in images]
    scratch_host = np.full(launch.scratch_bytes, 0xA5, np.uint8)
    scratch = gpu.alloc(launch.scratch_bytes)
    try:
        for pointer, (base, _) in zip(pointers, images, strict=True):
            gpu.upload(pointer, base)
        gpu.upload(scratch, scratch_host)
        gpu.run(launch, [place(p, base, view) for p, (base, view) in zip(pointers, images, strict=True)], scratch)
        gpu.synchronize()
        for pointer, (base, _) in zip(pointers, images, strict=True):
            gpu.download(base, pointer)
        gpu.download(scratch_host, scratch)
    finally:
        for pointer in [*pointers, scratch]:
            gpu.free(pointer)
    return scratch_host, launch
