"""What each stage makes of a computation, printed on request.

AINUR_DEBUG names stages, joined by commas; each prints to stderr when it has run:

    graph      the values that the outputs are made of, as Tensor's methods built them
    program    the table that is lowered from it, and its digest
    schedule   which nodes each kernel computes, and from what
    kernels    the OpenCL C of every kernel, without the prelude that all share
    plan       the launches, and the memory that passes results between them

docs/engine.md reads one step that way. Any other word is left to others: AINUR_DEBUG=1 makes the
command line print tracebacks.
"""

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np

from engine.dtypes import DType
from engine.emit import KernelSource
from engine.graph import Value, topological
from engine.ops import Op
from engine.planner import Plan
from engine.program import Node, Program
from engine.schedule import Schedule

_muted: list[None] = []


@contextmanager
def muted() -> Iterator[None]:
    """Print nothing meanwhile: of a device's admission, say."""
    _muted.append(None)
    try:
        yield
    finally:
        _muted.pop()


def show(stage: str, lines: Callable[..., Iterable[str]], *args: object) -> None:
    """Print a stage's lines if they are asked for; nothing is formatted otherwise."""
    if not _muted and stage in os.environ.get("AINUR_DEBUG", "").split(","):
        print(f"[{stage}]", *lines(*args), "", sep="\n", file=sys.stderr)


def graph_lines(outputs: Mapping[str, Value], inputs: Mapping[str, Value]) -> Iterator[str]:
    """The values, inputs first."""
    names = {value: name for name, value in inputs.items()}
    numbers: dict[Value, str] = {}
    for value in topological(list(outputs.values()), lambda v: () if v in names else v.inputs):
        numbers[value] = f"v{len(numbers)}"
        below = [names[value]] if value in names else [numbers[i] for i in value.inputs]
        yield _line(numbers[value], value.kind.name, value, below)
    yield from (f"{name}: {numbers[value]}" for name, value in sorted(outputs.items()))


def program_lines(program: Program) -> Iterator[str]:
    """The table."""
    names = {index: name for name, index in program.inputs}
    for index, node in enumerate(program.nodes):
        below = [names[index]] if index in names else [f"n{i}" for i in node.inputs]
        yield _line(f"n{index}", node.op.name, node, below)
    yield from (f"{name}: n{index}" for name, index in program.outputs)
    yield f"{len(program.to_bytes())} bytes, digest {program.digest.hex()}"


def schedule_lines(program: Program, plan: Schedule) -> Iterator[str]:
    """The kernels."""
    for at, kernel in enumerate(plan.kernels):
        seed = "elementwise"
        if kernel.seed is not None:
            seed = f"{program.nodes[kernel.seed].op.name} n{kernel.seed}"
        stores = " ".join(f"n{i}" for i in kernel.stores)
        yield f"kernel {at}: {seed}, stores {stores}, {kernel.size} elements each"


def kernel_lines(sources: Sequence[KernelSource]) -> Iterator[str]:
    """The OpenCL C."""
    yield from (f"// kernel {at}\n{source.text}" for at, source in enumerate(sources))


def plan_lines(sources: Sequence[KernelSource], plan: Plan) -> Iterator[str]:
    """The launches with their buffers: nodes, at an offset of an arena or bound at each run."""
    places = {i: f"n{i} at {arena}:{offset}" for i, (arena, offset) in plan.places.items()}
    for at, source in enumerate(sources):
        buffers = ", ".join(places.get(i, f"n{i}") for i in source.buffers)
        yield f"launch {at}: {source.global_size} by {source.local_size}: {buffers}"
    yield f"arenas of {list(plan.arenas)} bytes"


def _line(number: str, kind: str, made: Value | Node, below: Sequence[str]) -> str:
    words = [kind, made.dtype.name, str(made.shape), *below]
    if kind == Op.CONST.name:
        bits = np.uint32(made.attributes[0])
        as_float = f" ({bits.view(np.float32)!s})" if made.dtype is DType.FLOAT32 else ""
        words.append(f"{bits:#010x}{as_float}")
    elif made.attributes:
        words.append(str(list(made.attributes)))
    return f"{number} = {' '.join(words)}"
