"""Sums, maxima, matrix products and rows by index, on graph values, along any axes.

The ops fold the last axis in one fixed order. Several axes are folded as one, in the order in which
they stand; so a sum over two axes is not two sums, and has one defined result.
"""

from collections.abc import Sequence
from math import prod

from engine import elementwise as e
from engine import graph
from engine.dtypes import DType
from engine.errors import UsageError
from engine.graph import Value
from engine.movement import axes_of, axis_of
from engine.ops import Op

Axes = int | Sequence[int] | None


def fold(op: Op, value: Value, axes: Axes, keepdim: bool) -> Value:
    """SUM or MAX over axes (None: all), which are dropped or stay with length 1."""
    if value.dtype is DType.BOOL or value.dtype.is_storage:
        value = graph.cast(value, DType.INT32)
    folded = axes_of(value, axes)
    kept = [a for a in range(len(value.shape)) if a not in folded]
    rows = [value.shape[a] for a in kept]
    flat = graph.reshape(
        graph.permute(value, (*kept, *folded)), (*rows, prod(value.shape[a] for a in folded))
    )
    shape = [1 if a in folded else n for a, n in enumerate(value.shape)] if keepdim else rows
    return graph.reshape(graph.fold(op, flat), shape)


def total(value: Value, axes: Axes, keepdim: bool) -> Value:
    """The sum; INT32 for BOOL."""
    return fold(Op.SUM, value, axes, keepdim)


def mean(value: Value, axes: Axes, keepdim: bool) -> Value:
    """The sum, divided by the number of elements in FLOAT32."""
    added = total(e.to_float(value), axes, keepdim)
    return e.div(added, float(_count(value, axes)))


def var(value: Value, axes: Axes, correction: int, keepdim: bool) -> Value:
    """The variance from squared distances to the mean, over (count - correction)."""
    value = e.to_float(value)
    count = _count(value, axes) - correction
    if count < 1:
        raise UsageError(f"var() of {count + correction} elements with correction {correction}")
    distance = e.sub(value, mean(value, axes, keepdim=True))
    return e.div(total(e.mul(distance, distance), axes, keepdim), float(count))


def _count(value: Value, axes: Axes) -> int:
    return prod(value.shape[a] for a in axes_of(value, axes))


def maximum(value: Value, axes: Axes, keepdim: bool) -> Value:
    """The largest element; NaN if there is one."""
    return fold(Op.MAX, value, axes, keepdim)


def minimum(value: Value, axes: Axes, keepdim: bool) -> Value:
    """The smallest element; NaN if there is one."""
    if value.is_float:
        return e.neg(maximum(e.neg(value), axes, keepdim))
    if value.dtype is DType.BOOL or value.dtype.is_storage:
        value = graph.cast(value, DType.INT32)
    return e.not_(maximum(e.not_(value), axes, keepdim))  # -INT_MIN would wrap


def argmax(value: Value, axis: int | None, keepdim: bool) -> Value:
    """The INT32 index of the first largest element along an axis, or in the flat tensor."""
    if axis is None:
        flat = argmax(graph.reshape(value, (value.size,)), 0, False)
        return graph.reshape(flat, [1] * len(value.shape)) if keepdim else flat
    axis = axis_of(value, axis)
    n = value.shape[axis]
    is_largest = _equals(value, maximum(value, axis, keepdim=True))
    from_end = e.sub(n - 1, graph.reshape(graph.iota(n), (n, *[1] * (len(value.shape) - axis - 1))))
    return e.sub(n - 1, maximum(e.select(is_largest, from_end, 0), axis, keepdim))


def _equals(value: Value, largest: Value) -> Value:
    """Elements equal to the largest; NaN counts as equal to NaN."""
    same = e.equal(value, largest)
    if not value.is_float:
        return same
    return e.or_(same, e.not_(e.equal(value, value)))


def matmul(a: Value, b: Value) -> Value:
    """torch.matmul: 1-D operands are vectors, leading axes are batches and broadcast."""
    a, b = e.to_float(a), e.to_float(b)
    if not a.shape or not b.shape:
        raise UsageError(f"matmul of {a.shape} and {b.shape}: a scalar is no matrix, use *")
    left = graph.reshape(a, (1, *a.shape)) if len(a.shape) == 1 else a
    right = graph.reshape(b, (*b.shape, 1)) if len(b.shape) == 1 else b
    if left.shape[-1] != right.shape[-2]:
        raise UsageError(
            f"cannot multiply {a.shape} and {b.shape}: {left.shape[-1]} columns, "
            f"{right.shape[-2]} rows"
        )
    product = _matrices(left, right)
    batch, rows, columns = product.shape[:-2], a.shape[-2:-1], b.shape[-1:] * (len(b.shape) > 1)
    return graph.reshape(product, (*batch, *rows, *columns))


def _matrices(a: Value, b: Value) -> Value:
    """The product of batches of matrices, broadcast; (batch..., m, n)."""
    m, k, n = a.shape[-2], a.shape[-1], b.shape[-1]
    if prod(b.shape[:-2]) == 1:
        # One matrix on the right: all rows of all batches are one matrix, so that the gradient
        # of the right-hand side is one product, too.
        rows = prod(a.shape[:-1])
        one = graph.dot(graph.reshape(a, (1, rows, k)), graph.reshape(b, (1, k, n)))
        batch = e.broadcast_shapes(a.shape[:-2], b.shape[:-2])
        return graph.reshape(one, (*batch, m, n))
    batch = e.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    left = graph.reshape(e.broadcast_to(a, (*batch, m, k)), (prod(batch), m, k))
    right = graph.reshape(e.broadcast_to(b, (*batch, k, n)), (prod(batch), k, n))
    return graph.reshape(graph.dot(left, right), (*batch, m, n))


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
    product = graph.reshape(graph.dot(lefts, rights), [sizes[c] for c in letters])
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


def one_hot(index: Value, classes: int) -> Value:
    """BOOL (*index.shape, classes): whether the class is the index; all false if out of range."""
    if index.dtype is not DType.INT32:
        raise UsageError(f"one_hot takes INT32 classes, not {index.dtype.name}")
    return e.equal(graph.reshape(index, (*index.shape, 1)), graph.iota(classes))
