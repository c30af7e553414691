"""The lazy graph: immutable values, each one operation on other values.

A `Value` is what a Tensor holds and what `engine.trace` lowers to a Program. Its kind is a
primitive op, or one of a few kinds that exist in the graph only, because a gradient is easy there:

    DATA      elements that exist already
    RESHAPE   same elements in row-major order, another shape        all lowered to VIEW,
    PERMUTE   attributes: the input's axis for each axis             several in a row to one
    EXPAND    axes of length 1 repeated
    SLICE     attributes: start and step (not 0) per axis
    AFFINE    attributes: per axis of the input a start, and a step for each axis of the result
    CUSTOM    the value of inputs[0], with a gradient of its own with respect to inputs[1:]

The constructors here take operands that fit already (one shape, one dtype). Broadcasting and type
promotion are `engine.elementwise`'s business.
"""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from math import prod
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from engine.arithmetic import canonical, convert
from engine.dtypes import CANONICAL_NAN, AnyType, DType, dtype_of
from engine.errors import UsageError
from engine.ops import ELEMENTWISE, Op

if TYPE_CHECKING:
    from engine.backend import Buffer

Shape: TypeAlias = tuple[int, ...]
Array: TypeAlias = NDArray[np.generic]
Scalar: TypeAlias = bool | int | float
Rule: TypeAlias = "Callable[[Value, Value], Sequence[Value | None]]"
"""A gradient rule: (gradient of the loss by a value, the value) -> one gradient per input."""


Kind = IntEnum("Kind", "DATA RESHAPE PERMUTE EXPAND SLICE CUSTOM AFFINE", start=101)
"""What a Value can be besides a primitive op."""
MOVEMENT = frozenset({Kind.RESHAPE, Kind.PERMUTE, Kind.EXPAND, Kind.SLICE, Kind.AFFINE})


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True, repr=False)
class Value:
    """One node of the graph; equality is identity."""

    kind: Op | Kind
    dtype: DType
    shape: Shape
    inputs: tuple["Value", ...] = ()
    attributes: tuple[int, ...] = ()
    name: str = ""  # of an INPUT
    rule: "Rule | None" = None  # of a CUSTOM
    data: "Buffer | Array | None" = None  # of DATA

    def __repr__(self) -> str:
        return f"<{self.kind.name} {self.dtype.name} {self.shape}>"

    @property
    def size(self) -> int:
        """The number of elements."""
        return prod(self.shape)

    @property
    def is_float(self) -> bool:
        """Whether a gradient can flow through it."""
        return self.dtype is DType.FLOAT32


def checked_shape(shape: Sequence[int]) -> Shape:
    """A shape of Python integers, none negative."""
    result = tuple(int(n) for n in shape)
    if any(n < 0 for n in result):
        raise UsageError(f"shape {result} has a negative dimension")
    return result


def _made(
    kind: Op | Kind, dtype: DType, shape: Shape, *inputs: Value, attributes: tuple[int, ...] = ()
) -> Value:
    """A new value; zeros where it or an input has no elements, as no Program has such tensors."""
    if 0 not in shape and not any(0 in i.shape for i in inputs):
        return Value(kind, dtype, shape, inputs, attributes)
    zeros = Value(Op.CONST, dtype, shape, attributes=(0,))
    return custom(zeros, lambda g, out: [None] * len(inputs), *inputs)


def _moved(kind: Kind, value: Value, shape: Shape, attributes: tuple[int, ...] = ()) -> Value:
    """The elements of a value elsewhere; what is constant stays so."""
    if value.kind is Op.CONST:
        return Value(Op.CONST, value.dtype, shape, attributes=value.attributes)
    return _made(kind, value.dtype, shape, value, attributes=attributes)


def input_value(name: str, dtype: DType, shape: Sequence[int]) -> Value:
    """A named tensor that is given when the Program runs."""
    if 0 in shape:
        raise UsageError(f"input {name!r} of shape {tuple(shape)}: a Program has no empty tensors")
    return Value(Op.INPUT, dtype, checked_shape(shape), name=name)


def data(array: "Buffer | Array", dtype: DType) -> Value:
    """Elements that exist; an array must not be changed afterwards."""
    if 0 in array.shape:
        return _made(Kind.DATA, dtype, checked_shape(array.shape))
    return Value(Kind.DATA, dtype, checked_shape(array.shape), data=array)


def bits_of(value: Scalar, dtype: DType) -> int:
    """The bit pattern of a Python number in `dtype`; one that does not fit is a UsageError."""
    if dtype is DType.FLOAT32:
        return _float_bits(float(value))
    if dtype in CANONICAL_NAN:
        number = np.array([_float_bits(float(value))], np.uint32).view(np.float32)
        return int(canonical(convert(number, dtype)).view(np.uint16)[0])
    limits = np.iinfo(dtype.numpy.str) if dtype is not DType.BOOL else None
    low, high = (limits.min, limits.max) if limits else (0, 1)
    if not low <= value <= high or value != int(value):
        raise UsageError(f"{value} is not a value of {dtype.name} ({low} to {high})")
    return int(value) % (1 << (8 * dtype.bytes))


def _float_bits(value: float) -> int:
    if value != value:
        return 0x7FC00000
    with np.errstate(over="ignore"):
        return int.from_bytes(np.float32(value).tobytes(), sys.byteorder)


def const(value: Scalar, dtype: AnyType, shape: Sequence[int] = ()) -> Value:
    """A tensor filled with one number."""
    kind = dtype_of(dtype)
    return Value(Op.CONST, kind, checked_shape(shape), attributes=(bits_of(value, kind),))


def is_const(value: Value, number: Scalar) -> bool:
    """Whether every element of `value` is known to be `number`, bit for bit."""
    if value.kind is not Op.CONST or (number != number and not value.is_float):
        return False
    return value.attributes[0] == bits_of(number, value.dtype)


def iota(count: int) -> Value:
    """INT32 0, 1, ..., count - 1."""
    return _made(Op.IOTA, DType.INT32, checked_shape((count,)))


def elementwise(op: Op, *inputs: Value) -> Value:
    """An elementwise op on operands of one shape and fitting dtypes."""
    assert op in ELEMENTWISE
    shape = inputs[0].shape
    if any(i.shape != shape for i in inputs):
        raise UsageError(f"{op.name} of shapes {', '.join(str(i.shape) for i in inputs)}")
    dtype = DType.BOOL if op in (Op.LT, Op.EQ) else inputs[-1].dtype
    return _made(op, dtype, shape, *inputs)


def cast(value: Value, dtype: AnyType) -> Value:
    """The numbers in another dtype: floats truncate and saturate, NaN becomes 0."""
    return _cast(value, dtype_of(dtype), 0)


def bitcast(value: Value, dtype: AnyType) -> Value:
    """The same bits in another 32-bit dtype; no gradient."""
    return _cast(value, dtype_of(dtype), 1)


def _cast(value: Value, dtype: DType, mode: int) -> Value:
    same = value.dtype is dtype
    return value if same else _made(Op.CAST, dtype, value.shape, value, attributes=(mode,))


def reshape(value: Value, shape: Sequence[int]) -> Value:
    """The same elements in row-major order in another shape."""
    new = checked_shape(shape)
    if prod(new) != value.size:
        raise UsageError(f"cannot reshape {value.shape} ({value.size} elements) to {new}")
    if new == value.shape:
        return value
    source = value.inputs[0] if value.kind is Kind.RESHAPE else value
    return source if source.shape == new else _moved(Kind.RESHAPE, source, new)


def permute(value: Value, axes: Sequence[int]) -> Value:
    """Axis i of the result is axis axes[i] of the input."""
    order = tuple(axes)
    if sorted(order) != list(range(len(value.shape))):
        raise UsageError(f"{order} is not an order of the axes of {value.shape}")
    if order == tuple(range(len(order))):
        return value
    shape = tuple(value.shape[a] for a in order)
    return _moved(Kind.PERMUTE, value, shape, order)


def expand(value: Value, shape: Sequence[int]) -> Value:
    """Axes of length 1 repeated; the rank stays."""
    new = checked_shape(shape)
    if len(new) != len(value.shape) or any(
        n not in (1, m) for n, m in zip(value.shape, new, strict=True)
    ):
        raise UsageError(f"cannot expand {value.shape} to {new}")
    if new == value.shape:
        return value
    return _moved(Kind.EXPAND, value, new)


def slice_(value: Value, ranges: Sequence[range]) -> Value:
    """Element i of an axis is element range[i] of the input's axis."""
    shape = tuple(map(len, ranges))
    for places, n in zip(ranges, value.shape, strict=True):
        if places and not (0 <= places[0] < n and 0 <= places[-1] < n):
            raise UsageError(f"{places} is outside of an axis of {value.shape}")
    if shape == value.shape and all(places.step == 1 for places in ranges):
        return value
    return _moved(Kind.SLICE, value, shape, tuple(n for r in ranges for n in (r.start, r.step)))


def ranges(value: Value) -> list[range]:
    """The ranges of a SLICE."""
    triples = zip(value.attributes[::2], value.attributes[1::2], value.shape, strict=True)
    return [range(start, start + n * step, step) for start, step, n in triples]


def affine(
    value: Value, axes: Sequence[tuple[int, Mapping[int, int]]], shape: Sequence[int]
) -> Value:
    """Each axis of the input at start + the sum of step * i over axes of the result.

    `axes` are (start, {axis of the result: step}). Elements may be shown several times or not at
    all. It has no gradient: use it in a `custom`.
    """
    new = checked_shape(shape)
    for (start, steps), n in zip(axes, value.shape, strict=True):
        reach = [step * (new[at] - 1) for at, step in steps.items()]
        low, high = (start + sum(pick(0, r) for r in reach) for pick in (min, max))
        if 0 not in new and not 0 <= low <= high < n:
            raise UsageError(f"elements {low}..{high} are outside of an axis of {value.shape}")
    flat = (n for start, steps in axes for n in (start, *map(steps.get, range(len(new)))))
    return _moved(Kind.AFFINE, value, new, tuple(n or 0 for n in flat))


def pad(value: Value, widths: Sequence[tuple[int, int]]) -> Value:
    """Zeros around the input: (low, high) per axis."""
    if len(widths) != len(value.shape) or any(low < 0 or high < 0 for low, high in widths):
        raise UsageError(f"cannot pad {value.shape} by {list(widths)}")
    if all(width == (0, 0) for width in widths):
        return value
    shape = tuple(low + n + high for n, (low, high) in zip(value.shape, widths, strict=True))
    flat = tuple(int(w) for width in widths for w in width)
    return _made(Op.PAD, value.dtype, shape, value, attributes=flat)


def fold(op: Op, value: Value) -> Value:
    """SUM or MAX over the last axis, which stays with length 1."""
    assert op in (Op.SUM, Op.MAX)
    if value.shape[-1] == 1:
        return value
    if value.shape[-1] == 0 and op is Op.MAX:
        raise UsageError(f"an empty axis of {value.shape} has no largest element")
    return _made(op, value.dtype, (*value.shape[:-1], 1), value)


def dot(a: Value, b: Value) -> Value:
    """(batch, m, k) x (batch, k, n) -> (batch, m, n), FLOAT32."""
    (batch, m, k), (other, inner, n) = a.shape, b.shape
    if (batch, k) != (other, inner):
        raise UsageError(f"cannot multiply {a.shape} and {b.shape}")
    return _made(Op.DOT, DType.FLOAT32, (batch, m, n), a, b)


def gather(table: Value, index: Value) -> Value:
    """Rows of a table (n, d) by an INT32 index (m,); zeros where it is out of range."""
    return _made(Op.GATHER, table.dtype, (*index.shape, table.shape[1]), table, index)


def scatter(index: Value, rows: Value, count: int) -> Value:
    """Rows (m, d) added, in order, to `count` rows of zeros."""
    shape = (count, rows.shape[1])
    return _made(Op.SCATTER, rows.dtype, shape, index, rows, attributes=(count,))


def custom(result: Value, rule: Rule, *primals: Value) -> Value:
    """`result`, whose gradient with respect to `primals` is `rule` and not what it is made of.

    The rule gets (gradient, this value) and returns one gradient, or None, per primal.
    """
    return Value(Kind.CUSTOM, result.dtype, result.shape, (result, *primals), rule=rule)


def detach(value: Value) -> Value:
    """The same value with no gradient."""
    return custom(value, lambda gradient, result: ())


def topological(
    outputs: Sequence[Value], inputs_of: Callable[[Value], Sequence[Value]]
) -> Iterator[Value]:
    """Every value reachable through `inputs_of`, inputs first, in an order fixed by the graph."""
    seen: set[Value] = set()
    stack = [(value, False) for value in reversed(outputs)]
    while stack:
        value, has_inputs_done = stack.pop()
        if has_inputs_done:
            yield value
        elif value not in seen:
            seen.add(value)
            stack.append((value, True))
            stack.extend((i, False) for i in reversed(inputs_of(value)) if i not in seen)
