"""Convolutions as matrix products over windows, in any number of dimensions.

A convolution is linear in its input and in its weight. So three maps are enough, and each is one
DOT; the gradients of each are the two others (g groups, b images, k the elements of a window):

    correlate   what conv computes: b g products (co, ci k) x (ci k, places)
    spread_out  the gradient by the input, and what conv_transpose computes
    by_weight   the gradient by the weight: g products (co, b places) x (b places, ci k)

`spread_out` correlates with the flipped weight where windows are one apart; else it makes every
window's part of the input and adds up where they overlap, so that no zeros are multiplied.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING, TypeAlias

from engine import elementwise as e
from engine import graph
from engine.errors import UsageError
from engine.graph import Shape, Value
from engine.movement import flip
from engine.padding import Widths, per_axis, resized, widths_of
from engine.windows import counts, overlap_add, windows

if TYPE_CHECKING:
    from engine.tensor import Tensor

Sizes: TypeAlias = int | Sequence[int]


@dataclass(frozen=True, slots=True)
class Geometry:
    """Where windows lie: one entry per dimension; `widths` is the padding, negative to crop."""

    groups: int
    stride: Shape
    dilation: Shape
    widths: Widths


def correlate(x: Value, w: Value, how: Geometry) -> Value:
    """(b, g ci, *n), (g co, ci, *size) -> (b, g co, *places)."""
    return graph.custom(
        _correlate(x, w, how),
        lambda g, _: (spread_out(g, w, how, x.shape[2:]), by_weight(x, g, how, w.shape[2:])),
        *(x, w),
    )


def spread_out(y: Value, w: Value, how: Geometry, n: Shape) -> Value:
    """(b, g co, *places), (g co, ci, *size) -> (b, g ci, *n)."""
    direct = all(s == 1 for s in how.stride)
    return graph.custom(
        (_correlate_back if direct else _add_windows)(y, w, how, n),
        lambda g, _: (correlate(g, w, how), by_weight(g, y, how, w.shape[2:])),
        *(y, w),
    )


def by_weight(x: Value, y: Value, how: Geometry, size: Shape) -> Value:
    """(b, g ci, *n), (b, g co, *places) -> (g co, ci, *size)."""
    batch, rank, groups = y.shape[0], len(size), how.groups
    at = tuple(range(3 + 2 * rank))
    rows = graph.reshape(y, (batch, groups, y.shape[1] // groups, prod(y.shape[2:])))
    rows = graph.permute(rows, (1, 2, 0, 3))
    left = graph.reshape(rows, (*rows.shape[:2], batch * rows.shape[3]))
    shown = _windows(x, size, how)
    right = graph.permute(shown, (1, 0, *at[3 : 3 + rank], 2, *at[3 + rank :]))
    right = graph.reshape(right, (groups, left.shape[2], shown.shape[2] * prod(size)))
    product = graph.reshape(graph.dot(left, right), (y.shape[1], shown.shape[2], *size))
    return graph.custom(
        product, lambda g, _: (spread_out(y, g, how, x.shape[2:]), correlate(x, g, how)), x, y
    )


def _windows(x: Value, size: Shape, how: Geometry) -> Value:
    """(b, g ci, *n) -> (b, g, ci, *places, *size)."""
    shown = windows(resized(x, how.widths), size, how.stride, how.dilation)
    batch, channels, *rest = shown.shape
    return graph.reshape(shown, (batch, how.groups, channels // how.groups, *rest))


def _correlate(x: Value, w: Value, how: Geometry) -> Value:
    rank, size = len(w.shape) - 2, w.shape[2:]
    at = tuple(range(3 + 2 * rank))
    shown = _windows(x, size, how)
    batch, groups, inputs, *_ = shown.shape
    places, length = shown.shape[3 : 3 + rank], inputs * prod(size)
    right = graph.permute(shown, (0, 1, 2, *at[3 + rank :], *at[3 : 3 + rank]))
    right = graph.reshape(right, (batch * groups, length, prod(places)))
    left = _for_each_image(w, batch, (groups, w.shape[0] // groups, length))
    return graph.reshape(graph.dot(left, right), (batch, w.shape[0], *places))


def _for_each_image(w: Value, batch: int, shape: Shape) -> Value:
    """The weight as one matrix per image and group."""
    repeated = graph.expand(graph.reshape(w, (1, *shape)), (batch, *shape))
    return graph.reshape(repeated, (batch * shape[0], *shape[1:]))


def _correlate_back(y: Value, w: Value, how: Geometry, n: Shape) -> Value:
    """Where windows are one apart: a correlation with the flipped weight, ci and co swapped."""
    size, groups = w.shape[2:], how.groups
    reach = [(k - 1) * d for k, d in zip(size, how.dilation, strict=True)]
    lows = [r - low for r, (low, _) in zip(reach, how.widths, strict=True)]
    sides = zip(lows, reach, n, y.shape[2:], strict=True)
    widths = tuple((low, wanted - found - low + r) for low, r, wanted, found in sides)
    split = graph.reshape(w, (groups, w.shape[0] // groups, w.shape[1], *size))
    swapped = graph.permute(split, (0, 2, 1, *range(3, 3 + len(size))))
    flipped = flip(swapped, tuple(range(3, 3 + len(size))))
    weight = graph.reshape(flipped, (groups * w.shape[1], w.shape[0] // groups, *size))
    return _correlate(y, weight, replace(how, widths=widths))


def _add_windows(y: Value, w: Value, how: Geometry, n: Shape) -> Value:
    """What every window adds to the input, added up."""
    batch, groups, (_, inputs, *size) = y.shape[0], how.groups, w.shape
    outputs, length, places = w.shape[0] // groups, inputs * prod(size), y.shape[2:]
    weight = graph.permute(graph.reshape(w, (groups, outputs, length)), (0, 2, 1))
    left = _for_each_image(weight, batch, (groups, length, outputs))
    right = graph.reshape(y, (batch * groups, outputs, prod(places)))
    parts = graph.reshape(graph.dot(left, right), (batch, groups * inputs, *size, *places))
    rank = len(size)
    axes = (0, 1, *range(2 + rank, 2 + 2 * rank), *range(2, 2 + rank))
    padded = tuple(m + low + high for m, (low, high) in zip(n, how.widths, strict=True))
    whole = overlap_add(graph.permute(parts, axes), padded, how.stride, how.dilation)
    return resized(whole, tuple((-low, -high) for low, high in how.widths))


def conv2d(
    x: "Tensor",
    weight: "Tensor",
    bias: "Tensor | None" = None,
    groups: int = 1,
    stride: Sizes = 1,
    dilation: Sizes = 1,
    padding: Sizes | str = 0,
) -> "Tensor":
    """Convolution of (batch, channels, *axes), or of one image, in as many axes as the weight has.

    The weight is (outputs, channels / groups, *size). Padding is one number, one per axis, "same",
    "valid", or low and high for each axis from the last one, as in torch.nn.functional.pad.
    """
    w = e.to_float(weight.value)
    rank = len(w.shape) - 2
    image, is_single = _batched(x, rank, "conv")
    size, steps = w.shape[2:], per_axis(dilation, rank)
    widths = _same(size, steps, stride) if padding == "same" else widths_of(padding, rank)
    how = Geometry(groups, per_axis(stride, rank), steps, widths)
    _require_channels(image.shape[1], w.shape[1] * groups, w.shape[0], groups, (x, weight))
    counts(resized(image, widths).shape[2:], size, how.stride, how.dilation)
    return _finished(type(x).of(correlate(image, w, how)), bias, is_single)


def conv_transpose2d(
    x: "Tensor",
    weight: "Tensor",
    bias: "Tensor | None" = None,
    groups: int = 1,
    stride: Sizes = 1,
    dilation: Sizes = 1,
    padding: Sizes = 0,
    output_padding: Sizes = 0,
) -> "Tensor":
    """The gradient of a convolution by its input, for weights (channels, outputs / groups, *size).

    `output_padding` adds places at the high side, where several inputs have one output size.
    """
    w = e.to_float(weight.value)
    rank = len(w.shape) - 2
    image, is_single = _batched(x, rank, "conv_transpose")
    more = per_axis(output_padding, rank)
    widths = widths_of(padding, rank)
    widths = tuple((low, high - m) for (low, high), m in zip(widths, more, strict=True))
    how = Geometry(groups, per_axis(stride, rank), per_axis(dilation, rank), widths)
    _require_channels(image.shape[1], w.shape[0], w.shape[0], groups, (x, weight))
    sides = zip(image.shape[2:], w.shape[2:], how.stride, how.dilation, widths, strict=True)
    n = tuple((m - 1) * s + (k - 1) * d + 1 - sum(edge) for m, k, s, d, edge in sides)
    return _finished(type(x).of(spread_out(image, w, how, n)), bias, is_single)


def _batched(x: "Tensor", rank: int, what: str) -> tuple[Value, bool]:
    value = e.to_float(x.value)
    if rank < 1 or x.ndim not in (rank + 1, rank + 2):
        raise UsageError(f"{what} of shape {x.shape} with a weight of {rank + 2} axes")
    is_single = x.ndim == rank + 1
    return graph.reshape(value, (1, *value.shape)) if is_single else value, is_single


def _finished(y: "Tensor", bias: "Tensor | None", is_single: bool) -> "Tensor":
    if bias is not None:
        y = y + bias.reshape(-1, *[1] * (y.ndim - 2))
    return y.squeeze(0) if is_single else y


def _same(size: Shape, dilation: Shape, stride: Sizes) -> Widths:
    """As many results as inputs; an odd place is added at the high side."""
    if any(s != 1 for s in per_axis(stride, len(size))):
        raise UsageError(f"padding 'same' needs stride 1, not {stride}")
    reach = [(k - 1) * d for k, d in zip(size, dilation, strict=True)]
    return tuple((r // 2, r - r // 2) for r in reach)


def _require_channels(
    found: int, wanted: int, shared: int, groups: int, tensors: "tuple[Tensor, Tensor]"
) -> None:
    if found != wanted or groups < 1 or shared % groups or found % groups:
        x, weight = tensors
        raise UsageError(
            f"convolution of {x.shape} with weight {weight.shape} in {groups} groups: there are "
            f"{found} channels, the weight is for {wanted}"
        )
