"""Compiling with several processes, for a driver that compiles late and one kernel at a time.

PoCL makes a kernel's machine code when it is launched first, under one lock for the whole process,
and keeps it in a folder (its lib/CL/devices/common.c). So the kernels of a Program that is new to
the folder are compiled before they are needed: this process launches one work-group of each on
scratch memory, from the first to the last, while helpers do the same from other ends. Who comes
second to a kernel finds it in the folder. So nothing depends on a helper: one that dies has only
not helped. None outlives the loading by more than the kernel that it is at.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from hashlib import sha256
from math import ceil
from pathlib import Path
from tempfile import TemporaryFile
from typing import TypeAlias

from engine.emit import KernelSource

HELPERS_MAX = 3
"""A helper takes as much memory as the driver and its compiler: 230 MB for a step of the GPT."""

KERNELS_MIN = 12
"""Fewer are compiled before a helper has started."""

_HELPER = "from engine.opencl import help_compiling; help_compiling()"


Kernel: TypeAlias = tuple[int, str, int, Sequence[int]]
"""Its part, its name there, how many arguments it takes, its local size."""


@dataclass(frozen=True, slots=True)
class Work:
    """All that a process needs to compile the kernels of a Program."""

    device: int
    options: Sequence[str]
    prelude: str
    parts: Sequence[str]
    """OpenCL programs of about as many kernels each: one for each process."""
    kernels: Sequence[Kernel]
    """By parts."""
    scratch_bytes: int
    """Those of the largest argument."""

    def order(self, process: int) -> list[int]:
        """The kernels for a process: from the first for the one that loads, else from an end."""
        every = list(range(len(self.kernels)))
        end = sum(part <= process for part, *_ in self.kernels)
        return every[:end][::-1] + every[end:][::-1] if process else every


def divide(sources: Sequence[KernelSource], processes: int) -> tuple[list[str], list[Kernel]]:
    """The parts and the kernels of a `Work`, in the order of the sources."""
    size = ceil(len(sources) / processes)
    parts: list[str] = []
    kernels: list[Kernel] = []
    for start in range(0, len(sources), size or 1):
        texts = []
        for at, source in enumerate(sources[start : start + size], start):
            texts.append(source.text.replace("NAME", f"k{at}", 1))
            kernels.append((len(parts), f"k{at}", len(source.buffers), source.local_size))
        parts.append("\n".join(texts))
    return parts, kernels


def processes_for(kernels: int, compute_units: int) -> int:
    """How many processes should compile so many kernels."""
    return min(compute_units, 1 + HELPERS_MAX) if kernels >= KERNELS_MIN else 1


@contextmanager
def helping(work: Work) -> Iterator[None]:
    """Helpers compile meanwhile, one for each part but the first."""
    started: list[subprocess.Popen[bytes]] = []
    # Pinned, its thread might share our thread's processor.
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    environment["POCL_AFFINITY"] = "0"
    try:
        for process in range(1, len(work.parts)):
            with suppress(OSError), TemporaryFile("w+", encoding="utf-8") as order:
                json.dump([os.getpid(), process, asdict(work)], order)
                order.seek(0)
                started.append(
                    subprocess.Popen(
                        [sys.executable, "-c", _HELPER],
                        stdin=order,
                        stdout=subprocess.DEVNULL,
                        stderr=subprocess.DEVNULL,
                        env=environment,
                    )
                )
        yield
    finally:
        for helper in started:
            helper.kill()
            helper.wait()


def read_order() -> tuple[Work, Iterator[int]]:
    """In a helper: its work, and the kernels to compile for as long as its parent lives."""
    parent, process, fields = json.load(sys.stdin)
    work = Work(**fields)
    return work, (at for at in work.order(process) if os.getppid() == parent)


def pocl_cache() -> Path:
    """Where PoCL keeps what it compiled."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("POCL_CACHE_DIR") or Path(base) / "pocl" / "kcache")


def mark_of(work: Work) -> Path:
    """The file beside PoCL's compiled kernels that says that all of this work are among them."""
    digest = sha256(json.dumps(asdict(work)).encode()).hexdigest()
    return pocl_cache() / f"ainur-{digest[:32]}"
