"""What makes a table of nodes a Program.

One rule per op, as a function of the node and the nodes it reads. Together with the checks on
names, order and limits they guarantee that every conforming backend can run the Program without
looking at data: every address of a VIEW lies in its input, every size is known and bounded. All
arithmetic is on Python integers and nothing is allocated for a size that is merely claimed.

Dimensions are at least 1: an empty tensor has no element to commit to, and no use in a job.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, TypeAlias

from engine.dtypes import DType, is_other_nan
from engine.errors import ProgramError
from engine.ops import ARITHMETIC_VERSION, ARITY, Op

if TYPE_CHECKING:
    from engine.program import Node, Program

Rule: TypeAlias = "Callable[[Node, Sequence[Node]], None]"

FLOATS = frozenset({DType.FLOAT32})
INTEGERS = frozenset({DType.INT32, DType.UINT32})
NUMBERS = FLOATS | INTEGERS

_NAME = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")


@dataclass(frozen=True, slots=True)
class Limits:
    """The largest Program that is looked at; what a node may spend on one is a job's business.

    `elements` keeps every index of a tensor within INT32. Depth needs no limit: nothing recurses
    over a Program. `flops` and `bytes_moved`, of one run, are checked by `decode`.
    """

    program_bytes: int = 4 * 1024 * 1024
    nodes: int = 65_536
    names: int = 16_384
    name_bytes: int = 128
    rank: int = 12  # windows in three dimensions have 9 axes, their sums 11
    elements: int = 2**31 - 1
    attributes: int = 32
    flops: int = 2**60
    bytes_moved: int = 2**50


DEFAULT_LIMITS = Limits()


def validate(program: "Program", limits: Limits = DEFAULT_LIMITS) -> None:
    """Raise ProgramError, naming the node, unless the program is well formed and within limits."""
    if program.arithmetic_version != ARITHMETIC_VERSION:
        raise ProgramError(
            f"arithmetic version {program.arithmetic_version}, this engine has {ARITHMETIC_VERSION}"
        )
    if not 1 <= len(program.nodes) <= limits.nodes:
        raise ProgramError(f"{len(program.nodes)} nodes, must be 1 to {limits.nodes}")
    for index, node in enumerate(program.nodes):
        try:
            _check_node(program, index, node, limits)
        except ProgramError as error:
            raise ProgramError(f"node {index} ({node.op.name}): {error}") from None
    _check_names("input", program.inputs, len(program.nodes), limits)
    _check_names("output", program.outputs, len(program.nodes), limits)
    _check_inputs(program)
    _check_no_dead_node(program)


def _check_node(program: "Program", index: int, node: "Node", limits: Limits) -> None:
    _require(len(node.shape) <= limits.rank, f"rank {len(node.shape)} is over {limits.rank}")
    _require(all(n >= 1 for n in node.shape), f"a dimension below 1 in {node.shape}")
    _require(node.size <= limits.elements, f"{node.shape} has over {limits.elements} elements")
    _require(len(node.attributes) <= limits.attributes, f"{len(node.attributes)} attributes")
    _require(len(node.inputs) == ARITY[node.op], f"{len(node.inputs)} inputs, not {ARITY[node.op]}")
    for i in node.inputs:
        _require(0 <= i < index, f"reads node {i}, which does not come before it")
    _RULES[node.op](node, [program.nodes[i] for i in node.inputs])


def _check_names(
    what: str, names: Sequence[tuple[str, int]], node_count: int, limits: Limits
) -> None:
    if len(names) > limits.names:
        raise ProgramError(f"{len(names)} {what}s, more than the limit of {limits.names}")
    for name, index in names:
        if len(name) > limits.name_bytes or not _NAME.fullmatch(name):
            raise ProgramError(
                f"{what} name {name[: limits.name_bytes]!r} must be at most {limits.name_bytes} "
                "letters, digits, _ and - in parts joined by dots"
            )
        if not 0 <= index < node_count:
            raise ProgramError(f"{what} {name!r} is node {index}, there are {node_count}")
    for (name, _), (following, _) in pairwise(names):
        if name >= following:
            raise ProgramError(f"{what} names are not sorted and unique: {name!r}, {following!r}")


def _check_inputs(program: "Program") -> None:
    """Every INPUT node has exactly one name, and nothing else is named as an input."""
    if not program.outputs:
        raise ProgramError("no output")
    named = sorted(index for _, index in program.inputs)
    nodes = [index for index, node in enumerate(program.nodes) if node.op is Op.INPUT]
    if named != nodes:
        raise ProgramError(f"the named inputs are nodes {named[:8]}, INPUT nodes are {nodes[:8]}")


def _check_no_dead_node(program: "Program") -> None:
    """Every node but an INPUT serves an output; an INPUT may be there for its name alone."""
    live = {index for _, index in program.outputs}
    for index in range(len(program.nodes) - 1, -1, -1):
        node = program.nodes[index]
        if index in live:
            live.update(node.inputs)
        elif node.op is not Op.INPUT:
            raise ProgramError(f"node {index} ({node.op.name}) serves no output")


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ProgramError(message)


def _no_attributes(node: "Node") -> None:
    _require(not node.attributes, f"takes no attributes, has {node.attributes}")


def _dtype_in(allowed: frozenset[DType], *nodes: "Node") -> None:
    for node in nodes:
        _require(node.dtype in allowed, f"is not defined for {node.dtype.name}")


def _same_shape(node: "Node", inputs: Sequence["Node"]) -> None:
    for other in inputs:
        _require(node.shape == other.shape, f"has shape {node.shape}, reads {other.shape}")


def _same_dtype(*nodes: "Node") -> None:
    names = [node.dtype.name for node in nodes]
    _require(len(set(names)) == 1, f"mixes {', '.join(names)}")


def _input(node: "Node", inputs: Sequence["Node"]) -> None:
    _no_attributes(node)


def _const(node: "Node", inputs: Sequence["Node"]) -> None:
    _require(len(node.attributes) == 1, f"takes one bit pattern, has {node.attributes}")
    (bits,) = node.attributes
    top = 2 if node.dtype is DType.BOOL else 1 << (8 * node.dtype.bytes)
    _require(0 <= bits < top, f"{bits} is not a bit pattern of {node.dtype.name}")
    _require(not is_other_nan(bits, node.dtype), f"{bits:#x} is not the canonical NaN")


def _iota(node: "Node", inputs: Sequence["Node"]) -> None:
    _no_attributes(node)
    _require(node.dtype is DType.INT32 and len(node.shape) == 1, "is INT32 of one dimension")


def _elementwise(allowed: frozenset[DType]) -> Rule:
    """All inputs and the result have one shape and one dtype, one of `allowed`."""

    def rule(node: "Node", inputs: Sequence["Node"]) -> None:
        _no_attributes(node)
        _same_shape(node, inputs)
        _same_dtype(node, *inputs)
        _dtype_in(allowed, node)

    return rule


def _compare(node: "Node", inputs: Sequence["Node"]) -> None:
    _no_attributes(node)
    _same_shape(node, inputs)
    _same_dtype(*inputs)
    _dtype_in(NUMBERS, *inputs)
    _require(node.dtype is DType.BOOL, f"gives BOOL, not {node.dtype.name}")


def _select(node: "Node", inputs: Sequence["Node"]) -> None:
    _no_attributes(node)
    _same_shape(node, inputs)
    _same_dtype(node, *inputs[1:])
    _dtype_in(NUMBERS | {DType.BOOL}, node)
    _require(inputs[0].dtype is DType.BOOL, f"the condition is {inputs[0].dtype.name}, not BOOL")


def _cast(node: "Node", inputs: Sequence["Node"]) -> None:
    _same_shape(node, inputs)
    _require(node.attributes in ((0,), (1,)), f"the mode is 0 or 1, not {node.attributes}")
    if node.attributes == (1,):
        _dtype_in(NUMBERS, node, *inputs)


def _view(node: "Node", inputs: Sequence["Node"]) -> None:
    """The lowest and the highest address lie in the input; the formula is affine, so all do."""
    _same_dtype(node, *inputs)
    rank = len(node.shape)
    _require(len(node.attributes) == 1 + rank, f"takes an offset and {rank} strides")
    offset, *strides = node.attributes
    reach = [stride * (n - 1) for stride, n in zip(strides, node.shape, strict=True)]
    low = offset + sum(r for r in reach if r < 0)
    high = offset + sum(r for r in reach if r > 0)
    _require(
        low >= 0 and high < inputs[0].size,
        f"reads {low} to {high} of an input of {inputs[0].size} elements",
    )


def _pad(node: "Node", inputs: Sequence["Node"]) -> None:
    _same_dtype(node, *inputs)
    inner = inputs[0].shape
    _require(len(node.attributes) == 2 * len(inner), "takes a low and a high per axis")
    lows, highs = node.attributes[::2], node.attributes[1::2]
    _require(all(a >= 0 for a in node.attributes), f"negative padding in {node.attributes}")
    whole = tuple(low + n + high for low, n, high in zip(lows, inner, highs, strict=True))
    _require(node.shape == whole, f"pads {inner} to {whole}, not {node.shape}")


def _fold(node: "Node", inputs: Sequence["Node"]) -> None:
    _no_attributes(node)
    _same_dtype(node, *inputs)
    _dtype_in(NUMBERS, node)
    shape = inputs[0].shape
    _require(len(shape) >= 1, "needs an axis to fold")
    _require(node.shape == (*shape[:-1], 1), f"folds {shape} to {(*shape[:-1], 1)}")


def _dot(node: "Node", inputs: Sequence["Node"]) -> None:
    _no_attributes(node)
    _same_dtype(node, *inputs)
    _dtype_in(FLOATS, node)
    a, b = (i.shape for i in inputs)
    _require(len(a) == 3 and len(b) == 3, f"multiplies two batches of matrices, not {a} and {b}")
    _require(a[0] == b[0] and a[2] == b[1], f"cannot multiply {a} and {b}")
    _require(node.shape == (a[0], a[1], b[2]), f"gives {(a[0], a[1], b[2])}, not {node.shape}")


def _gather(node: "Node", inputs: Sequence["Node"]) -> None:
    _no_attributes(node)
    table, index = inputs
    _same_dtype(node, table)
    _index_of(index)
    _require(len(table.shape) == 2, f"the table has shape {table.shape}, not two dimensions")
    whole = (index.shape[0], table.shape[1])
    _require(node.shape == whole, f"gives {whole}, not {node.shape}")


def _scatter(node: "Node", inputs: Sequence["Node"]) -> None:
    index, rows = inputs
    _same_dtype(node, rows)
    _dtype_in(NUMBERS, node)
    _index_of(index)
    _require(len(node.attributes) == 1, f"takes the number of rows, has {node.attributes}")
    _require(
        len(rows.shape) == 2 and rows.shape[0] == index.shape[0],
        f"cannot scatter rows of {rows.shape} by an index of {index.shape}",
    )
    whole = (node.attributes[0], rows.shape[1])
    _require(node.shape == whole, f"gives {whole}, not {node.shape}")


def _index_of(index: "Node") -> None:
    _require(
        index.dtype is DType.INT32 and len(index.shape) == 1,
        f"the index is {index.dtype.name} {index.shape}, not INT32 of one dimension",
    )


_RULES: dict[Op, Rule] = {
    Op.INPUT: _input,
    Op.CONST: _const,
    Op.IOTA: _iota,
    Op.ADD: _elementwise(NUMBERS),
    Op.MUL: _elementwise(NUMBERS),
    Op.FMA: _elementwise(FLOATS),
    Op.DIV: _elementwise(NUMBERS),
    Op.SQRT: _elementwise(FLOATS),
    Op.LT: _compare,
    Op.EQ: _compare,
    Op.SELECT: _select,
    Op.CAST: _cast,
    Op.AND: _elementwise(INTEGERS | {DType.BOOL}),
    Op.OR: _elementwise(INTEGERS | {DType.BOOL}),
    Op.XOR: _elementwise(INTEGERS | {DType.BOOL}),
    Op.SHL: _elementwise(INTEGERS),
    Op.SHR: _elementwise(INTEGERS),
    Op.VIEW: _view,
    Op.PAD: _pad,
    Op.SUM: _fold,
    Op.MAX: _fold,
    Op.DOT: _dot,
    Op.GATHER: _gather,
    Op.SCATTER: _scatter,
}
