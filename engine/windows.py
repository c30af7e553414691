"""Windows: the last axes cut into overlapping pieces, which costs no copy; and the way back.

Convolution and pooling read windows. Both directions are affine views: an element's gradient is the
sum over the windows that it is in, gathered from where they are, never scattered.
"""

from collections.abc import Sequence
from functools import partial
from math import prod

from engine import graph
from engine.errors import UsageError
from engine.graph import Shape, Value
from engine.ops import Op


def counts(shape: Sequence[int], size: Shape, stride: Shape, dilation: Shape) -> Shape:
    """How many whole windows fit into axes of this shape."""
    if min(*size, *stride, *dilation) < 1:
        raise UsageError(f"window {size}, stride {stride}, dilation {dilation} must be positive")
    free = [n - (k - 1) * d for n, k, d in zip(shape, size, dilation, strict=True)]
    if min(free) < 1:
        raise UsageError(f"a window of {size}, dilation {dilation}, does not fit {tuple(shape)}")
    return tuple((n - 1) // s + 1 for n, s in zip(free, stride, strict=True))


def windows(value: Value, size: Shape, stride: Shape, dilation: Shape) -> Value:
    """(..., *axes) -> (..., *counts, *size): element o, k is element o * stride + k * dilation."""
    rank = len(size)
    lead, axes = value.shape[:-rank], value.shape[-rank:]
    shape = (*lead, *counts(axes, size, stride, dilation), *size)
    steps = _diagonal(len(lead), len(shape))
    for a, (s, d) in enumerate(zip(stride, dilation, strict=True)):
        steps.append(_row(len(shape), {len(lead) + a: s, len(lead) + rank + a: d}))
    shown = graph.affine(value, (0,) * len(value.shape), steps, shape)
    back = partial(overlap_add, axes=axes, stride=stride, dilation=dilation)
    return graph.custom(shown, lambda g, _: (back(g),), value)


def overlap_add(value: Value, axes: Shape, stride: Shape, dilation: Shape) -> Value:
    """The transpose of `windows`: (..., *counts, *size) -> (..., *axes).

    With k = r + t * stride, element q * stride + r is the sum over t of window q - t at k.
    """
    rank = len(axes)
    lead, size = value.shape[: -2 * rank], value.shape[-rank:]
    spread_out = value
    for a, d in enumerate(dilation):
        spread_out = spread(spread_out, len(lead) + rank + a, d)
    reach = [k * d for k, d in zip(size, dilation, strict=True)]
    terms = [-(-e // s) for e, s in zip(reach, stride, strict=True)]
    groups = [-(-n // s) for n, s in zip(axes, stride, strict=True)]
    found = value.shape[len(lead) : len(lead) + rank]
    outer = [(t - 1, max(q - n, 0)) for t, q, n in zip(terms, groups, found, strict=True)]
    inner = [(0, t * s - e) for t, s, e in zip(terms, stride, reach, strict=True)]
    padded = graph.pad(spread_out, [(0, 0)] * len(lead) + outer + inner)

    shape = (*lead, *(n for pair in zip(groups, stride, strict=True) for n in pair), *terms)
    starts = [0] * len(lead) + [t - 1 for t in terms] + [0] * rank
    at, last = len(lead), len(lead) + 2 * rank
    steps = _diagonal(len(lead), len(shape))
    steps += [_row(len(shape), {at + 2 * a: 1, last + a: -1}) for a in range(rank)]
    steps += [_row(len(shape), {at + 2 * a + 1: 1, last + a: stride[a]}) for a in range(rank)]
    sheared = graph.affine(padded, starts, steps, shape)
    total = graph.fold(Op.SUM, graph.reshape(sheared, (*shape[:last], prod(terms))))
    whole = [q * s for q, s in zip(groups, stride, strict=True)]
    everything = (*lead, *axes)
    result = graph.slice_(
        graph.reshape(total, (*lead, *whole)),
        (0,) * len(everything),
        (1,) * len(everything),
        everything,
    )
    back = partial(windows, size=size, stride=stride, dilation=dilation)
    return graph.custom(result, lambda g, _: (back(g),), value)


def spread(value: Value, axis: int, step: int) -> Value:
    """step - 1 zeros after every element of an axis."""
    if step == 1:
        return value
    before, n, after = value.shape[:axis], value.shape[axis], value.shape[axis + 1 :]
    split = graph.reshape(value, (*before, n, 1, *after))
    padded = graph.pad(split, [(0, 0)] * (axis + 1) + [(0, step - 1)] + [(0, 0)] * len(after))
    return graph.reshape(padded, (*before, n * step, *after))


def _diagonal(rows: int, columns: int) -> list[list[int]]:
    return [_row(columns, {a: 1}) for a in range(rows)]


def _row(columns: int, entries: dict[int, int]) -> list[int]:
    return [entries.get(column, 0) for column in range(columns)]
