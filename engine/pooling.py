"""Fewer or more places on the last axes: pooling over windows or bins, resizing, pixel shuffles.

Arguments are torch's; windows have as many axes as their size names. A maximum's gradient goes to
the first largest element of its window, as in torch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from inspect import signature
from math import inf, prod
from typing import TYPE_CHECKING, Any

from engine import folds, graph
from engine.errors import UsageError
from engine.graph import Shape
from engine.windows import Sizes, Windows, per_axis, widths_of

if TYPE_CHECKING:
    from engine.tensor import Tensor

CUBIC = -0.75
"""The slope of Keys' kernel (1981), as torch has it."""


def _windows(
    axes: Shape, k: Sizes, s: Sizes | None, d: Sizes, padding: Sizes, ceil_mode: bool
) -> Windows:
    """Windows on the last of these axes, with what ceil_mode adds for a last one."""
    size = (k, k) if isinstance(k, int) else tuple(k)
    rank = len(size)
    stride, dilation = per_axis(size if s is None else s, rank), per_axis(d, rank)
    widths = widths_of(padding, rank)
    sides = zip(axes[-rank:], size, stride, dilation, widths, strict=True)
    more = tuple((0, _missing(*side) if ceil_mode else 0) for side in sides)
    return Windows(size, stride, dilation, widths, more)


def _missing(n: int, k: int, s: int, d: int, padding: tuple[int, int]) -> int:
    """What a last window lacks that is not whole; one that begins in the padding is left out."""
    last = n + sum(padding) - (k - 1) * d - 1
    steps = -(-last // s)
    return (steps - (steps * s >= n + padding[0])) * s - last


def _rows(x: Tensor, how: Windows, fill: float = 0, more: float = 0) -> Tensor:
    """(..., *axes) -> (..., *counts, elements), with numbers in the padding and beyond."""
    return type(x).of(how.cut(x.value, fill, more)).flatten(-len(how.size))


def avg_pool2d(
    x: Tensor, kernel_size: Sizes = (2, 2), stride: Sizes | None = None, padding: Sizes = 0,
    ceil_mode: bool = False, count_include_pad: bool = True, divisor_override: int | None = None,
    dilation: Sizes = 1,
) -> Tensor:  # fmt: skip
    """The mean of every window; the padding counts, if it is to, but not what ceil_mode adds."""
    how = _windows(x.shape, kernel_size, stride, dilation, padding, ceil_mode)
    total = _rows(x.float(), how).sum(-1)
    if divisor_override or (count_include_pad and not ceil_mode):
        return total / (divisor_override or prod(how.size))
    ones = x.ones(x.shape[-len(how.size) :])
    return total / _rows(ones, how, int(count_include_pad)).sum(-1)


def max_pool2d(
    x: Tensor, kernel_size: Sizes = (2, 2), stride: Sizes | None = None, padding: Sizes = 0,
    dilation: Sizes = 1, ceil_mode: bool = False, return_indices: bool = False,
) -> Any:  # fmt: skip
    """The largest element of every window; if asked, a pair with where in the flat axes it is."""
    how = _windows(x.shape, kernel_size, stride, dilation, padding, ceil_mode)
    least = -inf if x.value.is_float else -(2**31)
    largest, index = map(type(x).of, folds.extreme(_rows(x, how, least, least).value, -1, True, 1))
    if not return_indices:
        return largest.squeeze(-1)
    axes = x.shape[-len(how.size) :]
    places = _rows(x.arange(prod(axes)).reshape(axes), how)
    is_found = index == x.arange(prod(how.size))
    return largest.squeeze(-1), is_found.where(places, 0).sum(-1)


def max_unpool2d(
    x: Tensor, indices: Tensor, kernel_size: Sizes = (2, 2), stride: Sizes | None = None,
    padding: Sizes = 0, output_size: Sequence[int] | None = None, dilation: Sizes = 1,
) -> Tensor:  # fmt: skip
    """Each element put where max_pool2d found it, zeros elsewhere; several at one place add up."""
    how = _windows(x.shape, kernel_size, stride, dilation, padding, False)
    rank = len(how.size)
    axes = how.covered(x.shape[-rank:]) if output_size is None else tuple(output_size)[-rank:]
    lead, size = x.shape[:-rank], prod(axes)
    plane = x.arange(prod(lead)).reshape(*lead, *[1] * rank) * size
    places = (plane + indices).flatten()
    flat = graph.scatter(places.value, x.reshape(-1, 1).value, prod(lead) * size)
    return type(x).of(graph.reshape(flat, (*lead, *axes)))


def lp_pool2d(
    x: Tensor, norm_type: float, kernel_size: Sizes, stride: Sizes | None = None,
    ceil_mode: bool = False,
) -> Tensor:  # fmt: skip
    """The p-norm of every window; one that is not whole counts as if it were, by its mean."""
    count = prod((kernel_size,) * 2 if isinstance(kernel_size, int) else kernel_size)
    mean = avg_pool2d(x**norm_type, kernel_size, stride, 0, ceil_mode)
    return (mean * count).pow(1.0 / norm_type)


def unfold(
    x: Tensor, kernel_size: Sizes, dilation: Sizes = 1, padding: Sizes = 0, stride: Sizes = 1
) -> Tensor:
    """(n, channels, *axes) -> (n, channels * elements of a window, windows)."""
    cut = type(x).of(_windows(x.shape, kernel_size, stride, dilation, padding, False).cut(x.value))
    rank = (cut.ndim - 2) // 2
    return cut.flatten(2, 1 + rank).movedim(2, -1).flatten(1, -2)


def fold(
    x: Tensor, output_size: Sizes, kernel_size: Sizes, dilation: Sizes = 1, padding: Sizes = 0,
    stride: Sizes = 1,
) -> Tensor:  # fmt: skip
    """The transpose of `unfold`: every element put back, and added up where windows overlap."""
    axes = per_axis(output_size, 2)
    how = _windows(axes, kernel_size, stride, dilation, padding, False)
    counts = how.counts(axes)
    parts = x.reshape(len(x), -1, *how.size, *counts).permute(0, 1, 4, 5, 2, 3)
    return type(x).of(how.added(parts.value, axes))


def adaptive_avg_pool2d(x: Tensor, output_size: int | Sequence[int | None]) -> Tensor:
    """The mean of bins that divide the last axes into so many; None leaves an axis alone."""
    return _adaptive(x, output_size, lambda y, is_in: y @ (is_in / is_in.sum(1, True)).T)


def adaptive_max_pool2d(x: Tensor, output_size: int | Sequence[int | None]) -> Tensor:
    """The largest element of bins that divide the last axes into so many."""

    def largest(y: Tensor, is_in: Tensor) -> Tensor:
        shown = is_in.where(y.unsqueeze(-2), -inf)
        return type(y).of(folds.extreme(shown.value, -1, False, 1)[0])

    return _adaptive(x, output_size, largest)


def _adaptive(
    x: Tensor, output_size: int | Sequence[int | None], pool: Callable[[Tensor, Tensor], Tensor]
) -> Tensor:
    """Axis by axis from the last: so the first largest element is the first in row-major order."""
    sizes = (output_size,) * 2 if isinstance(output_size, int) else tuple(output_size)
    for axis, bins in reversed(list(enumerate(sizes, x.ndim - len(sizes)))):
        if bins is not None and bins != x.shape[axis]:
            low, place = x.arange(bins).reshape(-1, 1) * x.shape[axis], x.arange(x.shape[axis])
            end = (low + (x.shape[axis] + bins - 1)) // bins
            is_in = (place >= low // bins) & (place < end)
            x = pool(x.transpose(axis, -1), is_in).transpose(axis, -1)
    return x


def interpolate(
    x: Tensor, size: int | Sequence[int] | None = None,
    scale_factor: float | Sequence[float] | None = None, mode: str = "nearest",
    align_corners: bool | None = None, recompute_scale_factor: bool | None = None,
) -> Tensor:  # fmt: skip
    """(n, channels, *axes) with the axes resized: to a size, or by a factor.

    Modes: nearest, nearest-exact, linear (bilinear, trilinear), bicubic, area. `align_corners`
    makes the first and the last element of an axis stay where they are.
    """
    axes = x.shape[2:]
    if size is not None:
        sizes = per_axis(size, len(axes))
        ratios = [n / m for n, m in zip(axes, sizes, strict=True)]
    elif scale_factor is not None:
        if isinstance(scale_factor, (int, float)):
            scale_factor = [scale_factor] * len(axes)
        sizes = tuple(int(n * f) for n, f in zip(axes, scale_factor, strict=True))
        exact = [1.0 / f for f in scale_factor]
        whole = [n / m for n, m in zip(axes, sizes, strict=True)]
        ratios = whole if recompute_scale_factor else exact
    else:
        raise UsageError("interpolate() needs a size or a scale_factor")
    if mode == "area":
        return adaptive_avg_pool2d(x, sizes)
    for axis, (n, m, ratio) in enumerate(zip(axes, sizes, ratios, strict=True), 2):
        if align_corners:
            ratio = (n - 1) / (m - 1) if m > 1 else 0.0
        x = _resampled(x, axis, x.arange(m).float(), ratio, mode, bool(align_corners))
    return x


def _resampled(
    x: Tensor, axis: int, place: Tensor, ratio: float, mode: str, align_corners: bool
) -> Tensor:
    """An axis sampled at `place` times the ratio: the sum of its neighbours, each with a weight."""
    last = x.shape[axis] - 1
    at = place * ratio if align_corners else (place + 0.5) * ratio - 0.5
    if mode in ("nearest", "nearest-exact"):
        at = (place + 0.5) * ratio if mode == "nearest-exact" else place * ratio
        return x.index_select(axis, at.int().clamp(0, last))
    if mode in ("linear", "bilinear", "trilinear"):
        at = at.maximum(0.0)
        first = at.int().minimum(last)
        part = at - first.float()
        taps = {0: 1.0 - part, 1: part}
    elif mode == "bicubic":
        first = (at + 1.0).int() - 1
        part = at - first.float()
        taps = {i: _cubic((part - i).abs(), i) for i in (-1, 0, 1, 2)}
    else:
        raise UsageError(f"mode {mode!r}: nearest, nearest-exact, linear, bilinear, bicubic, area")
    along = (-1, *[1] * (x.ndim - 1 - axis))
    near = {step: x.index_select(axis, (first + step).clamp(0, last)) for step in taps}
    shares = [near[step] * weight.reshape(along) for step, weight in taps.items()]
    return sum(shares[1:], shares[0])


def _cubic(d: Tensor, tap: int) -> Tensor:
    """Keys' kernel at a distance, which is at most 1 for the inner taps, 1 to 2 for the outer."""
    if tap in (0, 1):
        return (d * (CUBIC + 2.0) - (CUBIC + 3.0)) * d * d + 1.0
    return ((d * CUBIC - 5.0 * CUBIC) * d + 8.0 * CUBIC) * d - 4.0 * CUBIC


def channel_shuffle(x: Tensor, groups: int) -> Tensor:
    """Channels that lay group by group, one of each group after the other."""
    return x.unflatten(1, (groups, -1)).transpose(1, 2).flatten(1, 2)


def pixel_shuffle(x: Tensor, upscale_factor: int) -> Tensor:
    """(..., channels r r, h, w) -> (..., channels, h r, w r)."""
    *lead, channels, h, w = x.shape
    r = upscale_factor
    split = x.reshape(-1, channels // (r * r), r, r, h, w).permute(0, 1, 4, 2, 5, 3)
    return split.reshape(*lead, channels // (r * r), h * r, w * r)


def pixel_unshuffle(x: Tensor, downscale_factor: int) -> Tensor:
    """(..., channels, h r, w r) -> (..., channels r r, h, w)."""
    *lead, channels, h, w = x.shape
    r = downscale_factor
    split = x.reshape(-1, channels, h // r, r, w // r, r).permute(0, 1, 3, 5, 2, 4)
    return split.reshape(*lead, channels * r * r, h // r, w // r)


def _in_axes(function: Callable[..., Any], rank: int) -> Callable[..., Any]:
    """The function where one number as a size stands for so many axes."""
    given = signature(function)

    @wraps(function)
    def pool(x: Tensor, *args: Any, **kwargs: Any) -> Any:
        named = given.bind(x, *args, **kwargs).arguments
        for name in named.keys() & {"kernel_size", "output_size"}:
            named[name] = (named[name],) * rank if isinstance(named[name], int) else named[name]
        return function(**named)

    return pool


upsample = interpolate
avg_pool1d, avg_pool3d = (_in_axes(avg_pool2d, rank) for rank in (1, 3))
max_pool1d, max_pool3d = (_in_axes(max_pool2d, rank) for rank in (1, 3))
max_unpool1d, max_unpool3d = (_in_axes(max_unpool2d, rank) for rank in (1, 3))
lp_pool1d, lp_pool3d = (_in_axes(lp_pool2d, rank) for rank in (1, 3))
adaptive_avg_pool1d, adaptive_avg_pool3d = (_in_axes(adaptive_avg_pool2d, n) for n in (1, 3))
adaptive_max_pool1d, adaptive_max_pool3d = (_in_axes(adaptive_max_pool2d, n) for n in (1, 3))
