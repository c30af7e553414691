"""Padding: constants, reflections, repetitions or the other end around a tensor.

Widths are (low, high) per axis; a negative one crops.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

from engine import elementwise as e
from engine import graph
from engine.dtypes import DType
from engine.errors import UsageError
from engine.graph import Scalar, Shape, Value
from engine.movement import cat, expand, flip

if TYPE_CHECKING:
    from engine.tensor import Tensor

Widths: TypeAlias = tuple[tuple[int, int], ...]


def per_axis(numbers: int | Sequence[int], rank: int) -> Shape:
    """One number for every axis, from one for all or one each."""
    several = (numbers,) * rank if isinstance(numbers, int) else tuple(numbers)
    if len(several) != rank:
        raise UsageError(f"{several} must be one number or {rank}, one for each axis")
    return several


def widths_of(padding: int | Sequence[int] | str, rank: int) -> Widths:
    """Widths of the last `rank` axes: one number, one per axis, or flat from the last axis."""
    if isinstance(padding, str):
        if padding != "valid":
            raise UsageError(f"padding must be numbers, 'same' or 'valid', not {padding!r}")
        padding = 0
    if not isinstance(padding, int) and len(padding) == 2 * rank != rank:
        return tuple(zip(padding[-2::-2], padding[::-2], strict=True))
    return tuple((p, p) for p in per_axis(padding, rank))


def resized(value: Value, widths: Sequence[tuple[int, int]], fill: Scalar = 0) -> Value:
    """The last axes padded with a number, or cropped."""
    lead = len(value.shape) - len(widths)
    every = [(0, 0)] * lead + [tuple(w) for w in widths]
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
    x: "Tensor",
    padding: Sequence[int] | Sequence[tuple[int, int] | None],
    mode: str = "constant",
    value: Scalar = 0,
) -> "Tensor":
    """Padded, or cropped by negative widths; mode constant, reflect, replicate or circular.

    `padding` is (low, high) or None for every axis, or flat from the last axis backwards as in
    torch: (left, right, top, bottom, ...).
    """
    pairs = [(0, 0) if p is None else p for p in padding if not isinstance(p, int)]
    if not pairs:
        flat = [p for p in padding if isinstance(p, int)]
        pairs = list(zip(flat[::2], flat[1::2], strict=True))[::-1]
    pairs = [(0, 0)] * (x.ndim - len(pairs)) + pairs
    if len(pairs) > x.ndim:
        raise UsageError(f"padding {padding} has more axes than shape {x.shape}")
    if mode == "constant":
        return type(x).of(resized(x.value, pairs, value))
    result = x.value
    for axis, (low, high) in enumerate(pairs):
        result = _extended(result, axis, low, high, mode)
    return type(x).of(result)


def _extended(value: Value, axis: int, low: int, high: int, mode: str) -> Value:
    """An axis with more of its own elements at both ends."""
    n = value.shape[axis]
    most = {"reflect": n - 1, "circular": n}.get(mode)
    if mode not in ("reflect", "replicate", "circular"):
        raise UsageError(f"mode {mode!r}: it must be constant, reflect, replicate or circular")
    if most is not None and max(low, high) > most:
        raise UsageError(f"{mode} padding of {low}, {high} needs an axis longer than {n}")

    def part(start: int, count: int) -> Value:
        starts = [start if a == axis else 0 for a in range(len(value.shape))]
        shape = [count if a == axis else m for a, m in enumerate(value.shape)]
        return graph.slice_(value, starts, [1] * len(starts), shape)

    parts = [part(max(-low, 0), n + min(low, 0) + min(high, 0))]
    for width, edge, reflected, around in ((low, 0, 1, n - low), (high, n - 1, n - 1 - high, 0)):
        if width <= 0:
            continue
        if mode == "replicate":
            shape = [width if a == axis else m for a, m in enumerate(value.shape)]
            more = expand(part(edge, 1), shape)
        else:
            more = part(around, width) if mode == "circular" else part(reflected, width)
            more = flip(more, axis) if mode == "reflect" else more
        parts = [more, *parts] if width == low and edge == 0 else [*parts, more]
    return cat(parts, axis) if len(parts) > 1 else parts[0]
