"""Convolutions as matrix products over windows, in any number of dimensions.

A convolution is linear in its input and in its weight. So three maps are enough, and each is one
DOT; the gradients of each are the two others. With b images, g groups, i channels in and o out:

    correlate   what conv computes: for each image and group (o, i k) x (i k, places)
    spread_out  the gradient by the input, and what conv_transpose computes
    by_weight   the gradient by the weight: for each group (o, b places) x (b places, i k)

`spread_out` correlates with the flipped weight where windows are one apart; else it makes every
window's part of the input and adds up where they overlap, so that no zeros are multiplied.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from engine import elementwise as e
from engine import graph
from engine.errors import UsageError
from engine.folds import contract
from engine.graph import Shape, Value
from engine.movement import flip
from engine.windows import Sizes, Windows, per_axis, widths_of

if TYPE_CHECKING:
    from engine.tensor import Tensor


def correlate(x: Value, w: Value, how: Windows) -> Value:
    """(b, g, i, *n), (g, o, i, *size) -> (b, g, o, *places)."""
    p, k = _letters(how)
    return graph.custom(
        contract(f"bgoi{k},bgi{p}{k}->bgo{p}", _repeated(w, x.shape[0]), how.cut(x)),
        lambda g, _: (spread_out(g, w, how, x.shape[3:]), by_weight(x, g, how)),
        *(x, w),
    )


def spread_out(y: Value, w: Value, how: Windows, n: Shape) -> Value:
    """(b, g, o, *places), (g, o, i, *size) -> (b, g, i, *n)."""
    if set(how.stride) == {1}:
        reach = [(k - 1) * d for k, d in zip(how.size, how.dilation, strict=True)]
        lows = [r - low for r, (low, _) in zip(reach, how.widths, strict=True)]
        sides = zip(lows, reach, n, y.shape[3:], strict=True)
        widths = tuple((low, wanted - found - low + r) for low, r, wanted, found in sides)
        axes = tuple(range(3, len(w.shape)))
        flipped = flip(graph.permute(w, (0, 2, 1, *axes)), axes)
        spread = correlate(y, flipped, replace(how, widths=widths))
    else:
        p, k = _letters(how)
        parts = contract(f"bgoi{k},bgo{p}->bgi{p}{k}", _repeated(w, y.shape[0]), y)
        spread = how.added(parts, n)
    return graph.custom(spread, lambda g, _: (correlate(g, w, how), by_weight(g, y, how)), *(y, w))


def by_weight(x: Value, y: Value, how: Windows) -> Value:
    """(b, g, i, *n), (b, g, o, *places) -> (g, o, i, *size)."""
    p, k = _letters(how)
    return graph.custom(
        contract(f"bgo{p},bgi{p}{k}->goi{k}", y, how.cut(x)),
        lambda g, _: (spread_out(y, g, how, x.shape[3:]), correlate(x, g, how)),
        *(x, y),
    )


def _letters(how: Windows) -> tuple[str, str]:
    """Of the places and of a window's axes."""
    return "pqr"[: len(how.size)], "uvw"[: len(how.size)]


def _repeated(w: Value, batch: int) -> Value:
    """The weight once per image, so that results come image by image."""
    return e.broadcast_to(w, (batch, *w.shape))


def conv2d(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Sizes = 1,
    padding: Sizes | str = 0, dilation: Sizes = 1, groups: int = 1,
) -> Tensor:  # fmt: skip
    """Convolution of (batch, channels, *axes), or of one image, in as many axes as the weight has.

    The weight is (outputs, channels / groups, *size). Padding is one number, one per axis, "same",
    "valid", or low and high for each axis from the last one, as in torch.nn.functional.pad.
    """
    size = weight.shape[2:]
    how = Windows(size, per_axis(stride, len(size)), per_axis(dilation, len(size)), ())
    if padding == "same" and set(how.stride) == {1}:  # an odd place is added at the high side
        reach = [(k - 1) * d for k, d in zip(size, how.dilation, strict=True)]
        widths = tuple((r // 2, r - r // 2) for r in reach)
    elif isinstance(padding, str) and padding != "valid":
        raise UsageError(f"padding {padding!r} with stride {stride}: 'same' needs 1; else 'valid'")
    else:
        widths = widths_of(0 if isinstance(padding, str) else padding, len(size))
    how, channels = replace(how, widths=widths), weight.shape[1] * groups
    return _convolved(x, weight, bias, groups, channels, lambda x, w: correlate(x, w, how))


def conv_transpose2d(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Sizes = 1, padding: Sizes = 0,
    output_padding: Sizes = 0, groups: int = 1, dilation: Sizes = 1,
) -> Tensor:  # fmt: skip
    """The gradient of a convolution by its input, for weights (channels, outputs / groups, *size).

    `output_padding` adds places at the high side, where several inputs have one output size.
    """
    size = weight.shape[2:]
    rank = len(size)
    sides = zip(widths_of(padding, rank), per_axis(output_padding, rank), strict=True)
    widths = tuple((low, high - more) for (low, high), more in sides)
    how = Windows(size, per_axis(stride, rank), per_axis(dilation, rank), widths)
    return _convolved(
        *(x, weight, bias, groups, weight.shape[0]),
        lambda x, w: spread_out(x, w, how, how.covered(x.shape[3:])),
    )


def _convolved(
    x: Tensor, weight: Tensor, bias: Tensor | None, groups: int, channels: int,
    compute: Callable[[Value, Value], Value],
) -> Tensor:  # fmt: skip
    """What a map of a batch and a weight, both split into groups, gives; with the bias."""
    batch = x.shape if x.ndim == weight.ndim else (1, *x.shape)
    is_divisible = groups > 0 and weight.shape[0] % groups == 0
    if weight.ndim < 3 or len(batch) != weight.ndim or batch[1] != channels or not is_divisible:
        raise UsageError(f"convolution of {x} with weight {weight} in {groups} groups: no fit")
    images = x.float().reshape(batch[0], groups, channels // groups, *batch[2:])
    weights = weight.float().reshape(groups, -1, *weight.shape[1:])
    y = type(x).of(compute(images.value, weights.value)).flatten(1, 2)
    if bias is not None:
        y = y + bias.reshape(-1, *[1] * (weight.ndim - 2))
    return y if x.ndim == weight.ndim else y.squeeze(0)


conv1d = conv3d = conv2d
conv_transpose1d = conv_transpose3d = conv_transpose2d
