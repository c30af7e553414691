"""The OpenCL backend: devices, memory, launches. The only module that imports pyopencl.

A Program becomes one OpenCL program whose kernels have their arguments bound once; a call only
rebinds its inputs and outputs and enqueues. The queue runs in order, so memory whose last use has
been enqueued can be handed out again at once. What a driver raises leaves here as a DeviceError.
"""

import os
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TypeAlias, cast
from weakref import WeakValueDictionary

import numpy as np
import pyopencl as cl
import pyopencl.tools
from numpy.typing import NDArray

from engine.ahead import Work, divide, helping, mark_of, processes_for, read_order
from engine.arithmetic import canonical_input
from engine.backend import Buffer, DeviceInfo, checked_inputs
from engine.debug import kernel_lines, muted, plan_lines, schedule_lines, show
from engine.dtypes import DType, from_numpy
from engine.emit import KernelSource, Target
from engine.errors import DeviceError, UsageError
from engine.kernels import generate
from engine.matmul import PRELUDE as MATMUL_PRELUDE
from engine.matmul import group_side
from engine.planner import lifetimes
from engine.planner import plan as place
from engine.prelude import PRELUDE, SOFTWARE_PRELUDE
from engine.program import Program
from engine.reduction import in_blocks
from engine.schedule import schedule
from engine.tuning import default_tile, remembered
from engine.vectors import check_device

Array: TypeAlias = NDArray[np.generic]

_POCL = "Portable Computing Language"


@contextmanager
def _device_errors(what: str) -> Iterator[None]:
    """Every failure of the driver as a DeviceError that says what was being done."""
    try:
        yield
    except cl.Error as error:
        raise DeviceError(f"{what}: {error}") from error


def list_devices() -> list[DeviceInfo]:
    """Every device of every platform; empty without a driver."""
    return [_describe(index, device) for index, device in enumerate(_devices())]


def _devices() -> list[cl.Device]:
    _pin_threads()
    try:
        platforms = cl.get_platforms()
    except cl.Error:  # the loader found no driver
        return []
    devices = []
    for platform in platforms:
        try:
            devices += platform.get_devices()
        except cl.Error:  # a driver without a device
            continue
    return devices


def _pin_threads() -> None:
    """Have PoCL keep each thread on a processor: else the system wakes all of them on one of them.

    A launch of a millisecond is over before they are spread. Not where processors or threads
    were chosen from outside, for which PoCL's numbering does not fit.
    """
    everywhere = hasattr(os, "sched_getaffinity") and len(os.sched_getaffinity(0)) == os.cpu_count()
    if everywhere and "POCL_MAX_PTHREAD_COUNT" not in os.environ:
        os.environ.setdefault("POCL_AFFINITY", "1")


def _describe(index: int, device: cl.Device) -> DeviceInfo:
    kinds = cl.device_type
    kind = next(
        (
            name
            for flag, name in (
                (kinds.GPU, "gpu"),
                (kinds.CPU, "cpu"),
                (kinds.ACCELERATOR, "accelerator"),
            )
            if device.type & flag
        ),
        "custom",
    )
    return DeviceInfo(
        index=index,
        platform=device.platform.name.strip(),
        name=device.name.strip(),
        driver=device.driver_version.strip(),
        memory_bytes=device.global_mem_size,
        kind=kind,
        compute_units=device.max_compute_units,
    )


@dataclass(frozen=True, slots=True)
class DeviceBuffer:
    """A tensor in the device's memory, given back to the backend's pool with the last reference."""

    backend: "OpenCLBackend"
    memory: cl.Buffer
    dtype: DType
    shape: tuple[int, ...]

    def numpy(self) -> Array:
        """A copy of the elements; waits for the device."""
        array = np.empty(self.shape, self.dtype.numpy)
        with _device_errors(f"{self.backend.name}: reading {self.dtype.name} {self.shape}"):
            cl.enqueue_copy(self.backend.queue, array, self.memory)
        return array


class OpenCLBackend:
    """One device with its context, its queue and its memory."""

    def __init__(
        self, device: cl.Device, info: DeviceInfo, options: Sequence[str], prelude: str = ""
    ) -> None:
        self.name = f"{info.platform} / {info.name}"
        self.info = info
        self._made = device, info, options, prelude
        self.default_tile = default_tile(device.native_vector_width_float, info.driver)
        self.target = Target(
            info.kind != "cpu",
            info.compute_units,
            remembered(info, self.default_tile),
            group_side(device.max_work_group_size, device.local_mem_size),
        )
        self.allocation_bytes_max: int = device.max_mem_alloc_size
        self.alignment: int = device.mem_base_addr_align // 8
        with _device_errors(self.name):
            self.context = cl.Context([device])
            self.queue = cl.CommandQueue(self.context)
            allocator = cl.tools.ImmediateAllocator(self.queue)
            self._pool = cl.tools.MemoryPool(allocator, leading_bits_in_bin_id=4)
        self._options = list(options)
        self._prelude = prelude + PRELUDE + MATMUL_PRELUDE
        self._loaded: WeakValueDictionary[bytes, OpenCLProgram] = WeakValueDictionary()

    def load(self, program: Program) -> "OpenCLProgram":
        """Compile a validated Program; the same one is compiled once."""
        digest = program.digest
        loaded = self._loaded.get(digest)
        if loaded is None:
            loaded = OpenCLProgram(self, program)
            self._loaded[digest] = loaded
        return loaded

    def retargeted(self, target: Target) -> "OpenCLBackend":
        """The same device, given other kernels of the same bits."""
        other = OpenCLBackend(*self._made)
        other.target = target
        return other

    def with_tile(self, tile: tuple[int, int, int]) -> "OpenCLBackend":
        """The same device with another register tile for matrix products."""
        return self.retargeted(replace(self.target, tile=tile))

    def upload(self, array: Array) -> DeviceBuffer:
        """Copy an array to the device."""
        dtype = from_numpy(array.dtype)
        array = np.ascontiguousarray(canonical_input(array)).reshape(array.shape)
        (memory,) = self.allocate(array.nbytes)
        with _device_errors(f"{self.name}: writing {dtype.name} {array.shape}"):
            cl.enqueue_copy(self.queue, memory, array)
        return DeviceBuffer(self, memory, dtype, array.shape)

    def allocate(self, *sizes: int) -> list[cl.Buffer]:
        """Uninitialised device memory, given back with the last reference to it."""
        self.check_fits(*sizes)
        with _device_errors(f"{self.name}: allocating {sum(sizes)} bytes"):
            # The stubs do not know that pooled memory can be bound and copied like any other.
            return [cast(cl.Buffer, self._pool.allocate(size)) for size in sizes]

    def arena(self, size: int) -> cl.Buffer:
        """Memory for the intermediate tensors of a Program."""
        with _device_errors(f"{self.name}: allocating {size} bytes"):
            return cl.Buffer(self.context, cl.mem_flags.READ_WRITE, size)

    def check_fits(self, *sizes: int) -> None:
        """Raise DeviceError, before anything is allocated, if these buffers would not fit."""
        arenas = sum(sum(loaded.memory_plan.arenas) for loaded in self._loaded.values())
        total, held = sum(sizes), self._pool.active_bytes + arenas
        if held + total > self.info.memory_bytes:
            raise DeviceError(
                f"{self.name}: {total} bytes are needed and {held} are in use, "
                f"the device has {self.info.memory_bytes}; use a smaller model or batch"
            )
        if max(sizes, default=0) > self.allocation_bytes_max:
            raise DeviceError(
                f"{self.name}: a tensor of {max(sizes)} bytes is needed, the device allows "
                f"{self.allocation_bytes_max} at once; use a smaller model or batch"
            )

    def compile(
        self, sources: Sequence[KernelSource], scratch_bytes: int
    ) -> dict[str, tuple[cl.Program, str]]:
        """Build kernels whose arguments have at most so many bytes: where each text is, as what."""
        distinct = {source.text: source for source in sources}
        _, info, options, prelude = self._made
        late = info.platform == _POCL
        processes = processes_for(len(distinct), info.compute_units) if late else 1
        parts, kernels = divide(list(distinct.values()), processes)
        work = Work(info.index, options, prelude, parts, kernels, scratch_bytes)
        built: dict[int, cl.Program] = {}
        if len(parts) > 1 and not mark_of(work).exists():
            # What fails is met again below, or when it runs.
            with suppress(DeviceError, OSError), helping(work):
                self.compile_ahead(work, work.order(0), built)
                mark_of(work).touch()
        for part, text in enumerate(parts):
            built[part] = built.get(part) or self.build(text)
        places = ((built[part], name) for part, name, *_ in kernels)
        return dict(zip(distinct, places, strict=True))

    def compile_ahead(self, work: Work, order: Iterable[int], built: dict[int, cl.Program]) -> None:
        """Launch a work-group of each kernel on scratch memory, so that it is compiled."""
        scratch = self.arena(work.scratch_bytes)
        for part, name, arguments, local_size in (work.kernels[at] for at in order):
            if part not in built:
                built[part] = self.build(work.parts[part])
            with _device_errors(f"{self.name}: compiling"):
                kernel = cl.Kernel(built[part], name)
                for position in range(arguments):
                    kernel.set_arg(position, scratch)
                cl.enqueue_nd_range_kernel(self.queue, kernel, tuple(local_size), tuple(local_size))
                self.queue.finish()

    def build(self, source: str) -> cl.Program:
        """Compile kernels."""
        with _device_errors(f"{self.name}: building"), warnings.catch_warnings():
            # Some drivers have something to say about every program.
            warnings.simplefilter("ignore", cl.CompilerWarning)
            program: cl.Program = cl.Program(self.context, self._prelude + source)
            program.build(self._options)
            return program


@dataclass(frozen=True, slots=True)
class _Launch:
    """A kernel with its constant arguments bound; `bindings` are (argument, node) set per call."""

    kernel: cl.Kernel
    global_size: tuple[int, ...]
    local_size: tuple[int, ...]
    bindings: tuple[tuple[int, int], ...]


class OpenCLProgram:
    """A Program compiled for one device."""

    def __init__(self, backend: OpenCLBackend, program: Program) -> None:
        self.program = program
        self._backend = backend
        program = self._blocked = in_blocks(program)
        plan = schedule(program)
        show("schedule", schedule_lines, program, plan)
        sources = generate(program, plan, backend.target)
        show("kernels", kernel_lines, sources)
        inputs = {index for _, index in program.inputs}
        self._fresh = sorted({index for _, index in program.outputs} - inputs)
        bound = inputs.union(self._fresh)
        used = [source.buffers for source in sources]
        sizes = {i: program.nodes[i].bytes for i in {i for u in used for i in u} - bound}
        self.lifetimes = lifetimes(used, sizes)
        self.memory_plan = place(self.lifetimes, backend.alignment, backend.allocation_bytes_max)
        show("plan", plan_lines, sources, self.memory_plan)
        self._fresh_bytes = [program.nodes[i].bytes for i in self._fresh]
        backend.check_fits(
            *self.memory_plan.arenas, *self._fresh_bytes, *(program.nodes[i].bytes for i in inputs)
        )
        self._arenas = [backend.arena(size) for size in self.memory_plan.arenas]
        with _device_errors(f"{backend.name}: preparing memory"):
            # Kernels do not keep their arguments alive.
            self._parts = {
                i: self._arenas[arena].get_sub_region(offset, sizes[i])
                for i, (arena, offset) in self.memory_plan.places.items()
            }
        self._launches = self._bind(sources, self._parts)

    def _bind(
        self, sources: Sequence[KernelSource], memory: Mapping[int, cl.Buffer]
    ) -> list[_Launch]:
        largest = max((self._blocked.nodes[i].bytes for s in sources for i in s.buffers), default=0)
        built = self._backend.compile(sources, largest)
        launches = []
        with _device_errors(f"{self._backend.name}: preparing kernels"):
            for source in sources:
                kernel = cl.Kernel(*built[source.text])
                bindings = []
                for position, index in enumerate(source.buffers):
                    if index in memory:
                        kernel.set_arg(position, memory[index])
                    else:
                        bindings.append((position, index))
                launches.append(
                    _Launch(kernel, source.global_size, source.local_size, tuple(bindings))
                )
        return launches

    def __call__(self, inputs: Mapping[str, Buffer | Array]) -> dict[str, Buffer]:
        """Enqueue one run; see `engine.backend.Loaded`."""
        given = checked_inputs(self.program, inputs)
        buffers = {
            index: self._on_device(name, given[name]) for name, index in self._blocked.inputs
        }
        fresh = self._backend.allocate(*self._fresh_bytes)
        for index, memory in zip(self._fresh, fresh, strict=True):
            node = self._blocked.nodes[index]
            buffers[index] = DeviceBuffer(self._backend, memory, node.dtype, node.shape)
        queue = self._backend.queue
        with _device_errors(f"{self._backend.name}: running"):
            for launch in self._launches:
                for position, index in launch.bindings:
                    launch.kernel.set_arg(position, buffers[index].memory)
                cl.enqueue_nd_range_kernel(
                    queue, launch.kernel, launch.global_size, launch.local_size
                )
            queue.flush()
        return {name: buffers[index] for name, index in self._blocked.outputs}

    def _on_device(self, name: str, value: Buffer | Array) -> DeviceBuffer:
        if isinstance(value, np.ndarray):
            return self._backend.upload(value)
        if not isinstance(value, DeviceBuffer) or value.backend is not self._backend:
            raise UsageError(f"input {name!r} lives on another backend; pass value.numpy()")
        return value


@dataclass(frozen=True, slots=True)
class _Variant:
    """A way to get the defined bits from a driver."""

    options: tuple[str, ...]
    prelude: str = ""


def help_compiling() -> None:
    """All that a helper process of engine/ahead.py does."""
    work, order = read_order()
    device = _devices()[work.device]
    backend = OpenCLBackend(device, _describe(work.device, device), work.options, work.prelude)
    backend.compile_ahead(work, order, {})


_opened: dict[int, OpenCLBackend] = {}


def open_device(index: int) -> OpenCLBackend:
    """The backend for a device, checked against the golden vectors once per process.

    Raises DeviceError, with the differences, if no way of compiling for it gives the defined bits.
    """
    if index not in _opened:
        _opened[index] = _open(_devices()[index], index)
    return _opened[index]


def _open(device: cl.Device, index: int) -> OpenCLBackend:
    info = _describe(index, device)
    reasons: list[str] = []
    for variant in _variants(device):
        backend = OpenCLBackend(device, info, variant.options, variant.prelude)
        try:
            with muted():
                failures = check_device(backend)
        except DeviceError as error:
            reasons.append(str(error))
            continue
        if not failures:
            return backend
        reasons.append(f"{failures[0]} (and {len(failures) - 1} more)")
    raise DeviceError(
        f"{info.platform} / {info.name}, driver {info.driver}, does not return the defined bits "
        f"and cannot take part: {'; '.join(dict.fromkeys(reasons))}; "
        "update its driver or choose another device"
    )


def _variants(device: cl.Device) -> list[_Variant]:
    """What to try, the fastest first.

    PoCL does not inline its built-in functions; the compiler's own ones become instructions. Where
    division and square root are not correctly rounded they are computed with integers.
    """
    quiet = ("-w",)
    exact = device.single_fp_config & cl.device_fp_config.CORRECTLY_ROUNDED_DIVIDE_SQRT
    software = _Variant((*quiet, "-DDIV=software_div", "-DSQRT=software_sqrt"), SOFTWARE_PRELUDE)
    if not exact:
        return [_Variant(quiet), software]
    plain = (*quiet, "-cl-fp32-correctly-rounded-divide-sqrt")
    if device.platform.name.strip() == _POCL:
        inlined = ("-DFMA=__builtin_fmaf", "-DSQRT=__builtin_sqrtf")
        return [_Variant((*plain, *inlined)), _Variant(plain), software]
    return [_Variant(plain), software]
