"""Padding: a number, reflections, repetitions or the other end around a tensor.

Widths are (low, high) per axis; a negative one crops.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

from engine import elementwise as e
from engine import graph
from engine.dtypes import DType
from engine.errors import UsageError
from engine.graph import Scalar, Shape, Value

if TYPE_CHECKING:
    from engine.tensor import Tensor

Sizes: TypeAlias = int | Sequence[int]
Widths: TypeAlias = tuple[tuple[int, int], ...]


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
    kept = graph.slice_(value, starts, (1,) * len(starts), shape)
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
            x = x.transpose(0, axis)[index[mode]].transpose(0, axis)
    return x
