"""Convolutions as matrix products over windows, in any number of dimensions.

A convolution is linear in its input and in its weight. So three maps are enough, and each is one
DOT; the gradients of each are the two others:

    correlate   what conv computes: for each image and group (co, ci k) x (ci k, places)
    spread_out  the gradient by the input, and what conv_transpose computes
    by_weight   the gradient by the weight: for each group (co, b places) x (b places, ci k)

`spread_out` correlates with the flipped weight where windows are one apart; else it makes every
window's part of the input and adds up where they overlap, so that no zeros are multiplied.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from engine import elementwise as e
from engine import graph
from engine.errors import UsageError
from engine.folds import contract
from engine.graph import Shape, Value
from engine.movement import flip
from engine.padding import Sizes, Widths, per_axis, resized, widths_of
from engine.windows import overlap_add, windows

if TYPE_CHECKING:
    from engine.tensor import Tensor


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
    compute = _correlate_back if set(how.stride) == {1} else _add_windows
    return graph.custom(
        compute(y, w, how, n),
        lambda g, _: (correlate(g, w, how), by_weight(g, y, how, w.shape[2:])),
        *(y, w),
    )


def by_weight(x: Value, y: Value, how: Geometry, size: Shape) -> Value:
    """(b, g ci, *n), (b, g co, *places) -> (g co, ci, *size)."""
    p, k = "pqr"[: len(size)], "uvw"[: len(size)]
    shown = _split(windows(resized(x, how.widths), size, how.stride, how.dilation), 1, how)
    product = contract(f"bgo{p},bgi{p}{k}->goi{k}", _split(y, 1, how), shown)
    return graph.custom(
        graph.reshape(product, (y.shape[1], *product.shape[2:])),
        lambda g, _: (spread_out(y, g, how, x.shape[2:]), correlate(x, g, how)),
        *(x, y),
    )


def _split(value: Value, axis: int, how: Geometry) -> Value:
    """With the groups as an axis before the channels."""
    before, n, after = value.shape[:axis], value.shape[axis], value.shape[axis + 1 :]
    return graph.reshape(value, (*before, how.groups, n // how.groups, *after))


def _repeated(w: Value, batch: int, how: Geometry) -> Value:
    """The weight once per image, (b, g, co, ci, *size), so that results come image by image."""
    split = _split(w, 0, how)
    return e.broadcast_to(split, (batch, *split.shape))


def _correlate(x: Value, w: Value, how: Geometry) -> Value:
    p, k = "pqr"[: len(w.shape) - 2], "uvw"[: len(w.shape) - 2]
    shown = windows(resized(x, how.widths), w.shape[2:], how.stride, how.dilation)
    weights = _repeated(w, x.shape[0], how)
    product = contract(f"bgoi{k},bgi{p}{k}->bgo{p}", weights, _split(shown, 1, how))
    return graph.reshape(product, (x.shape[0], w.shape[0], *product.shape[3:]))


def _correlate_back(y: Value, w: Value, how: Geometry, n: Shape) -> Value:
    """Where windows are one apart: a correlation with the flipped weight, ci and co swapped."""
    reach = [(k - 1) * d for k, d in zip(w.shape[2:], how.dilation, strict=True)]
    lows = [r - low for r, (low, _) in zip(reach, how.widths, strict=True)]
    sides = zip(lows, reach, n, y.shape[2:], strict=True)
    widths = tuple((low, wanted - found - low + r) for low, r, wanted, found in sides)
    axes = tuple(range(3, len(w.shape) + 1))
    swapped = flip(graph.permute(_split(w, 0, how), (0, 2, 1, *axes)), axes)
    weight = graph.reshape(swapped, (how.groups * w.shape[1], *swapped.shape[2:]))
    return _correlate(y, weight, replace(how, widths=widths))


def _add_windows(y: Value, w: Value, how: Geometry, n: Shape) -> Value:
    """What every window adds to the input, added up."""
    p, k = "pqr"[: len(n)], "uvw"[: len(n)]
    weights = _repeated(w, y.shape[0], how)
    parts = contract(f"bgoi{k},bgo{p}->bgi{p}{k}", weights, _split(y, 1, how))
    parts = graph.reshape(parts, (y.shape[0], how.groups * w.shape[1], *parts.shape[3:]))
    padded = tuple(m + low + high for m, (low, high) in zip(n, how.widths, strict=True))
    whole = overlap_add(parts, padded, how.stride, how.dilation)
    return resized(whole, tuple((-low, -high) for low, high in how.widths))


def conv2d(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, groups: int = 1, stride: Sizes = 1,
    dilation: Sizes = 1, padding: Sizes | str = 0,
) -> Tensor:  # fmt: skip
    """Convolution of (batch, channels, *axes), or of one image, in as many axes as the weight has.

    The weight is (outputs, channels / groups, *size). Padding is one number, one per axis, "same",
    "valid", or low and high for each axis from the last one, as in torch.nn.functional.pad.
    """
    size = weight.shape[2:]
    how = Geometry(groups, per_axis(stride, len(size)), per_axis(dilation, len(size)), ())
    if padding == "same" and set(how.stride) == {1}:  # an odd place is added at the high side
        reach = [(k - 1) * d for k, d in zip(size, how.dilation, strict=True)]
        widths = tuple((r // 2, r - r // 2) for r in reach)
    elif isinstance(padding, str) and padding != "valid":
        raise UsageError(f"padding {padding!r} with stride {stride}: 'same' needs 1; else 'valid'")
    else:
        widths = widths_of(0 if isinstance(padding, str) else padding, len(size))
    image = _checked(x, weight, bias, groups, weight.shape[1] * groups)
    y = correlate(image, e.to_float(weight.value), replace(how, widths=widths))
    return _finished(x, y, bias)


def conv_transpose2d(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, groups: int = 1, stride: Sizes = 1,
    dilation: Sizes = 1, padding: Sizes = 0, output_padding: Sizes = 0,
) -> Tensor:  # fmt: skip
    """The gradient of a convolution by its input, for weights (channels, outputs / groups, *size).

    `output_padding` adds places at the high side, where several inputs have one output size.
    """
    rank = weight.ndim - 2
    image = _checked(x, weight, bias, groups, weight.shape[0])
    sides = zip(widths_of(padding, rank), per_axis(output_padding, rank), strict=True)
    widths = tuple((low, high - more) for (low, high), more in sides)
    how = Geometry(groups, per_axis(stride, rank), per_axis(dilation, rank), widths)
    spans = zip(image.shape[2:], weight.shape[2:], how.stride, how.dilation, widths, strict=True)
    n = tuple((m - 1) * s + (k - 1) * d + 1 - sum(width) for m, k, s, d, width in spans)
    return _finished(x, spread_out(image, e.to_float(weight.value), how, n), bias)


def _checked(x: Tensor, weight: Tensor, bias: Tensor | None, groups: int, channels: int) -> Value:
    """The input as a batch."""
    batch = x.shape if x.ndim == weight.ndim else (1, *x.shape)
    is_divisible = groups > 0 and weight.shape[0] % groups == 0
    if weight.ndim < 3 or len(batch) != weight.ndim or batch[1] != channels or not is_divisible:
        raise UsageError(f"convolution of {x} with weight {weight} in {groups} groups: no fit")
    return graph.reshape(e.to_float(x.value), batch)


def _finished(x: Tensor, y: Value, bias: Tensor | None) -> Tensor:
    result = type(x).of(y)
    if bias is not None:
        result = result + bias.reshape(-1, *[1] * (len(y.shape) - 2))
    return result if x.ndim == len(y.shape) else result.squeeze(0)
