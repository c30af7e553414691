"""A node's doubt about its own device: part of every unit is recomputed on the reference.

A unit's Programs run with a random choice of intermediate results in sight. In one step, drawn at
random, and in the result random elements of these nodes and of the outputs are computed again by
engine/reference.py from what the device itself gave to them, and compared bit by bit; in a unit
long enough the step is also run a second time, and all its outputs must be the same. A device that
fails costs its owner this unit and not a bond: nothing is committed. What is looked at comes from
this process's own randomness, so no job can foresee it. Each part takes about SHARE of the time,
or as long as NODES_MIN nodes take.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from itertools import cycle
from math import prod
from random import Random
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from engine.arithmetic import canonical_input
from engine.backend import Backend, Buffer, Loaded
from engine.errors import DeviceError
from engine.ops import Op
from engine.program import Program
from node.errors import FaultyDevice
from node.sampling import TooDear, elements, expose, stored

Array = NDArray[np.generic]
Inputs = Mapping[str, Buffer | Array]

SHARE, NODES_MIN = 0.02, 4
TARGETS_MAX, EXPOSED_BYTES_MAX, OPERAND_BYTES_MAX = 16, 16 << 20, 256 << 20
"""What is in sight takes memory and time in every step: a few nodes, others after each start."""

CANDIDATES_MAX, CONE_MAX = 500, 2000
"""Nodes that are thought of, and what may lie between one and its operands: jobs are strangers'."""

ELEMENTS_MAX, READ_MAX = 64, 1 << 16
"""Elements of a node that are recomputed at once, and how many elements these may read together."""

LENGTH_MAX = {Op.SUM: 1 << 18, Op.MAX: 1 << 13, Op.DOT: 1 << 13, Op.SCATTER: 1 << 18}
"""The reference takes tens of milliseconds for one element of such a fold."""


@dataclass(frozen=True, slots=True)
class _Target:
    """A node to look at, what it is computed from, and what one of its elements reads."""

    index: int
    operands: frozenset[int]
    reads: int


Run = Callable[[int, Inputs], dict[str, Buffer]]


def runner(program: Loaded, steps: int) -> Run:
    """What runs the steps of a unit, by number and in order; one of them is checked if Watched."""
    if isinstance(program, Watched):
        return program.runner(steps)
    return lambda _, inputs: program(inputs)


class Watched:
    """A loaded Program with a few of its intermediate results in sight; a Loaded like any other."""

    def __init__(self, what: str, backend: Backend, program: Program, random: Random) -> None:
        self.program = program
        self._what, self._device, self._random = what, backend.name, random
        try:
            self._targets, shown = _choose(program, random, EXPOSED_BYTES_MAX)
            self._loaded = backend.load(shown)
        except DeviceError:  # too large for the device: look at what lies open anyway
            self._targets, shown = _choose(program, random, 0)
            self._loaded = backend.load(shown)
        self._outputs = {index: name for name, index in shown.outputs}
        self._inputs = {index: name for name, index in shown.inputs}

    def __call__(self, inputs: Inputs) -> dict[str, Buffer]:
        """Run without a check."""
        return self._own(self._loaded(inputs))

    def checked(self, inputs: Inputs, steps: int, unit_s: Callable[[], float]) -> dict[str, Buffer]:
        """Run one of so many steps and recompute elements. Raises FaultyDevice.

        `unit_s` estimates the time of all steps; it is asked when the device is done.
        """
        outputs = self._loaded(inputs)
        own = self._own(outputs)
        if SHARE * steps >= 1:
            self._compare_runs(own, self._loaded(inputs))
        values: dict[int, Buffer | Array] = {i: outputs[n] for i, n in self._outputs.items()}
        values |= {i: inputs[n] for i, n in self._inputs.items()}
        min(own.values(), key=lambda buffer: prod(buffer.shape)).numpy()  # waits
        until = perf_counter() + SHARE * unit_s()
        targets = cycle(self._random.sample(self._targets, len(self._targets)))
        for number, target in enumerate(targets, start=1):
            self._compare_elements(target, values)
            if number >= NODES_MIN and perf_counter() >= until:
                break
        return own

    def runner(self, steps: int) -> Run:
        """One step at random is checked, but not the first: nothing is known about time then."""
        watched, started = self._random.randrange(int(steps > 1), steps), perf_counter()

        def run(step: int, inputs: Inputs) -> dict[str, Buffer]:
            if step != watched:
                return self(inputs)
            return self.checked(
                inputs, steps, lambda: (perf_counter() - started) / (step + 1) * steps
            )

        return run

    def _own(self, outputs: Mapping[str, Buffer]) -> dict[str, Buffer]:
        return {name: outputs[name] for name, _ in self.program.outputs}

    def _compare_runs(self, first: Mapping[str, Buffer], second: Mapping[str, Buffer]) -> None:
        for name, index in self.program.outputs:
            one, two = (_bits(buffers[name].numpy()) for buffers in (first, second))
            for at in np.flatnonzero(one != two)[:1]:
                self._fail(index, int(at), int(one[at]), int(two[at]), " in a second run")

    def _compare_elements(self, target: _Target, values: Mapping[int, Buffer | Array]) -> None:
        node = self.program.nodes[target.index]
        count = max(1, min(ELEMENTS_MAX, node.size, READ_MAX // target.reads))
        at = np.array([self._random.randrange(node.size) for _ in range(count)], np.int64)
        known = {i: _host(values[i]) for i in target.operands}
        try:
            expected = _bits(elements(self.program, known, target.index, at))
        except TooDear:
            return
        actual = _bits(_host(values[target.index]))[at]
        for k in np.flatnonzero(expected != actual)[:1]:
            operands = (self._describe(i, known[i], int(at[k]), node.size) for i in known)
            given = f" from {', '.join(operands)}" if known else ""
            self._fail(target.index, int(at[k]), int(expected[k]), int(actual[k]), given)

    def _describe(self, index: int, operand: Array, at: int, size: int) -> str:
        name = self._inputs.get(index) or f"node {index}"
        return f"{name} {int(_bits(operand)[at]):#x}" if operand.size == size else name

    def _fail(self, index: int, at: int, expected: int, actual: int, given: str) -> None:
        node = self.program.nodes[index]
        position = tuple(int(i) for i in np.unravel_index(at, node.shape)) if node.shape else ()
        raise FaultyDevice(
            f"{self._device} computed {node.op.name} {node.dtype.name} wrongly: node {index} "
            f"of the {self._what} at {position}{given}: expected {expected:#x}, got {actual:#x}.",
            "Nothing was committed. Check the device (memory, overclocking, driver), then run "
            "`ainur doctor`; no unit is taken before it passes.",
        )


def _choose(program: Program, random: Random, bytes_max: int) -> tuple[list[_Target], Program]:
    """Random nodes to look at, and the Program with them and their operands in sight."""
    open_ = {index for _, index in (*program.inputs, *program.outputs)}
    shown = set[int]()
    targets: list[_Target] = []
    behind = stored(program)
    for index in random.sample(sorted(behind), min(len(behind), CANDIDATES_MAX)):
        if len(targets) == TARGETS_MAX:
            break
        more = ({index} | behind[index]) - open_ - shown
        if sum(program.nodes[i].bytes for i in shown | more) > bytes_max:
            continue
        reads = _reads(program, index, behind[index])
        if reads and sum(program.nodes[i].bytes for i in behind[index]) <= OPERAND_BYTES_MAX:
            shown |= more
            targets.append(_Target(index, behind[index], reads))
    return targets, expose(program, shown)


def _reads(program: Program, target: int, operands: Collection[int]) -> int:
    """About how many elements of an operand one element of the target reads; 0 if too many."""
    longest, seen, stack = 1, set[int](), [target]
    while stack:
        index = stack.pop()
        node = program.nodes[index]
        if index in seen or (index in operands and index != target):
            continue
        seen.add(index)
        if len(seen) > CONE_MAX:
            return 0
        stack += node.inputs
        if node.op in LENGTH_MAX:
            length = program.nodes[node.inputs[0]].shape[0 if node.op is Op.SCATTER else -1]
            longest = max(longest, length)
            if length > LENGTH_MAX[node.op]:
                return 0
    return longest


def _host(value: Buffer | Array) -> Array:
    return canonical_input(value if isinstance(value, np.ndarray) else value.numpy())


def _bits(array: Array) -> NDArray[np.unsignedinteger]:
    return np.ascontiguousarray(array).reshape(-1).view(f"u{array.itemsize}")
