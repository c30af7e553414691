"""Reshaping, indexing and joining graph values, torch-like: axes may be negative.

An index is an integer, a slice, None or ..., or a tuple of them. Everything here copies elements
from statically known addresses; addressing by data is `engine.folds.rows`.
"""

from collections.abc import Sequence
from math import prod
from operator import index
from types import EllipsisType
from typing import TypeAlias

from engine import elementwise as e
from engine import graph
from engine.dtypes import DType
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
    result = sorted(axis_of(value, axis) for axis in several)
    if len(set(result)) != len(result):
        raise UsageError(f"axes {several} name an axis of {value.shape} twice")
    return tuple(result)


def reshape(value: Value, shape: Sequence[int]) -> Value:
    """The same elements in another shape; one dimension may be -1 and is worked out."""
    if -1 not in shape:
        return graph.reshape(value, shape)
    known = prod(n for n in shape if n != -1)
    if list(shape).count(-1) > 1 or known < 1 or value.size % known:
        raise UsageError(f"cannot reshape {value.shape} ({value.size} elements) to {tuple(shape)}")
    return graph.reshape(value, [value.size // known if n == -1 else n for n in shape])


def permute(value: Value, axes: Sequence[int]) -> Value:
    """Axis i of the result is axis axes[i] of the input."""
    return graph.permute(value, [axis_of(value, axis) for axis in axes])


def transpose(value: Value, a: int, b: int) -> Value:
    """Two axes swapped."""
    order = list(range(len(value.shape)))
    a, b = axis_of(value, a), axis_of(value, b)
    order[a], order[b] = b, a
    return graph.permute(value, order)


def expand(value: Value, shape: Sequence[int]) -> Value:
    """Stretched to `shape`; -1 keeps a dimension, new ones come in front."""
    missing = len(shape) - len(value.shape)
    if missing < 0:
        raise UsageError(f"cannot expand {value.shape} to {tuple(shape)}")
    old = (1,) * missing + value.shape
    return e.broadcast_to(
        value, tuple(m if n == -1 else n for n, m in zip(shape, old, strict=True))
    )


def flatten(value: Value, start: int, end: int) -> Value:
    """Axes start to end (included) as one."""
    if not value.shape:
        return graph.reshape(value, (1,))
    start, end = axis_of(value, start), axis_of(value, end)
    if start > end:
        raise UsageError(f"cannot flatten {value.shape} from axis {start} to {end}")
    middle = prod(value.shape[start : end + 1])
    return graph.reshape(value, (*value.shape[:start], middle, *value.shape[end + 1 :]))


def squeeze(value: Value, axes: int | Sequence[int] | None) -> Value:
    """Without axes of length 1: the given ones (others stay) or all."""
    chosen = axes_of(value, axes)
    kept = [n for a, n in enumerate(value.shape) if a not in chosen or n != 1]
    return graph.reshape(value, kept)


def unsqueeze(value: Value, axis: int) -> Value:
    """With a new axis of length 1 at `axis`."""
    at = axis_of(value, axis, extra=1)
    return graph.reshape(value, (*value.shape[:at], 1, *value.shape[at:]))


def flip(value: Value, axes: int | Sequence[int] | None) -> Value:
    """The order of the elements along the axes reversed."""
    chosen = axes_of(value, axes)
    starts = [n - 1 if a in chosen else 0 for a, n in enumerate(value.shape)]
    steps = [-1 if a in chosen else 1 for a in range(len(value.shape))]
    return graph.slice_(value, starts, steps, value.shape)


def getitem(value: Value, key: Index) -> Value:
    """numpy's basic indexing."""
    items = _full_index(value, key if isinstance(key, tuple) else (key,))
    starts, steps, counts, shape = [], [], [], []
    axis = 0
    for item in items:
        if item is None:
            shape.append(1)
            continue
        start, step, count = _range(item, value.shape[axis], value.shape)
        starts.append(start)
        steps.append(step)
        counts.append(count)
        if isinstance(item, slice):
            shape.append(count)
        axis += 1
    return graph.reshape(graph.slice_(value, starts, steps, counts), shape)


def _full_index(value: Value, items: tuple[IndexItem, ...]) -> list[int | slice | None]:
    """The index with one item per axis, besides None."""
    rank = len(value.shape)
    used = sum(1 for item in items if item is not None and item is not ...)
    dots = [i for i, item in enumerate(items) if item is ...]
    if used > rank or len(dots) > 1:
        raise UsageError(f"the index {items} has too many parts for shape {value.shape}")
    at = dots[0] if dots else len(items)
    filled = (*items[:at], *[slice(None)] * (rank - used), *items[at + 1 :])
    return [item for item in filled if not isinstance(item, EllipsisType)]


def _range(item: int | slice, n: int, shape: Shape) -> tuple[int, int, int]:
    """(start, step, count) of an index item on an axis of length n."""
    if isinstance(item, slice):
        chosen = range(*item.indices(n))
        return chosen.start, chosen.step, len(chosen)
    try:
        place = index(item)
    except TypeError:
        raise UsageError(f"an index must be an integer or a slice, not {item!r}") from None
    if not -n <= place < n:
        raise UsageError(f"index {place} is out of range for an axis of length {n} in {shape}")
    return place % n, 1, 1


def cat(values: Sequence[Value], axis: int) -> Value:
    """The values joined along an axis; they agree in the other dimensions."""
    if not values:
        raise UsageError("cat() of no tensors")
    dtype = values[0].dtype
    for other in values[1:]:
        dtype = dtype if dtype is other.dtype else e.promote(dtype, other.dtype)
    parts = [graph.cast(v, dtype) for v in values]
    at = axis_of(parts[0], axis)
    rest = {(*p.shape[:at], *p.shape[at + 1 :]) for p in parts}
    if len(rest) != 1 or len({len(p.shape) for p in parts}) != 1:
        shapes = ", ".join(str(p.shape) for p in parts)
        raise UsageError(f"cannot join shapes {shapes} along axis {axis}")
    joined = _joined([graph.cast(p, e.computed(dtype)) for p in parts], at)
    return graph.custom(graph.cast(joined, dtype), _cat_gradient(parts, at), *parts)


def _joined(parts: list[Value], axis: int) -> Value:
    """Halves joined recursively, each element chosen once per level: never added to a zero, which
    would turn -0 into +0."""
    if len(parts) == 1:
        return parts[0]
    left = _joined(parts[: len(parts) // 2], axis)
    right = _joined(parts[len(parts) // 2 :], axis)
    n, m, rank = left.shape[axis], right.shape[axis], len(left.shape)
    none = [(0, 0)]
    before, after = none * axis, none * (rank - axis - 1)
    position = graph.reshape(graph.iota(n + m), (n + m, *[1] * len(after)))
    return e.select(
        e.less(position, n),
        graph.pad(left, [*before, (0, m), *after]),
        graph.pad(right, [*before, (n, 0), *after]),
    )


def _cat_gradient(parts: Sequence[Value], axis: int) -> graph.Rule:
    def rule(g: Value, out: Value) -> list[Value]:
        starts = [0] * len(g.shape)
        gradients = []
        for part in parts:
            gradients.append(graph.slice_(g, starts, [1] * len(starts), part.shape))
            starts[axis] += part.shape[axis]
        return gradients

    return rule


def arange(start: int, stop: int, step: int) -> Value:
    """INT32 start, start + step, ... before stop."""
    chosen = range(start, stop, step)
    return e.add(e.mul(graph.iota(len(chosen)), step), start)


def eye(n: int, m: int, dtype: DType) -> Value:
    """Ones on the diagonal."""
    rows, columns = graph.reshape(graph.iota(n), (n, 1)), graph.iota(m)
    return graph.cast(e.equal(rows, columns), dtype)
