"""Resizing: the last axes sampled at other places, and channels traded for places; as in torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from engine.errors import UsageError
from engine.pooling import adaptive_avg_pool2d

if TYPE_CHECKING:
    from engine.tensor import Tensor

CUBIC = -0.75
"""The slope of Keys' kernel (1981), as torch has it."""


def interpolate(
    x: Tensor, size: int | Sequence[int] | None = None,
    scale_factor: float | Sequence[float] | None = None, mode: str = "nearest",
    align_corners: bool = False,
) -> Tensor:  # fmt: skip
    """(n, channels, *axes) with the axes resized: to a size, or by a factor.

    Modes: nearest, nearest-exact, linear (bilinear, trilinear), bicubic, area. `align_corners`
    makes the first and the last element of an axis stay where they are.
    """
    rank = x.ndim - 2
    factors = [scale_factor] * rank if isinstance(scale_factor, (int, float)) else scale_factor
    if size is None and factors is None:
        raise UsageError("interpolate() needs a size or a scale_factor")
    if size is None and factors is not None:
        sizes = [int(n * f) for n, f in zip(x.shape[2:], factors, strict=True)]
    else:
        sizes, factors = [size] * rank if isinstance(size, int) else list(size or ()), None
    if mode == "area":
        return adaptive_avg_pool2d(x, sizes)
    for a, m in enumerate(sizes):
        n = x.shape[a + 2]
        ratio = 1.0 / factors[a] if factors else n / m
        if align_corners:
            ratio = (n - 1) / (m - 1) if m > 1 else 0.0
        x = _resampled(x, a + 2, x.arange(m).float(), ratio, mode, align_corners)
    return x


def _resampled(
    x: Tensor, axis: int, place: Tensor, ratio: float, mode: str, align_corners: bool
) -> Tensor:
    """An axis sampled at `place` times the ratio: the sum of its neighbours, each with a weight."""
    last = x.shape[axis] - 1
    at = place * ratio if align_corners else (place + 0.5) * ratio - 0.5
    if mode in ("nearest", "nearest-exact"):
        at = (place + 0.5) * ratio if mode == "nearest-exact" else place * ratio
        return _along(x, axis, at.int().clamp(0, last))
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
    total: Tensor | None = None
    for step, weight in taps.items():
        near = _along(x, axis, (first + step).clamp(0, last))
        share = near * weight.reshape(-1, *[1] * (x.ndim - 1 - axis))
        total = share if total is None else total + share
    assert total is not None
    return total


def _along(x: Tensor, axis: int, index: Tensor) -> Tensor:
    return x.transpose(0, axis)[index].transpose(0, axis)


def _cubic(d: Tensor, tap: int) -> Tensor:
    """Keys' kernel at a distance, which is at most 1 for the inner taps, 1 to 2 for the outer."""
    if tap in (0, 1):
        return (d * (CUBIC + 2.0) - (CUBIC + 3.0)) * d * d + 1.0
    return ((d * CUBIC - 5.0 * CUBIC) * d + 8.0 * CUBIC) * d - 4.0 * CUBIC


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
