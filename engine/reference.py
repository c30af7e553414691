"""The reference backend: naive numpy that *defines* what every op returns.

One function per op, evaluated node by node, nothing fused. Where docs/spec/arithmetic.md and this
file disagree, one of them has a bug. It is also what a node samples its own device against.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from engine import arithmetic
from engine.backend import Buffer, checked_inputs
from engine.dtypes import DType, from_numpy
from engine.ops import Op
from engine.program import Node, Program

Array: TypeAlias = NDArray[np.generic]

SUM_BLOCK = 4096
SUM_LANES = 32
DOT_BLOCK = 256


@dataclass(frozen=True, slots=True)
class HostBuffer:
    """A tensor in this process's memory."""

    array: Array

    @property
    def dtype(self) -> DType:
        """The element type."""
        return from_numpy(self.array.dtype)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape, row-major."""
        return self.array.shape

    def numpy(self) -> Array:
        """A copy of the elements."""
        return self.array.copy()


@dataclass(frozen=True, slots=True)
class ReferenceProgram:
    """A Program on the reference backend."""

    program: Program

    def __call__(self, inputs: Mapping[str, Buffer | Array]) -> dict[str, Buffer]:
        """Run once; see `engine.backend.Loaded`."""
        given = checked_inputs(self.program, inputs)
        arrays = {name: _host_array(value) for name, value in given.items()}
        values = evaluate(self.program, arrays)
        return {name: HostBuffer(values[index]) for name, index in self.program.outputs}


@dataclass(frozen=True, slots=True)
class ReferenceBackend:
    """Numpy in this process."""

    name: str = "reference"

    def load(self, program: Program) -> ReferenceProgram:
        """Make a validated Program ready."""
        return ReferenceProgram(program)

    def upload(self, array: Array) -> HostBuffer:
        """A copy of the array."""
        return HostBuffer(np.array(array, order="C"))


def _host_array(value: Buffer | Array) -> Array:
    return value if isinstance(value, np.ndarray) else value.numpy()


def evaluate(program: Program, inputs: Mapping[str, Array]) -> dict[int, Array]:
    """The value of every output node, by index; others are dropped after their last use."""
    names = {index: name for name, index in program.inputs}
    kept = {index for _, index in program.outputs}
    last_use = {i: at for at, node in enumerate(program.nodes) for i in node.inputs}
    values: dict[int, Array] = {}
    for index, node in enumerate(program.nodes):
        if node.op is Op.INPUT:
            values[index] = arithmetic.canonical_input(inputs[names[index]])
        else:
            values[index] = evaluate_node(node, [values[i] for i in node.inputs])
        for i in {index, *node.inputs}:
            if last_use.get(i, i) <= index and i not in kept:
                del values[i]
    return values


def evaluate_node(node: Node, inputs: list[Array]) -> Array:
    """The result of one node, with its shape and dtype and canonical NaNs."""
    result = arithmetic.canonical(np.asarray(_EVALUATE[node.op](node, *inputs)))
    return np.ascontiguousarray(result).reshape(node.shape)


def view(node: Node, a: Array) -> Array:
    """out[i] = a.flat[offset + sum of i * stride]."""
    offset, *strides = node.attributes
    places = np.indices(node.shape, np.int64, sparse=True)
    address = offset + sum(i * stride for i, stride in zip(places, strides, strict=True))
    return np.asarray(a.reshape(-1)[np.broadcast_to(address, node.shape)])


def pad(node: Node, a: Array) -> Array:
    """Zeros around `a`."""
    result = np.zeros(node.shape, a.dtype)
    lows = node.attributes[::2]
    result[tuple(slice(low, low + n) for low, n in zip(lows, a.shape, strict=True))] = a
    return result


def sum_last_axis(a: Array) -> Array:
    """Blocks of 4096, whose results are summed alike; in each lanes, then a tree over the lanes."""
    length = a.shape[-1]
    if length == 0:
        return np.zeros((*a.shape[:-1], 1), a.dtype)
    if length > SUM_BLOCK:
        starts = range(0, length, SUM_BLOCK)
        blocks = [sum_last_axis(a[..., start : start + SUM_BLOCK]) for start in starts]
        return sum_last_axis(np.concatenate(blocks, axis=-1))
    # -0 (in integers 0) stands for what is absent: it changes no sum.
    lanes: Array = np.full((*a.shape[:-1], SUM_LANES), -0.0, a.dtype)
    for start in range(0, length, SUM_LANES):
        part = a[..., start : start + SUM_LANES]
        width = part.shape[-1]
        lanes[..., :width] = arithmetic.add(lanes[..., :width], part)
    while (half := lanes.shape[-1] // 2) > 0:
        lanes = arithmetic.add(lanes[..., :half], lanes[..., half:])
    return lanes


def max_last_axis(a: Array) -> Array:
    """The largest in the total order."""
    parts = (a[..., i : i + 1] for i in range(a.shape[-1]))
    return reduce(arithmetic.maximum, parts)


def dot(a: Array, b: Array) -> Array:
    """Chains of fused multiply-adds over blocks of 256, block sums added in order."""
    shape = (a.shape[0], a.shape[1], b.shape[2])
    total: Array = np.zeros(shape, np.float32)
    wide_a, wide_b = a.astype(np.float64), b.astype(np.float64)
    for start in range(0, a.shape[2], DOT_BLOCK):
        block: Array = np.zeros(shape, np.float32)
        for k in range(start, min(start + DOT_BLOCK, a.shape[2])):
            block = arithmetic.fma(wide_a[:, :, k, None], wide_b[:, None, k, :], block)
        total = block if start == 0 else arithmetic.add(total, block)
    return total


def gather(table: Array, index: Array) -> Array:
    """Rows of `table`; zeros where the index is out of range."""
    inside = np.greater_equal(index, 0) & np.less(index, table.shape[0])
    result = np.zeros((index.shape[0], table.shape[1]), table.dtype)
    result[inside] = table[index[inside]]
    return result


def scatter(index: Array, rows: Array, count: int) -> Array:
    """Rows added in order to `count` rows of zeros; out of range is dropped."""
    result = np.zeros((count, rows.shape[1]), rows.dtype)
    for at, row in zip(index.tolist(), rows, strict=True):
        if 0 <= at < count:
            result[at] = arithmetic.add(result[at], row)
    return result


def _cast(node: Node, a: Array) -> Array:
    by_bits = node.attributes[0] == 1
    return (arithmetic.reinterpret if by_bits else arithmetic.convert)(a, node.dtype)


def _constant(node: Node) -> Array:
    return np.broadcast_to(arithmetic.constant(node.attributes[0], node.dtype), node.shape)


_EVALUATE: dict[Op, Callable[..., Array]] = {
    Op.CONST: _constant,
    Op.IOTA: lambda node: np.arange(node.shape[0], dtype=np.int32),
    Op.ADD: lambda _, a, b: arithmetic.add(a, b),
    Op.MUL: lambda _, a, b: arithmetic.mul(a, b),
    Op.FMA: lambda _, a, b, c: arithmetic.fma(a, b, c),
    Op.DIV: lambda _, a, b: arithmetic.div(a, b),
    Op.SQRT: lambda _, a: arithmetic.sqrt(a),
    Op.LT: lambda _, a, b: arithmetic.lt(a, b),
    Op.EQ: lambda _, a, b: arithmetic.eq(a, b),
    Op.SELECT: lambda _, c, a, b: np.asarray(np.where(c, a, b)),
    Op.CAST: _cast,
    Op.AND: lambda _, a, b: np.bitwise_and(a, b),
    Op.OR: lambda _, a, b: np.bitwise_or(a, b),
    Op.XOR: lambda _, a, b: np.bitwise_xor(a, b),
    Op.SHL: lambda _, a, b: arithmetic.shl(a, b),
    Op.SHR: lambda _, a, b: arithmetic.shr(a, b),
    Op.VIEW: view,
    Op.PAD: pad,
    Op.SUM: lambda _, a: sum_last_axis(a),
    Op.MAX: lambda _, a: max_last_axis(a),
    Op.DOT: lambda _, a, b: dot(a, b),
    Op.GATHER: lambda _, table, index: gather(table, index),
    Op.SCATTER: lambda node, index, rows: scatter(index, rows, node.attributes[0]),
}
