"""What executes Programs: the protocols, the choice of a device, the default.

A Backend loads validated Programs and runs them; every backend returns the same bits. The reference
backend is always there; OpenCL is imported only when a device is asked for, so that importing the
engine needs no driver.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from engine.dtypes import DType, from_numpy
from engine.errors import DeviceError, UsageError
from engine.program import Program

Array: TypeAlias = NDArray[np.generic]


class Buffer(Protocol):
    """A tensor that a backend holds, immutable; it lives as long as it is referenced."""

    @property
    def dtype(self) -> DType:
        """The element type."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape, row-major."""

    def numpy(self) -> Array:
        """A copy of the elements; waits for the device and raises DeviceError if it failed."""


class Loaded(Protocol):
    """A Program made ready for one backend."""

    @property
    def program(self) -> Program:
        """The Program that was loaded."""

    def __call__(self, inputs: Mapping[str, "Buffer | Array"]) -> dict[str, Buffer]:
        """Run once with exactly the Program's inputs; may return before the device is done.

        Outputs stay on the device and can be passed to the next call without a copy. A missing or
        unknown name, a wrong dtype or shape, or a Buffer of another backend raises UsageError.
        """


class Backend(Protocol):
    """Something that executes Programs."""

    @property
    def name(self) -> str:
        """What to call it in a message."""

    def load(self, program: Program) -> Loaded:
        """Make a validated Program ready; raises DeviceError where it does not fit the device."""

    def upload(self, array: Array) -> Buffer:
        """Copy an array of one of the engine's dtypes to the device."""


@dataclass(frozen=True, slots=True)
class DeviceInfo:
    """One OpenCL device of one platform."""

    index: int
    platform: str
    name: str
    driver: str
    memory_bytes: int
    kind: str  # "gpu", "cpu", "accelerator" or "custom"
    compute_units: int


def list_devices() -> list[DeviceInfo]:
    """Every device of every OpenCL platform, in the order of the drivers; empty without any."""
    _keep_pyopencl_off_disk()
    from engine import opencl

    return opencl.list_devices()


def open_backend(selector: str = "") -> Backend:
    """The backend that `selector` names.

    "reference" is numpy; "" is the best OpenCL device, GPUs first; a number is an index into
    `list_devices()`; anything else is matched against platform and device names. Raises DeviceError
    if there is no such device or if its bits differ from the golden vectors.
    """
    if selector == "reference":
        from engine.reference import ReferenceBackend

        return ReferenceBackend()
    from engine import opencl

    return opencl.open_device(_choose(list_devices(), selector).index)


def _keep_pyopencl_off_disk() -> None:
    """Drivers cache what they compile; pyopencl's own caches only make processes wait in line."""
    os.environ.setdefault("PYOPENCL_NO_CACHE", "1")


def _choose(devices: list[DeviceInfo], selector: str) -> DeviceInfo:
    """The device that `selector` means; among several the best one."""
    if not devices:
        raise DeviceError(
            "no OpenCL device found; install a GPU driver with OpenCL, or pip install 'ainur[pocl]'"
        )
    matching = [d for d in devices if _matches(d, selector.strip())]
    if not matching:
        known = "; ".join(f"{d.index}: {d.platform} / {d.name}" for d in devices)
        raise DeviceError(f"no OpenCL device matches {selector!r}; there are {known}")
    return max(matching, key=lambda d: (_RANK.get(d.kind, 0), d.compute_units, -d.index))


_RANK = {"gpu": 3, "accelerator": 2, "cpu": 1}


def _matches(device: DeviceInfo, selector: str) -> bool:
    if selector.isdecimal():
        return device.index == int(selector)
    return selector.lower() in f"{device.platform} {device.name}".lower()


def checked_inputs(
    program: Program, inputs: "Mapping[str, Buffer | Array]"
) -> "dict[str, Buffer | Array]":
    """`inputs` if they are exactly what the Program names, else UsageError."""
    types = program.input_types
    if inputs.keys() != types.keys():
        missing = sorted(types.keys() - inputs.keys())
        unknown = sorted(inputs.keys() - types.keys())
        raise UsageError(f"inputs do not match the program: missing {missing}, unknown {unknown}")
    # A numpy scalar is not an array, but means one without axes.
    given = {n: v if hasattr(v, "numpy") else np.asarray(v) for n, v in inputs.items()}
    for name, value in given.items():
        dtype = _dtype_of(name, value)
        if (dtype, tuple(value.shape)) != types[name]:
            raise UsageError(
                f"input {name!r} is {dtype.name} {tuple(value.shape)}, "
                f"the program takes {types[name].dtype.name} {types[name].shape}"
            )
    return given


def _dtype_of(name: str, value: "Buffer | Array") -> DType:
    if not isinstance(value, np.ndarray):
        return value.dtype
    try:
        return from_numpy(value.dtype)
    except KeyError:
        known = ", ".join(str(d.numpy) for d in DType)
        raise UsageError(f"input {name!r} has dtype {value.dtype}; cast it to {known}") from None


_default: Backend | None = None


def default_backend() -> Backend:
    """The backend that `Tensor.numpy()` uses: the reference unless another was set."""
    if _default is None:
        set_default_backend(open_backend("reference"))
        return default_backend()
    return _default


def set_default_backend(backend: Backend | None) -> None:
    """Choose the backend for `Tensor.numpy()`; None goes back to the reference."""
    global _default
    _default = backend
