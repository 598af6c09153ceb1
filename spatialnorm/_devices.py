"""Devices, threads, and what this installation is made of."""

from __future__ import annotations

import operator
import os
import platform
import sys
from dataclasses import dataclass
from typing import SupportsIndex

import numpy

from spatialnorm import _core

AUTO = -1  # as _core counts


@dataclass(frozen=True)
class Device:
    """Something that runs the operation.

    Attributes
    ----------
    name : str
        "CPU", or the system's name of a Metal device.
    kind : str
        "cpu" or "metal": what `device=` takes.
    description : str
        The instruction set in use, or why the device cannot run.
    available : bool
        Whether it can run here.
    """

    name: str
    kind: str
    description: str
    available: bool = True


def devices() -> list[Device]:
    """List the devices of this machine, also those that cannot run, with the reason.

    Returns
    -------
    list of Device
        The CPU first.
    """
    return [Device(name, kind, text, available) for _, available, kind, name, text in _core.devices()]


def device_number(device: str | Device) -> int:
    """Find the device's number in the C interface.

    Raises
    ------
    RuntimeError
        There is no such device here, or it cannot run.
    """
    if device == "auto":
        return AUTO
    reason = "is not on this machine"
    for number, available, kind, name, description in _core.devices():
        if device in (kind, Device(name, kind, description, available)):
            if available or kind == "cpu":  # the CPU's own words come from the core, when it is asked for a plan
                return number
            reason = f"cannot run here: {name}: {description}"
            break
    label = repr(device) if isinstance(device, str) else repr(device.name)
    raise RuntimeError(f"device {label} {reason}")


def may_be_metal(device: str | Device) -> bool:
    """Whether work for this device may go to Metal."""
    kind = device if isinstance(device, str) else device.kind
    return kind == "metal" or (kind == "auto" and any(d.kind == "metal" and d.available for d in devices()))


def set_num_threads(n: SupportsIndex | None) -> None:
    """Set how many threads one call may use.

    Parameters
    ----------
    n : int or None
        At least 1, the calling thread included. None restores the default: ``SPATIALNORM_NUM_THREADS``,
        or what the process's affinity and control group allow.

    Raises
    ------
    ValueError
        `n` is less than 1, or no integer.
    """
    try:
        count = 0 if n is None else operator.index(n)
    except TypeError:
        count = -1
    if n is not None and (count < 1 or count >= 2**31 or isinstance(n, bool)):
        raise ValueError(f"n must be an int, at least 1, or None for the default, not {n!r}")
    _core.set_num_threads(count)


def get_num_threads() -> int:
    """Tell how many threads one call may use, the calling thread included.

    Returns
    -------
    int
    """
    return _core.get_num_threads()


def metal_stats() -> dict[str, int]:
    """Count what the Metal devices did in this process; all zero where there are none.

    Take the difference of two calls to see what a run cost.

    Returns
    -------
    dict of str to int
        ``runs``
            Completed runs of a plan.
        ``command_buffers``
            Committed command buffers, each with one wait.
        ``wrapped_buffers``
            Operands used where they lie, without a copy.
        ``staged_buffers``
            Operands copied to or from memory of Metal's, for one of the three reasons that follow.
        ``refused_buffers``
            The system refused to wrap their pages (`empty` makes arrays that have pages of their own).
        ``misaligned_buffers``
            Their address or strides are no multiples of their itemsize.
        ``in_place_buffers``
            Outputs that are an input too: other threads may still read what one thread would write.
        ``staged_bytes``
            Bytes in all those copies.
        ``allocated_buffers``
            Buffers of Metal's memory made for copies and scratch; later runs use them again.
        ``pipelines``
            Kernels compiled.
    """
    return _core.metal_stats()


def config() -> dict[str, str]:
    """Facts on this installation, as `show_config` prints them."""
    facts = {
        "spatialnorm": _core.version(),
        "python": f"{platform.python_version()} ({sys.implementation.name}), {platform.machine()} {platform.system()}",
        "numpy": numpy.__version__,
        "package": os.path.dirname(os.path.abspath(__file__)),
    }
    try:
        facts["instruction set"] = _core.isa()
    except RuntimeError as error:
        facts["instruction set"] = f"none: {error}"
    facts["threads"] = str(get_num_threads())
    for device in devices():
        state = "" if device.available else "cannot run: "
        facts[f"device {device.kind!r}"] = f"{device.name}: {state}{device.description}"
    return facts


def show_config() -> None:
    """Print version, build, instruction set, threads and devices."""
    for name, value in config().items():
        print(f"{name:>16}  {value}")
