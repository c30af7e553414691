"""Reshaping, indexing and joining graph values, torch-like: axes may be negative.

An index is an integer, a slice, None or ..., or a tuple of them. Everything here copies elements
from statically known addresses; addressing by data is `engine.folds.rows`.
"""

from collections.abc import Sequence
from functools import reduce
from itertools import accumulate
from math import ceil, prod
from operator import index
from types import EllipsisType
from typing import TypeAlias, cast

from engine import elementwise as e
from engine import graph
from engine.dtypes import AnyType, DType
from engine.errors import UsageError
from engine.graph import Shape, Value

IndexItem: TypeAlias = "int | slice | EllipsisType | None"
Index: TypeAlias = "IndexItem | tuple[IndexItem, ...]"


def axis_of(value: Value, axis: int, extra: int = 0) -> int:
    """A non-negative axis; `extra` more axes than the value has are allowed."""
    rank = len(value.shape) + extra
    if not -rank <= axis < rank:
        raise UsageError(f"axis {axis} is out of range for shape {value.shape}")
    return axis % rank


def axes_of(value: Value, axes: int | Sequence[int] | None) -> tuple[int, ...]:
    """Non-negative axes in order; all of them for None."""
    if axes is None:
        return tuple(range(len(value.shape)))
    several = (axes,) if isinstance(axes, int) else tuple(axes)
    if not value.shape and set(several) <= {0, -1}:
        return ()
    result = sorted(axis_of(value, axis) for axis in several)
    if len(set(result)) != len(result):
        raise UsageError(f"axes {several} name an axis of {value.shape} twice")
    return tuple(result)


def integers(arguments: Sequence[int | Sequence[int]]) -> tuple[int, ...]:
    """Shape or axes given as integers or as one sequence."""
    if len(arguments) == 1 and not isinstance(arguments[0], int):
        return tuple(arguments[0])
    if not all(isinstance(n, int) for n in arguments):
        raise UsageError(f"{arguments} must be integers or one sequence of integers")
    return tuple(n for n in arguments if isinstance(n, int))


def reshape(value: Value, *sizes: int | Sequence[int | None] | None) -> Value:
    """The same elements in another shape; -1, once, is worked out, and None keeps a dimension."""
    only = sizes[0] if len(sizes) == 1 else None
    given = only if isinstance(only, Sequence) else sizes
    filled = [value.shape[i] if n is None else cast(int, n) for i, n in enumerate(given)]
    shape = integers(filled) if given is sizes else tuple(filled)
    if -1 not in shape:
        return graph.reshape(value, shape)
    known = prod(n for n in shape if n != -1)
    if list(shape).count(-1) > 1 or known < 1 or value.size % known:
        raise UsageError(f"cannot reshape {value.shape} ({value.size} elements) to {tuple(shape)}")
    return graph.reshape(value, [value.size // known if n == -1 else n for n in shape])


def permute(value: Value, *axes: int | Sequence[int]) -> Value:
    """Axis i of the result is axis axes[i] of the input; without axes, in reverse order."""
    order = integers(axes) or range(len(value.shape))[::-1]
    return graph.permute(value, [axis_of(value, axis) for axis in order])


def transpose(value: Value, axis0: int = -2, axis1: int = -1) -> Value:
    """Two axes swapped."""
    if not value.shape:
        return value
    a, b = axis_of(value, axis0), axis_of(value, axis1)
    return graph.permute(value, [{a: b, b: a}.get(i, i) for i in range(len(value.shape))])


def movedim(value: Value, source: int | Sequence[int], destination: int | Sequence[int]) -> Value:
    """Axes moved to other places; the rest keeps its order."""
    pairs = [(n,) if isinstance(n, int) else n for n in (source, destination)]
    froms, tos = ([axis_of(value, axis) for axis in axes] for axes in pairs)
    rest = iter(a for a in range(len(value.shape)) if a not in froms)
    places = dict(zip(tos, froms, strict=True))
    order = [places[a] if a in places else next(rest) for a in range(len(value.shape))]
    return graph.permute(value, order)


def expand(value: Value, *sizes: int | Sequence[int]) -> Value:
    """Stretched to a shape; -1 keeps a dimension, new ones come in front."""
    shape = integers(sizes)
    missing = len(shape) - len(value.shape)
    if missing < 0:
        raise UsageError(f"cannot expand {value.shape} to {tuple(shape)}")
    pairs = zip(shape, (1,) * missing + value.shape, strict=True)
    return e.broadcast_to(value, tuple(m if n == -1 else n for n, m in pairs))


def flatten(value: Value, start: int = 0, end: int = -1) -> Value:
    """Axes start to end (included) as one."""
    if not value.shape:
        return graph.reshape(value, (1,))
    start, end = axis_of(value, start), axis_of(value, end)
    if start > end:
        raise UsageError(f"cannot flatten {value.shape} from axis {start} to {end}")
    middle = prod(value.shape[start : end + 1])
    return graph.reshape(value, (*value.shape[:start], middle, *value.shape[end + 1 :]))


def unflatten(value: Value, axis: int, shape: Sequence[int]) -> Value:
    """One axis as several; one dimension may be -1."""
    at = axis_of(value, axis)
    if -1 in shape:
        known = prod(n for n in shape if n != -1)
        shape = [value.shape[at] // max(known, 1) if n == -1 else n for n in shape]
    return graph.reshape(value, (*value.shape[:at], *shape, *value.shape[at + 1 :]))


def squeeze(value: Value, axis: int | Sequence[int] | None = None) -> Value:
    """Without axes of length 1: the given ones (others stay) or all."""
    chosen = axes_of(value, axis)
    kept = [n for a, n in enumerate(value.shape) if a not in chosen or n != 1]
    return graph.reshape(value, kept)


def unsqueeze(value: Value, axis: int) -> Value:
    """With a new axis of length 1 at `axis`."""
    at = axis_of(value, axis, extra=1)
    return graph.reshape(value, (*value.shape[:at], 1, *value.shape[at:]))


def flip(value: Value, *axes: int | Sequence[int]) -> Value:
    """The order of the elements along the axes reversed; along all axes without."""
    chosen = axes_of(value, integers(axes) if axes else None)
    whole = enumerate(map(range, value.shape))
    return graph.slice_(value, [r[::-1] if a in chosen else r for a, r in whole])


def narrow(value: Value, axis: int, start: int, length: int) -> Value:
    """`length` elements of an axis from `start`, which may be negative."""
    at = axis_of(value, axis)
    ranges = [range(n) for n in value.shape]
    first = start % max(value.shape[at], 1) if start < 0 else start
    ranges[at] = range(first, first + graph.checked_shape([length])[0])
    return graph.slice_(value, ranges)


def diagonal(value: Value, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Value:
    """The elements (i, i + offset) of two axes, as the last axis."""
    moved = movedim(value, (axis1, axis2), (-2, -1))
    *batch, n, m = moved.shape
    count = max(0, min(n + min(offset, 0), m - max(offset, 0)))
    flat = graph.reshape(moved, (*batch, n * m))
    start = offset if offset > 0 else -offset * m
    return graph.slice_(flat, [*map(range, batch), range(start, start + count * (m + 1), m + 1)])


def diag_embed(value: Value, offset: int = 0, axis1: int = -2, axis2: int = -1) -> Value:
    """The last axis on the diagonal of two new ones, zeros elsewhere."""
    *batch, n = value.shape
    columns = graph.reshape(value, (*batch, 1, n))
    square = _chosen(eye(n, n, DType.BOOL), columns, graph.const(0, value.dtype))
    low, high = max(-offset, 0), max(offset, 0)
    padded = graph.pad(square, [*[(0, 0)] * len(batch), (low, high), (high, low)])
    return movedim(padded, (-2, -1), (axis1, axis2))


def diag(value: Value, cut: int = 0) -> Value:
    """A matrix with this diagonal, or the diagonal of a matrix."""
    return (diag_embed if len(value.shape) == 1 else diagonal)(value, cut)


def tril(value: Value, cut: int = 0) -> Value:
    """Zeros above a diagonal."""
    return _chosen(_is_above(value, cut), graph.const(0, value.dtype), value)


def triu(value: Value, cut: int = 0) -> Value:
    """Zeros below a diagonal."""
    return _chosen(_is_above(value, cut - 1), value, graph.const(0, value.dtype))


def _is_above(value: Value, cut: int) -> Value:
    n, m = value.shape[-2:]
    return e.less(e.add(along(n, 1), cut), graph.iota(m))


def getitem(value: Value, key: Index) -> Value:
    """numpy's basic indexing."""
    ranges, shape = _ranges(value, key)
    return graph.reshape(graph.slice_(value, ranges), shape)


def setitem(value: Value, key: Index, new: Value) -> Value:
    """`value` with the elements that a basic index names replaced."""
    ranges, shape = _ranges(value, key)
    counts = [len(places) for places in ranges]
    if 0 in counts:
        return value
    while len(new.shape) > len(shape) and new.shape[0] == 1:
        new = graph.reshape(new, new.shape[1:])
    laid = graph.reshape(e.broadcast_to(graph.cast(new, value.dtype), tuple(shape)), counts)
    here = graph.const(True, DType.BOOL, counts)
    is_new, placed = (place(v, ranges, value.shape) for v in (here, laid))
    return _chosen(is_new, placed, value)


def _chosen(condition: Value, a: Value, b: Value) -> Value:
    """A selection that keeps the dtype, also of storage."""
    return graph.cast(e.select(condition, a, b), b.dtype)


def place(value: Value, ranges: Sequence[range], shape: Shape) -> Value:
    """The transpose of a slice: every element where it came from, zeros elsewhere.

    Reversed where the step is negative, spread out by the step, padded.
    """
    spread = flip(value, [axis for axis, places in enumerate(ranges) if places.step < 0])
    for axis, places in enumerate(ranges):
        spread = _spread(spread, axis, abs(places.step))
    return graph.pad(spread, [(min(r), n - 1 - max(r)) for r, n in zip(ranges, shape, strict=True)])


def _spread(value: Value, axis: int, step: int) -> Value:
    """step - 1 zeros between the elements along an axis."""
    n, rank = value.shape[axis], len(value.shape)
    if step == 1 or n == 1:
        return value
    widths = [(0, step - 1 if a == axis + 1 else 0) for a in range(rank + 1)]
    padded = graph.pad(unsqueeze(value, axis + 1), widths)
    return narrow(flatten(padded, axis, axis + 1), axis, 0, (n - 1) * step + 1)


def _ranges(value: Value, key: Index) -> tuple[list[range], list[int]]:
    """What an index shows of each axis, and the shape of the result."""
    items = full_index(value, key if isinstance(key, tuple) else (key,))
    axes = iter(value.shape)
    ranges = [range(1) if i is None else _range(i, next(axes), value.shape) for i in items]
    pairs = list(zip(items, ranges, strict=True))
    shape = [len(r) for item, r in pairs if item is None or isinstance(item, slice)]
    return [r for item, r in pairs if item is not None], shape


def full_index(value: Value, items: tuple[IndexItem, ...]) -> list[int | slice | None]:
    """The index with one item per axis, besides None."""
    rank = len(value.shape)
    used = sum(1 for item in items if item is not None and item is not ...)
    dots = [i for i, item in enumerate(items) if item is ...]
    if len(dots) > 1:
        raise UsageError(f"the index {items} may have a single ellipsis")
    if used > rank:
        raise UsageError(f"the index {items} has too many parts for shape {value.shape}")
    at = dots[0] if dots else len(items)
    filled = (*items[:at], *[slice(None)] * (rank - used), *items[at + 1 :])
    return [item for item in filled if not isinstance(item, EllipsisType)]


def _range(item: int | slice, n: int, shape: Shape) -> range:
    """The places that an index item names on an axis of length n."""
    if isinstance(item, slice):
        return range(*item.indices(n))
    try:
        place = index(item)
    except TypeError:
        raise UsageError(f"an index must be an integer or a slice, not {item!r}") from None
    if not -n <= place < n:
        raise UsageError(f"index {place} is out of bounds for an axis of length {n} in {shape}")
    return range(place % n, place % n + 1)


def cat(values: Sequence[Value], axis: int) -> Value:
    """The values joined along an axis; they agree in the other dimensions."""
    if not values:
        raise UsageError("cat() of no tensors")
    dtype = reduce(lambda a, b: a if a is b else e.promote(a, b), [v.dtype for v in values])
    parts = [graph.cast(v, dtype) for v in values]
    at = axis_of(parts[0], axis)
    rest = {(*p.shape[:at], *p.shape[at + 1 :]) for p in parts}
    if len(rest) != 1 or len({len(p.shape) for p in parts}) != 1:
        shapes = ", ".join(str(p.shape) for p in parts)
        raise UsageError(f"cannot join shapes {shapes} along axis {axis}")
    joined = _joined([graph.cast(p, e.computed(dtype)) for p in parts], at)

    def rule(g: Value, _: Value) -> list[Value]:
        starts = accumulate([0, *(p.shape[at] for p in parts[:-1])])
        return [narrow(g, at, start, p.shape[at]) for start, p in zip(starts, parts, strict=True)]

    return graph.custom(graph.cast(joined, dtype), rule, *parts)


def _joined(parts: list[Value], axis: int) -> Value:
    """Halves joined recursively, each element chosen once per level: never added to a zero, which
    would turn -0 into +0."""
    if len(parts) == 1:
        return parts[0]
    half = len(parts) // 2
    left, right = _joined(parts[:half], axis), _joined(parts[half:], axis)
    n, m, rank = left.shape[axis], right.shape[axis], len(left.shape)
    lefts = [(0, m if a == axis else 0) for a in range(rank)]
    rights = [(n if a == axis else 0, 0) for a in range(rank)]
    is_left = e.less(along(n + m, rank - axis - 1), n)
    return e.select(is_left, graph.pad(left, lefts), graph.pad(right, rights))


def along(n: int, after: int) -> Value:
    """0 to n - 1 along an axis that so many others follow."""
    return graph.reshape(graph.iota(n), (n, *[1] * after))


def arange(start: float, stop: float, step: float) -> Value:
    """start, start + step, ... before stop; INT32 if they are integers, else FLOAT32."""
    count = max(0, ceil((stop - start) / step))
    kind = float if isinstance(stop, float) else int
    return e.add(e.mul(graph.iota(count), kind(step) if step == 1 else step), start)


def eye(n: int, m: int, dtype: AnyType) -> Value:
    """Ones on the diagonal."""
    return graph.cast(e.equal(along(n, 1), graph.iota(m)), dtype)
