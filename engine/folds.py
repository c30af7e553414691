"""Sums, maxima, matrix products and rows by index, on graph values, along any axes.

The ops fold the last axis in one fixed order. Several axes are folded as one, in the order in which
they stand; so a sum over two axes is not two sums, and has one defined result.
"""

from collections.abc import Sequence
from math import prod

from engine import elementwise as e
from engine import graph
from engine.dtypes import AnyType, DType
from engine.errors import UsageError
from engine.graph import Value
from engine.movement import along, axes_of, axis_of, narrow
from engine.ops import Op

Axes = int | Sequence[int] | None


def fold(op: Op, value: Value, axes: Axes, keepdim: bool) -> Value:
    """SUM or MAX over axes (None: all), which are dropped or stay with length 1."""
    (value,) = e.numbers(value)
    kept, folded, shape = _split(value, axes, keepdim)
    rows = [value.shape[a] for a in kept]
    flat = graph.reshape(graph.permute(value, (*kept, *folded)), (*rows, _count(value, axes)))
    return graph.reshape(graph.fold(op, flat), shape)


def _split(value: Value, axes: Axes, keepdim: bool) -> tuple[list[int], Sequence[int], list[int]]:
    """The axes that stay, those that are folded, and the shape of the result."""
    folded = _folded(value, axes)
    kept = [a for a in range(len(value.shape)) if a not in folded]
    shape = [1 if a in folded else n for a, n in enumerate(value.shape) if keepdim or a in kept]
    return kept, folded, shape


def _count(value: Value, axes: Axes) -> int:
    return prod(value.shape[a] for a in _folded(value, axes))


def _folded(value: Value, axes: Axes) -> tuple[int, ...]:
    """The axes that are folded: all for None or no axes."""
    return axes_of(value, axes if isinstance(axes, int) or axes else None)


def total(
    value: Value, axis: Axes = None, keepdim: bool = False, dtype: AnyType | None = None
) -> Value:
    """The sum; INT32 for BOOL."""
    return fold(Op.SUM, value if dtype is None else graph.cast(value, dtype), axis, keepdim)


def mean(
    value: Value, axis: Axes = None, keepdim: bool = False, dtype: AnyType = DType.FLOAT32
) -> Value:
    """The sum, divided by the number of elements in FLOAT32."""
    value = graph.cast(value, dtype)
    return e.div(total(e.to_float(value), axis, keepdim), float(_count(value, axis)))


def var(
    value: Value, axis: Axes = None, unbiased: int = 1, keepdim: bool = False,
    correction: int | None = None,
) -> Value:  # fmt: skip
    """The variance from squared distances to the mean, over (count - correction), or NaN.

    `unbiased` is another name of the correction, False or True.
    """
    value = e.to_float(value)
    count = _count(value, axis) - int(unbiased if correction is None else correction)
    distance = e.sub(value, mean(value, axis, keepdim=True))
    return e.div(total(e.mul(distance, distance), axis, keepdim), float(max(count, 0)))


def product(
    value: Value, axis: Axes = None, keepdim: bool = False, dtype: AnyType | None = None
) -> Value:
    """The product: of the two halves, whatever is left over last."""
    (value,) = e.numbers(value if dtype is None else graph.cast(value, dtype))
    kept, folded, shape = _split(value, axis, keepdim)
    rows = [value.shape[a] for a in kept]
    flat = graph.reshape(graph.permute(value, (*folded, *kept)), (_count(value, axis), *rows))
    return graph.reshape(_product(flat), shape)


def _product(value: Value) -> Value:
    n = value.shape[0]
    if n < 2:
        one = graph.const(1, value.dtype, (1, *value.shape[1:]))
        return value if n else graph.custom(one, lambda g, _: (None,), value)
    left, right = (narrow(value, 0, start, n // 2) for start in (0, n // 2))
    halves = _product(e.mul(left, right))
    return e.mul(halves, narrow(value, 0, n - 1, 1)) if n % 2 else halves


def maximum(value: Value, axis: Axes = None, keepdim: bool = False) -> Value:
    """The largest element; NaN if there is one. Equal ones share the gradient."""
    return graph.cast(fold(Op.MAX, value, axis, keepdim), value.dtype)


def minimum(value: Value, axis: Axes = None, keepdim: bool = False) -> Value:
    """The smallest element; NaN if there is one. Equal ones share the gradient."""
    flipped = _flipped(value)
    found = fold(Op.MAX, flipped, axis, keepdim)
    return graph.cast(_flipped(found), value.dtype)


def _flipped(value: Value) -> Value:
    """The same elements in the other order; integers are inverted, as -INT_MIN would wrap."""
    (value,) = e.numbers(value)
    return e.neg(value) if value.is_float else e.not_(value)


def any_(value: Value, axis: Axes = None, keepdim: bool = False) -> Value:
    """Whether any element is not 0."""
    return e.to_bool(total(e.to_bool(value), axis, keepdim))


def all_(value: Value, axis: Axes = None, keepdim: bool = False) -> Value:
    """Whether no element is 0."""
    return e.not_(any_(e.not_(e.to_bool(value)), axis, keepdim))


def argmax(value: Value, axis: int | None = None, keepdim: bool = False) -> Value:
    """The INT32 index of the first largest element along an axis, or in the flat tensor."""
    if axis is None:
        flat = argmax(graph.reshape(value, (value.size,)), 0, False)
        return graph.reshape(flat, [1] * len(value.shape)) if keepdim else flat
    if not value.shape:
        return argmax(graph.reshape(value, (1,)), axis, False)
    n, *after = value.shape[axis_of(value, axis) :]
    is_largest = e.equals_or_nan(value, maximum(value, axis, keepdim=True))
    from_end = e.sub(n - 1, along(n, len(after)))
    return e.sub(n - 1, maximum(e.select(is_largest, from_end, 0), axis, keepdim))


def argmin(value: Value, axis: int | None = None, keepdim: bool = False) -> Value:
    """The INT32 index of the first smallest element along an axis, or in the flat tensor."""
    return argmax(_flipped(value), axis, keepdim)


def extreme(value: Value, axis: int, keepdim: bool, sign: int) -> tuple[Value, Value]:
    """The largest (sign 1) or smallest (-1) along an axis, and its first index.

    The gradient goes to that index alone.
    """
    find, where = (maximum, argmax) if sign > 0 else (minimum, argmin)
    index = where(value, axis, keepdim)

    def rule(g: Value, out: Value) -> list[Value]:
        at = axis_of(value, axis)
        n, *after = value.shape[at:]
        shape = (*value.shape[:at], 1, *after)
        chosen = e.equal(graph.reshape(index, shape), along(n, len(after)))
        return [e.select(chosen, graph.reshape(g, shape), 0.0)]

    return graph.custom(find(value, axis, keepdim), rule, value), index


def matmul(a: Value, b: Value) -> Value:
    """The matrix product; 1-D operands are vectors, leading axes are batches and broadcast."""
    if not isinstance(b, Value) or not a.shape or not b.shape:
        raise UsageError(f"matmul of {a} and {b}: a scalar is no matrix, use *")
    left = graph.reshape(a, (1, *a.shape)) if len(a.shape) == 1 else a
    right = graph.reshape(b, (*b.shape, 1)) if len(b.shape) == 1 else b
    if left.shape[-1] != right.shape[-2]:
        raise UsageError(f"cannot multiply {a.shape} and {b.shape}: columns and rows differ")
    product = _matrices(left, right)
    batch, rows, columns = product.shape[:-2], a.shape[-2:-1], b.shape[-1:] * (len(b.shape) > 1)
    return graph.reshape(product, (*batch, *rows, *columns))


def _matrices(a: Value, b: Value) -> Value:
    """The product of batches of matrices, broadcast; (batch..., m, n)."""
    m, k, n = a.shape[-2], a.shape[-1], b.shape[-1]
    batch = e.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    if prod(b.shape[:-2]) == 1:
        # One matrix on the right: all rows of all batches are one matrix, so that the gradient
        # of the right-hand side is one product, too.
        left, right = graph.reshape(a, (1, prod(a.shape[:-1]), k)), graph.reshape(b, (1, k, n))
    else:
        left = graph.reshape(e.broadcast_to(a, (*batch, m, k)), (prod(batch), m, k))
        right = graph.reshape(e.broadcast_to(b, (*batch, k, n)), (prod(batch), k, n))
    return graph.reshape(_dot(left, right), (*batch, m, n))


def _dot(a: Value, b: Value) -> Value:
    """(batch, m, k) x (batch, k, n) -> (batch, m, n), in FLOAT32 or integers."""
    if a.is_float or b.is_float:
        return graph.dot(e.to_float(a), e.to_float(b))
    (batch, k, n), wide = b.shape, graph.reshape(a, (*a.shape, 1))
    return total(e.mul(wide, graph.reshape(b, (batch, 1, k, n))), -2)


def contract(formula: str, a: Value, b: Value) -> Value:
    """Einstein's sum of two values as one DOT: "bik,bjk->bij".

    Letters of both and the result are batches; letters of both and not of the result are summed,
    in the order in which the first has them. A letter of one operand alone must be in the result.
    """
    operands, out = formula.split("->")
    left, right = operands.split(",")
    sizes = dict(zip(left + right, a.shape + b.shape, strict=True))
    batch = [c for c in out if c in left and c in right]
    m, n = ([c for c in out if c in side and c not in batch] for side in (left, right))
    k = [c for c in left if c in right and c not in out]
    lefts, rights = _grouped(a, left, batch, m, k), _grouped(b, right, batch, k, n)
    letters = batch + m + n
    product = graph.reshape(_dot(lefts, rights), [sizes[c] for c in letters])
    if not k:
        product = graph.cast(product, e.promote(a.dtype, b.dtype))
    return graph.permute(product, [letters.index(c) for c in out])


def _grouped(value: Value, letters: str, *groups: list[str]) -> Value:
    """The axes of each group as one axis."""
    moved = graph.permute(value, [letters.index(c) for group in groups for c in group])
    sizes = dict(zip(letters, value.shape, strict=True))
    return graph.reshape(moved, [prod(sizes[c] for c in group) for group in groups])


def rows(table: Value, index: Value) -> Value:
    """table[index] along the first axis; a row of zeros where the index is out of range.

    A negative index is out of range. The result has shape index.shape + table.shape[1:].
    """
    if not table.shape:
        raise UsageError("a scalar has no rows to index")
    if index.dtype is not DType.INT32:
        raise UsageError(f"an index tensor must be INT32, not {index.dtype.name}")
    flat = graph.reshape(table, (table.shape[0], prod(table.shape[1:])))
    picked = graph.gather(flat, graph.reshape(index, (index.size,)))
    return graph.reshape(picked, (*index.shape, *table.shape[1:]))
