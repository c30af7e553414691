"""Pooling over windows of the last axes, as many as the window has; arguments as in torch.

A maximum's gradient goes to the first largest element of its window, as in torch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf, prod
from typing import TYPE_CHECKING, Any

from engine import elementwise as e
from engine import folds, graph
from engine.dtypes import DType
from engine.graph import Scalar, Shape, Value
from engine.padding import Sizes, per_axis, resized, widths_of
from engine.windows import windows

if TYPE_CHECKING:
    from engine.tensor import Tensor


class _Windows:
    """Windows of the last axes of a shape, each flattened to one axis."""

    def __init__(
        self, shape: Shape, k: Sizes, s: Sizes | None, d: Sizes, padding: Sizes, ceil_mode: bool
    ) -> None:
        self.size = (k, k) if isinstance(k, int) else tuple(k)
        rank = len(self.size)
        self.axes, self.stride = shape[-rank:], per_axis(self.size if s is None else s, rank)
        self.dilation, self.padding = per_axis(d, rank), widths_of(padding, rank)
        self.sides = (self.axes, self.size, self.stride, self.dilation, self.padding)
        more = (_missing(*side) if ceil_mode else 0 for side in zip(*self.sides, strict=True))
        self.more = tuple((0, width) for width in more)

    def of(self, value: Value, fill: Scalar = 0, more: Scalar = 0) -> Value:
        """(..., *axes) -> (..., *counts, elements): `fill` is padded, then `more` for ceil_mode."""
        padded = resized(resized(value, self.padding, fill), self.more, more)
        shown = windows(padded, self.size, self.stride, self.dilation)
        return graph.reshape(shown, (*shown.shape[: -len(self.size)], prod(self.size)))


def _missing(n: int, k: int, s: int, d: int, padding: tuple[int, int]) -> int:
    """What a last window lacks that is not whole; one that begins in the padding is left out."""
    last = n + sum(padding) - (k - 1) * d - 1
    steps = -(-last // s)
    return (steps - (steps * s >= n + padding[0])) * s - last


def avg_pool2d(
    x: Tensor, kernel_size: Sizes = (2, 2), stride: Sizes | None = None, dilation: Sizes = 1,
    padding: Sizes = 0, ceil_mode: bool = False, count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:  # fmt: skip
    """The mean of every window; the padding counts, if it is to, but not what ceil_mode adds."""
    cut = _Windows(x.shape, kernel_size, stride, dilation, padding, ceil_mode)
    total = type(x).of(folds.total(cut.of(e.to_float(x.value)), -1, False))
    if divisor_override or (count_include_pad and not ceil_mode):
        return total / (divisor_override or prod(cut.size))
    ones = cut.of(graph.const(1, DType.FLOAT32, cut.axes), int(count_include_pad))
    return total / type(x).of(folds.total(ones, -1, False))


def max_pool2d(
    x: Tensor, kernel_size: Sizes = (2, 2), stride: Sizes | None = None, dilation: Sizes = 1,
    padding: Sizes = 0, ceil_mode: bool = False, return_indices: bool = False,
) -> Any:  # fmt: skip
    """The largest element of every window; if asked, a pair with where in the flat axes it is."""
    cut = _Windows(x.shape, kernel_size, stride, dilation, padding, ceil_mode)
    least = -inf if x.value.is_float else -(2**31)
    shown = cut.of(x.value, least, least)
    largest, index = folds.extreme(shown, -1, True, 1)
    result = type(x).of(graph.reshape(largest, largest.shape[:-1]))
    if not return_indices:
        return result
    places = cut.of(graph.reshape(graph.iota(prod(cut.axes)), cut.axes))
    is_found = e.equal(index, graph.iota(shown.shape[-1]))
    return result, type(x).of(folds.total(e.select(is_found, places, 0), -1))


def max_unpool2d(
    x: Tensor, indices: Tensor, kernel_size: Sizes = (2, 2), stride: Sizes | None = None,
    dilation: Sizes = 1, padding: Sizes = 0, output_size: Sequence[int] | None = None,
) -> Tensor:  # fmt: skip
    """Each element put where max_pool2d found it, zeros elsewhere; several at one place add up."""
    cut = _Windows(x.shape, kernel_size, stride, dilation, padding, False)
    sides = zip(*cut.sides, strict=True)
    axes = [(n - 1) * s + (k - 1) * d + 1 - sum(widths) for n, k, s, d, widths in sides]
    axes = list(axes if output_size is None else output_size)[-len(axes) :]
    lead, size = x.shape[: -len(axes)], prod(axes)
    plane = x.arange(prod(lead)).reshape(*lead, *[1] * len(axes)) * size
    rows, places = x.reshape(-1, 1), (plane + indices).flatten()
    flat = graph.scatter(places.value, rows.value, prod(lead) * size)
    return type(x).of(graph.reshape(flat, (*lead, *axes)))


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
