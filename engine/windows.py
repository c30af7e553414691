"""Windows: the last axes cut into overlapping pieces, which costs no copy; and the way back.

Convolution and pooling read windows. Both directions are affine views: an element's gradient is the
sum over the windows that it is in, gathered from where they are, never scattered.
"""

from functools import partial
from math import prod

from engine import graph
from engine.errors import UsageError
from engine.graph import Shape, Value
from engine.ops import Op


def windows(value: Value, size: Shape, stride: Shape, dilation: Shape) -> Value:
    """(..., *axes) -> (..., *counts, *size): element o, k is element o * stride + k * dilation."""
    rank, lead, axes = len(size), value.shape[: -len(size)], value.shape[-len(size) :]
    free = [n - (k - 1) * d for n, k, d in zip(axes, size, dilation, strict=True)]
    if min(*size, *stride, *dilation, *free) < 1:
        raise UsageError(f"no window of {size}, {stride=}, {dilation=}, fits into axes {axes}")
    shape = (*lead, *((n - 1) // s + 1 for n, s in zip(free, stride, strict=True)), *size)
    steps = [{len(lead) + a: stride[a], len(lead) + rank + a: dilation[a]} for a in range(rank)]
    places = [*({a: 1} for a in range(len(lead))), *steps]
    back = partial(overlap_add, axes=axes, stride=stride, dilation=dilation)
    shown = graph.affine(value, [(0, steps) for steps in places], shape)
    return graph.custom(shown, lambda g, _: (back(g),), value)


def overlap_add(value: Value, axes: Shape, stride: Shape, dilation: Shape) -> Value:
    """The transpose of `windows`: (..., *counts, *size) -> (..., *axes).

    Zeros between the elements of a window take the dilation away. Then, with k = r + t * stride,
    element q * stride + r is the sum over t of window q - t at k.
    """
    rank = len(axes)
    at, last = len(value.shape) - 2 * rank, len(value.shape)
    lead, counts, size = value.shape[:at], value.shape[at:-rank], value.shape[-rank:]
    reach = [k * d for k, d in zip(size, dilation, strict=True)]
    terms = [-(-e // s) for e, s in zip(reach, stride, strict=True)]
    groups = [-(-n // s) for n, s in zip(axes, stride, strict=True)]
    none = [(0, 0)] * (at + rank)
    split = graph.reshape(value, (*lead, *counts, *(n for k in size for n in (k, 1))))
    split = graph.pad(split, none + [pair for d in dilation for pair in ((0, 0), (0, d - 1))])
    outer = [(t - 1, max(q - n, 0)) for t, q, n in zip(terms, groups, counts, strict=True)]
    inner = [(0, t * s - e) for t, s, e in zip(terms, stride, reach, strict=True)]
    padded = graph.pad(graph.reshape(split, (*lead, *counts, *reach)), none[:at] + outer + inner)
    shape = (*lead, *(n for pair in zip(groups, stride, strict=True) for n in pair), *terms)
    window = [(terms[a] - 1, {at + 2 * a: 1, last + a: -1}) for a in range(rank)]
    element = [(0, {at + 2 * a + 1: 1, last + a: stride[a]}) for a in range(rank)]
    sheared = graph.affine(padded, [*((0, {a: 1}) for a in range(at)), *window, *element], shape)
    total = graph.fold(Op.SUM, graph.reshape(sheared, (*shape[:last], prod(terms))))
    whole = [q * s for q, s in zip(groups, stride, strict=True)]
    ones = (1,) * (at + rank)
    result = graph.slice_(
        graph.reshape(total, (*lead, *whole)), (0,) * len(ones), ones, (*lead, *axes)
    )
    back = partial(windows, size=size, stride=stride, dilation=dilation)
    return graph.custom(result, lambda g, _: (back(g),), value)
