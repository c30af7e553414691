"""Padding, and windows: the last axes cut into overlapping pieces, which costs no copy; and back.

Convolution and pooling read windows. Both directions are affine views: an element's gradient is the
sum over the windows that it is in, gathered from where they are, never scattered.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import TYPE_CHECKING, TypeAlias

from engine import elementwise as e
from engine import graph
from engine.dtypes import DType
from engine.errors import UsageError
from engine.graph import Scalar, Shape, Value
from engine.ops import Op

if TYPE_CHECKING:
    from engine.tensor import Tensor

Sizes: TypeAlias = int | Sequence[int]
Widths: TypeAlias = tuple[tuple[int, int], ...]
"""What is added on both sides of axes, (low, high) each; a negative one crops."""


def per_axis(numbers: Sizes, rank: int) -> Shape:
    """One number for every axis, from one for all or one each."""
    several = (numbers,) * rank if isinstance(numbers, int) else tuple(numbers)
    if len(several) != rank:
        raise UsageError(f"{several} must be one number or {rank}, one for each axis")
    return several


def widths_of(padding: Sizes, rank: int) -> Widths:
    """Widths of the last `rank` axes: one number, one per axis, or flat from the last axis."""
    if not isinstance(padding, int) and len(padding) == 2 * rank:
        return tuple(zip(padding[-2::-2], padding[::-2], strict=True))
    return tuple((p, p) for p in per_axis(padding, rank))


def resized(value: Value, widths: Widths, fill: Scalar = 0) -> Value:
    """The last axes padded with a number, or cropped."""
    every = ((0, 0),) * (len(value.shape) - len(widths)) + widths
    starts = [max(-low, 0) for low, _ in every]
    shape = [n + min(a, 0) + min(b, 0) for n, (a, b) in zip(value.shape, every, strict=True)]
    sizes = graph.checked_shape(shape)
    kept = graph.slice_(value, [range(s, s + n) for s, n in zip(starts, sizes, strict=True)])
    added = [(max(low, 0), max(high, 0)) for low, high in every]
    padded = graph.pad(kept, added)
    if fill == 0 or padded is kept:
        return padded
    inside = graph.pad(graph.const(True, DType.BOOL, kept.shape), added)
    return e.select(inside, padded, graph.const(fill, value.dtype, padded.shape))


def pad(
    x: Tensor, padding: Sequence[int] | Sequence[tuple[int, int] | None], mode: str = "constant",
    value: Scalar = 0,
) -> Tensor:  # fmt: skip
    """Padded, or cropped by negative widths; mode constant, reflect, replicate or circular.

    `padding` is (low, high) or None for every axis, or flat from the last axis backwards as in
    torch: (left, right, top, bottom, ...).
    """
    flat = [p for p in padding if isinstance(p, int)]
    pairs = tuple((0, 0) if p is None else p for p in padding if not isinstance(p, int))
    pairs = widths_of(flat, len(flat) // 2) if flat else pairs
    if len(pairs) > x.ndim:
        raise UsageError(f"padding {padding} has more axes than shape {x.shape}")
    if mode == "constant":
        return type(x).of(resized(x.value, pairs, value))
    for axis, (low, high) in enumerate(pairs, x.ndim - len(pairs)):
        n = x.shape[axis]
        place = x.arange(-low, n + high)
        mirrored = (n - 1) - ((n - 1) - place.abs()).abs()
        index = {"reflect": mirrored, "replicate": place.clamp(0, n - 1), "circular": place % n}
        limit = {"reflect": n - 1, "circular": n}.get(mode, max(low, high))
        if mode not in index or max(low, high) > limit:
            raise UsageError(f"padding of {padding}, mode {mode!r}, is not possible: {x.shape}")
        if (low, high) != (0, 0):
            x = x.index_select(axis, index[mode])
    return x


@dataclass(frozen=True, slots=True)
class Windows:
    """Where windows lie on the last axes; one entry for each axis."""

    size: Shape
    stride: Shape
    dilation: Shape
    widths: Widths
    more: Widths = ()  # beyond the padding

    def cut(self, value: Value, fill: Scalar = 0, more: Scalar = 0) -> Value:
        """(..., *axes) -> (..., *counts, *size), with numbers around and beyond."""
        padded = resized(resized(value, self.widths, fill), self.more, more)
        return windows(padded, self.size, self.stride, self.dilation)

    def added(self, parts: Value, axes: Shape) -> Value:
        """The transpose of `cut`: (..., *counts, *size) -> (..., *axes), overlaps added up."""
        padded = tuple(n + low + high for n, (low, high) in zip(axes, self.widths, strict=True))
        whole = overlap_add(parts, padded, self.stride, self.dilation)
        return resized(whole, tuple((-low, -high) for low, high in self.widths))

    def counts(self, axes: Shape) -> Shape:
        """How many windows there are along these axes."""
        sides = zip(axes, self.size, self.stride, self.dilation, self.widths, strict=True)
        return tuple((n + sum(width) - (k - 1) * d - 1) // s + 1 for n, k, s, d, width in sides)

    def covered(self, counts: Shape) -> Shape:
        """The axes that so many windows cover."""
        sides = zip(counts, self.size, self.stride, self.dilation, self.widths, strict=True)
        return tuple((m - 1) * s + (k - 1) * d + 1 - sum(width) for m, k, s, d, width in sides)


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
    result = graph.slice_(graph.reshape(total, (*lead, *whole)), [*map(range, (*lead, *axes))])
    back = partial(windows, size=size, stride=stride, dilation=dilation)
    return graph.custom(result, lambda g, _: (back(g),), value)
