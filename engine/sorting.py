"""Running folds and orders along an axis.

A running fold takes log2(n) steps, each of which combines every element with one further back. An
element's rank is the number of elements that come before it, ties by index, so every sort is
stable; its cost is n * n comparisons. NaN comes last, as in torch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf, nan
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from engine import folds
from engine.dtypes import AnyType, DType
from engine.errors import UsageError
from engine.graph import Scalar
from engine.movement import axis_of

if TYPE_CHECKING:
    from engine.tensor import Tensor

Axes: TypeAlias = "int | Sequence[int] | None"
Combine: TypeAlias = "Callable[[Tensor, Tensor], Tensor]"


class Chosen(NamedTuple):
    """Elements, and where they were along the axis. It has the methods of the elements, too, for
    who expects them alone as in tinygrad: `x.max(1).numpy()`."""

    values: Tensor
    indices: Tensor

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.values, name)


def _running(x: Tensor, axis: int, combine: Combine, neutral: Scalar) -> Tensor:
    """combine() of all elements up to each."""
    if not x.ndim:
        axis_of(x.value, axis, 1)  # refuses an axis that is not there
        return x
    result, shift = x.movedim(axis, -1), 1
    while shift < x.shape[axis]:
        result = combine(result.pad((shift, -shift), value=neutral), result)
        shift *= 2
    return result.movedim(-1, axis)


def cumsum(x: Tensor, axis: int = 0, dtype: AnyType | None = None) -> Tensor:
    """Sums of all elements up to each."""
    return _running(_number(x, dtype), axis, lambda a, b: a + b, 0)


def cumprod(x: Tensor, axis: int = 0, dtype: AnyType | None = None) -> Tensor:
    """Products of all elements up to each."""
    return _running(_number(x, dtype), axis, lambda a, b: a * b, 1)


def _number(x: Tensor, dtype: AnyType | None = None) -> Tensor:
    x = x if dtype is None else x.cast(dtype)
    return x.int() if x.dtype is DType.BOOL else x


def logcumsumexp(x: Tensor, axis: int = 0) -> Tensor:
    """log of sums of exp of all elements up to each."""
    return _running(x, axis, lambda a, b: a.logaddexp(b), -inf)


def cummax(x: Tensor, axis: int = 0) -> Chosen:
    """The largest element up to each, and its last index."""
    return _record(x, x, axis)


def cummin(x: Tensor, axis: int = 0) -> Chosen:
    """The smallest element up to each, and its last index."""
    return _record(x, -x if x.value.is_float else ~_number(x), axis)


def _record(x: Tensor, key: Tensor, axis: int) -> Chosen:
    keys = _order(key)
    largest = _running(keys, axis, lambda a, b: a.maximum(b), -(2**31))
    if not x.ndim:
        return Chosen(x, x.full((), 0))
    n, *after = x.shape[axis_of(x.value, axis) :]
    place = x.arange(n).reshape(-1, *[1] * len(after))
    found = _running((keys == largest).where(place, 0), axis, lambda a, b: a.maximum(b), -1)
    return Chosen(x.gather(axis, found), found)


def _order(x: Tensor) -> Tensor:
    """INT32 in the order of x: -0 equals 0, NaN is above all."""
    if not x.value.is_float:
        return (x ^ 0x8000_0000).bitcast(DType.INT32) if x.dtype is DType.UINT32 else x.int()
    bits = (x + 0.0).bitcast(DType.INT32)
    return x.isnan().where(2**31 - 1, bits ^ ((bits >> 31) & 0x7FFF_FFFF))


def sort(x: Tensor, axis: int = -1, descending: bool = False, stable: bool = True) -> Chosen:
    """Sorted along an axis, equal elements in their old order, and where they were."""
    if not x.ndim:
        return Chosen(x, x.full((), 0))
    keys = _order(x.detach()).movedim(axis, -1)
    keys = ~keys if descending else keys
    place = x.arange(x.shape[axis])
    mine, other = keys.unsqueeze(-1), keys.unsqueeze(-2)
    is_before = (other < mine) | ((other == mine) & (place < place.unsqueeze(-1)))
    rank = is_before.sum(-1)
    found = rank.zeros_like().scatter_add(-1, rank, place.expand(rank.shape)).movedim(-1, axis)
    return Chosen(x.gather(axis, found), found)


def argsort(x: Tensor, axis: int = -1, descending: bool = False, stable: bool = True) -> Tensor:
    """Where the elements of the sorted tensor were."""
    return sort(x, axis, descending).indices


def topk(x: Tensor, k: int, axis: int = -1, largest: bool = True, sorted: bool = True) -> Chosen:
    """The k largest or smallest along an axis, in order."""
    return Chosen(*(part.narrow(axis, 0, k) for part in sort(x, axis, largest)))


def kthvalue(x: Tensor, k: int, axis: int = -1, keepdim: bool = False) -> Chosen:
    """The k-th smallest along an axis, counted from 1."""
    return _kept(keepdim, axis, *(part.narrow(axis, k - 1, 1) for part in sort(x, axis)))


def _kept(keepdim: bool, axis: int, *parts: Tensor) -> Chosen:
    return Chosen(*(part if keepdim else part.squeeze(axis) for part in parts))


def median(x: Tensor, axis: int | None = None, keepdim: bool = False) -> Any:
    """The lower of the middle elements: of all, or along an axis with its index; NaN if there."""
    return _median(x, axis, keepdim, False)


def nanmedian(x: Tensor, axis: int | None = None, keepdim: bool = False) -> Any:
    """The median of what is not NaN."""
    return _median(x, axis, keepdim, True)


def _median(x: Tensor, axis: int | None, keepdim: bool, skips_nan: bool) -> Any:
    if axis is None:
        return _median(x.flatten(), 0, False, skips_nan).values
    if not x.ndim:
        return Chosen(x, x.full((), 0))
    at, count = axis_of(x.value, axis), x.shape[axis]
    found = sort(x, at).indices
    nans = x.isnan().sum(at, keepdim=True)
    middle = (count - nans - 1).clamp(0) // 2 if skips_nan else (count - 1) // 2
    place = middle if skips_nan else (nans > 0).where(count - nans, middle)
    index = found.gather(at, place)
    return _kept(keepdim, at, x.gather(at, index), index)


def extreme(sign: int) -> Callable[..., Any]:
    """max (1) or min (-1)."""

    def method(
        x: Tensor, dim: Tensor | Axes = None, keepdim: bool = False, *, axis: Axes = None
    ) -> Tensor | Chosen:
        """Of all; of two; along `dim`, with its index; values alone along `axis`."""
        if isinstance(dim, type(x)):
            return x.maximum(dim) if sign > 0 else x.minimum(dim)
        where = axis if dim is None else dim
        if not x.ndim or not isinstance(where, int):
            return (x.amax if sign > 0 else x.amin)(where, keepdim)
        found = Chosen(*map(type(x).of, folds.extreme(x.value, where, keepdim, sign)))
        return found.values if dim is None else found

    return method


def searchsorted(x: Tensor, values: Tensor | float, right: bool = False) -> Tensor:
    """How many elements of the last axis, which ascends, are below each value (or equal)."""
    sought = x.like(values).unsqueeze(-1)
    mine = x.unsqueeze(-2) if sought.ndim > 1 else x
    return (mine <= sought if right else mine < sought).sum(-1)


def bucketize(x: Tensor, boundaries: Tensor, right: bool = False) -> Tensor:
    """Between which boundaries each element lies."""
    return searchsorted(boundaries, x.unsqueeze(-1), right).reshape(x.shape)


def quantile(
    x: Tensor, q: Tensor | float, axis: int | None = None, keepdim: bool = False,
    interpolation: str = "linear",
) -> Tensor:  # fmt: skip
    """The q-quantiles along an axis, or of all, between the two nearest elements; NaN if there."""
    if axis is None:
        return quantile(x.flatten(), q, 0, False, interpolation)
    ordered, n, share = sort(x, axis).values.movedim(axis, 0), x.shape[axis], x.like(q)
    place = share.flatten() * (n - 1)
    low = place.floor()
    after = [1] * (x.ndim - 1)
    a, b = ordered[low.int()], ordered[(low.int() + 1).clamp(0, n - 1)]
    part = place - low
    parts = {
        "linear": part,
        "lower": part * 0.0,
        "higher": part.ceil(),
        "midpoint": part.ceil() / 2,
    }
    parts["nearest"] = place.round() - low
    if interpolation not in parts:
        raise UsageError(f"interpolation {interpolation!r} is none of {', '.join(parts)}")
    found = a.lerp(b, parts[interpolation].reshape(-1, *after))
    found = ordered[-1].isnan().where(nan, found)
    found = found.unsqueeze(axis_of(x.value, axis) + 1) if keepdim else found
    return found if share.ndim else found.squeeze(0)
