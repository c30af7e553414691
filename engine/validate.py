"""What makes a table of nodes a Program.

One rule per op: the dtype and shape that a node must have, from its attributes and the nodes that
it reads. Together with the checks on names, order and limits they guarantee that every conforming
backend can run the Program without looking at data: every address of a VIEW lies in its input,
every size is known and bounded. All arithmetic is on Python integers and nothing is allocated for a
size that is merely claimed.

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

Type: TypeAlias = tuple[DType, tuple[int, ...]]
Rule: TypeAlias = "Callable[[Node, Sequence[Node]], Type]"

FLOATS = frozenset({DType.FLOAT32})
INTEGERS = frozenset({DType.INT32, DType.UINT32})
NUMBERS = FLOATS | INTEGERS
BOOLS = frozenset({DType.BOOL})

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

    def check(self, what: str, number: int) -> int:
        """`number`, if it is within the limit of that name."""
        limit: int = getattr(self, what)
        if number > limit:
            raise ProgramError(f"{what.replace('_', ' ')}: {number}, over the limit of {limit}")
        return number


DEFAULT_LIMITS = Limits()


def validate(program: "Program", limits: Limits = DEFAULT_LIMITS) -> None:
    """Raise ProgramError, naming the node, unless the program is well formed and within limits."""
    if program.arithmetic_version != ARITHMETIC_VERSION:
        raise ProgramError(
            f"arithmetic version {program.arithmetic_version}, this engine has {ARITHMETIC_VERSION}"
        )
    limits.check("nodes", len(program.nodes))
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
    limits.check("rank", len(node.shape))
    limits.check("attributes", len(node.attributes))
    _require(all(n >= 1 for n in node.shape), f"a dimension below 1 in {node.shape}")
    limits.check("elements", node.size)
    _require(len(node.inputs) == ARITY[node.op], f"{len(node.inputs)} inputs, not {ARITY[node.op]}")
    for i in node.inputs:
        _require(0 <= i < index, f"reads node {i}, which does not come before it")
    inputs = [program.nodes[i] for i in node.inputs]
    count = _attribute_count(node, inputs)
    _require(len(node.attributes) == count, f"takes {count} attributes, has {node.attributes}")
    dtype, shape = _RULES[node.op](node, inputs)
    if node.dtype is not dtype or node.shape != shape:
        raise ProgramError(f"gives {dtype.name} {shape}, not {node.dtype.name} {node.shape}")


def _attribute_count(node: "Node", inputs: Sequence["Node"]) -> int:
    match node.op:
        case Op.CONST | Op.CAST | Op.SCATTER:  # a bit pattern, a mode, a number of rows
            return 1
        case Op.VIEW:  # an offset, and a stride per axis
            return 1 + len(node.shape)
        case Op.PAD:  # a low and a high per axis
            return 2 * len(inputs[0].shape)
        case _:
            return 0


def _check_names(
    what: str, names: Sequence[tuple[str, int]], node_count: int, limits: Limits
) -> None:
    limits.check("names", len(names))
    for name, index in names:
        limits.check("name_bytes", len(name))
        if not _NAME.fullmatch(name):
            raise ProgramError(
                f"{what} name {name!r} is not letters, digits, _ and - in parts joined by dots"
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


def _dtype_of(nodes: Sequence["Node"], allowed: frozenset[DType]) -> DType:
    """The one dtype of all nodes."""
    dtype = nodes[0].dtype
    names = ", ".join(node.dtype.name for node in nodes)
    _require(all(node.dtype is dtype for node in nodes), f"mixes {names}")
    _require(dtype in allowed, f"is not defined for {dtype.name}")
    return dtype


def _shape_of(nodes: Sequence["Node"]) -> tuple[int, ...]:
    """The one shape of all nodes."""
    shapes = {node.shape for node in nodes}
    _require(len(shapes) == 1, f"reads shapes {sorted(shapes)}")
    return shapes.pop()


def _const(node: "Node", inputs: Sequence["Node"]) -> Type:
    (bits,) = node.attributes
    top = 2 if node.dtype is DType.BOOL else 1 << (8 * node.dtype.bytes)
    _require(0 <= bits < top, f"{bits} is not a bit pattern of {node.dtype.name}")
    _require(not is_other_nan(bits, node.dtype), f"{bits:#x} is not the canonical NaN")
    return node.dtype, node.shape


def _elementwise(allowed: frozenset[DType], gives: DType | None = None) -> Rule:
    """All inputs have one shape and one dtype, one of `allowed`; so has the result, or `gives`."""

    def rule(node: "Node", inputs: Sequence["Node"]) -> Type:
        dtype = _dtype_of(inputs, allowed)
        return gives or dtype, _shape_of(inputs)

    return rule


def _select(node: "Node", inputs: Sequence["Node"]) -> Type:
    _require(inputs[0].dtype is DType.BOOL, f"the condition is {inputs[0].dtype.name}, not BOOL")
    return _dtype_of(inputs[1:], NUMBERS | BOOLS), _shape_of(inputs)


def _cast(node: "Node", inputs: Sequence["Node"]) -> Type:
    (mode,) = node.attributes
    _require(mode in (0, 1), f"the mode is 0 or 1, not {mode}")
    for end in (node, *inputs):
        _require(mode == 0 or end.dtype in NUMBERS, f"is not defined for {end.dtype.name}")
    return node.dtype, inputs[0].shape


def _view(node: "Node", inputs: Sequence["Node"]) -> Type:
    """The lowest and the highest address lie in the input; the formula is affine, so all do."""
    offset, *strides = node.attributes
    reach = [stride * (n - 1) for stride, n in zip(strides, node.shape, strict=True)]
    low = offset + sum(r for r in reach if r < 0)
    high = offset + sum(r for r in reach if r > 0)
    _require(
        low >= 0 and high < inputs[0].size,
        f"reads {low} to {high} of an input of {inputs[0].size} elements",
    )
    return inputs[0].dtype, node.shape


def _pad(node: "Node", inputs: Sequence["Node"]) -> Type:
    _require(all(a >= 0 for a in node.attributes), f"negative padding in {node.attributes}")
    around = zip(node.attributes[::2], inputs[0].shape, node.attributes[1::2], strict=True)
    return inputs[0].dtype, tuple(low + n + high for low, n, high in around)


def _fold(node: "Node", inputs: Sequence["Node"]) -> Type:
    _require(len(inputs[0].shape) >= 1, "needs an axis to fold")
    return _dtype_of(inputs, NUMBERS), (*inputs[0].shape[:-1], 1)


def _dot(node: "Node", inputs: Sequence["Node"]) -> Type:
    a, b = (i.shape for i in inputs)
    _require(len(a) == 3 and len(b) == 3, f"multiplies two batches of matrices, not {a} and {b}")
    _require(a[0] == b[0] and a[2] == b[1], f"cannot multiply {a} and {b}")
    return _dtype_of(inputs, FLOATS), (a[0], a[1], b[2])


def _gather(node: "Node", inputs: Sequence["Node"]) -> Type:
    table, index = inputs
    _require(len(table.shape) == 2, f"the table has shape {table.shape}, not two dimensions")
    return table.dtype, (_index_length(index), table.shape[1])


def _scatter(node: "Node", inputs: Sequence["Node"]) -> Type:
    index, rows = inputs
    _require(
        len(rows.shape) == 2 and rows.shape[0] == _index_length(index),
        f"cannot scatter rows of {rows.shape} by an index of {index.shape}",
    )
    return _dtype_of([rows], NUMBERS), (node.attributes[0], rows.shape[1])


def _index_length(index: "Node") -> int:
    _require(
        index.dtype is DType.INT32 and len(index.shape) == 1,
        f"the index is {index.dtype.name} {index.shape}, not INT32 of one dimension",
    )
    return index.shape[0]


_RULES: dict[Op, Rule] = {
    Op.INPUT: lambda node, _: (node.dtype, node.shape),
    Op.CONST: _const,
    Op.IOTA: lambda node, _: (DType.INT32, (node.size,)),
    **dict.fromkeys((Op.ADD, Op.MUL, Op.DIV), _elementwise(NUMBERS)),
    **dict.fromkeys((Op.FMA, Op.SQRT), _elementwise(FLOATS)),
    **dict.fromkeys((Op.LT, Op.EQ), _elementwise(NUMBERS, DType.BOOL)),
    **dict.fromkeys((Op.AND, Op.OR, Op.XOR), _elementwise(INTEGERS | BOOLS)),
    **dict.fromkeys((Op.SHL, Op.SHR), _elementwise(INTEGERS)),
    Op.SELECT: _select,
    Op.CAST: _cast,
    Op.VIEW: _view,
    Op.PAD: _pad,
    **dict.fromkeys((Op.SUM, Op.MAX), _fold),
    Op.DOT: _dot,
    Op.GATHER: _gather,
    Op.SCATTER: _scatter,
}
