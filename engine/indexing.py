"""Elements by data: x[index], gather, scatter and their kin.

All of it is GATHER and SCATTER of rows at addresses that are computed as INT32 tensors. Where torch
raises for an index out of range, reading gives zeros and writing does nothing, since the cost and
the shape of a Program are fixed. Of several values written to one place the last one stays; where
values are added, they are added in order. A mask that selects has a shape that depends on its
elements: they are looked at now, which is a TraceError in a traced function.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, prod
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import elementwise as e
from engine import folds, graph, movement
from engine.dtypes import DType
from engine.errors import UsageError
from engine.lifting import Operand, lift
from engine.methods import cat
from engine.movement import axis_of

if TYPE_CHECKING:
    from engine.tensor import Tensor


_rows = lift(folds.rows)


def getitem(x: Tensor, key: Any) -> Tensor:
    """Integers, slices, None, ..., integer tensors and masks, with torch's shapes."""
    basic, indices = _split(x, key)
    shown = lift(movement.getitem)(x, basic)
    if not indices:
        return shown
    single = {axis: index for axis, index in indices.items() if not index.ndim}
    if 0 < len(single) < len(indices):  # an index without axes is a number
        gone = sorted(single)
        shown = _picked(shown, single)
        indices = {a - sum(g < a for g in gone): i for a, i in indices.items() if a not in single}
    return _picked(shown, indices)


def _picked(shown: Tensor, indices: dict[int, Tensor]) -> Tensor:
    """What index tensors name of some axes; the new axes in their place if they are adjacent."""
    axes = sorted(indices)
    rest = [n for a, n in enumerate(shown.shape) if a not in indices]
    place = _rows_of(shown, indices)
    first = shown.movedim(axes, range(len(axes)))
    table = first.reshape(prod(first.shape[: len(axes)]), *rest)
    picked = _rows(table, place)
    if axes[-1] - axes[0] + 1 != len(axes):  # apart, so the new axes stay in front
        return picked
    return picked.movedim(range(place.ndim), range(axes[0], axes[0] + place.ndim))


def setitem(x: Tensor, key: Any, value: Operand) -> Tensor:
    """x with the elements that an index names replaced."""
    new = x.like(value)
    if isinstance(key, type(x)) and key.dtype is DType.BOOL and (new.numel() == 1):
        mask = key.reshape(*key.shape, *[1] * (x.ndim - key.ndim))
        return x.masked_fill(mask, new.reshape(()))
    basic, indices = _split(x, key)
    if not indices:
        return lift(movement.setitem)(x, basic, new)
    return _written(x, _places(x, key), new.cast(x.dtype), False)


def _places(x: Tensor, key: Any) -> Tensor:
    """Where the elements that an index names lie in the flat tensor; -1 out of range."""
    return (x.arange(x.numel()).reshape(x.shape) + 1)[key] - 1


def _written(x: Tensor, place: Tensor, new: Tensor, is_added: bool) -> Tensor:
    """x with elements at flat places replaced, or added to."""
    values, write = new.expand(place.shape).flatten(), scatter_add if is_added else scatter
    return write(x.flatten(), 0, place.flatten(), values).reshape(x.shape)


def _split(x: Tensor, key: Any) -> tuple[Any, dict[int, Tensor]]:
    """The basic part of an index, and index tensors for axes of what that shows."""
    items: list[Any] = []
    for item in key if isinstance(key, tuple) else (key,):
        if isinstance(item, bool):
            raise UsageError(f"a mask must be a tensor or a list, not {item}")
        if isinstance(item, (list, tuple, range, np.ndarray)):
            item = type(x)(np.array(item, None if len(item) else np.int32))
        if isinstance(item, type(x)) and item.dtype is DType.BOOL:
            at = sum(1 for other in items if other is not None)
            if ... not in items and item.shape != x.shape[at : at + item.ndim]:
                raise UsageError(f"a mask of {item.shape} does not fit {x.shape} at axis {at}")
            items += item.nonzero().unbind(1)
        elif isinstance(item, type(x)) and item.value.is_float:
            raise UsageError(f"an index tensor must be INT32, not {item.dtype.name}")
        else:
            items.append(item)
    full: list[Any] = movement.full_index(x.value, tuple(items))
    shown = [item for item in full if not isinstance(item, int)]
    indices = {axis: item for axis, item in enumerate(shown) if isinstance(item, type(x))}
    return tuple(slice(None) if isinstance(item, type(x)) else item for item in full), indices


def _rows_of(x: Tensor, indices: dict[int, Tensor]) -> Tensor:
    """The row of the indexed axes, laid out flat, for each index; -1 where one is out of range."""
    row, is_inside = x.full((), 0), x.full((), True)
    for axis in sorted(indices):
        n, index = x.shape[axis], indices[axis].int()
        index = (index < 0).where(index + n, index)
        row = row * n + index
        is_inside = is_inside & (index >= 0) & (index < n)
    return is_inside.where(row, -1)


def select(x: Tensor, axis: int, index: int) -> Tensor:
    """One element of an axis, which goes."""
    return x[_along(x, axis, index)]


def _along(x: Tensor, axis: int, item: Any) -> tuple[Any, ...]:
    """The index that has an item for one axis."""
    return (*[slice(None)] * axis_of(x.value, axis), item)


def take(x: Tensor, index: Tensor) -> Tensor:
    """Elements of the flat tensor."""
    return x.flatten()[index]


def index_select(x: Tensor, axis: int, index: Tensor) -> Tensor:
    """The slices of an axis that a vector names."""
    return getitem(x, _along(x, axis, index.reshape(-1)))


def _addresses(x: Tensor, axis: int, index: Tensor) -> Tensor:
    """Where index[..., i, ...] along an axis lies in the flat tensor; -1 out of range."""
    at, row = axis_of(x.value, axis), x.full((), 0)
    if index.ndim != x.ndim:
        raise UsageError(f"an index of {index.shape} needs as many axes as {x.shape}")
    if any(index.shape[a] > n for a, n in enumerate(x.shape) if a != at):
        raise UsageError(f"an index of {index.shape} exceeds {x.shape} apart from axis {at}")
    for a, n in enumerate(x.shape):
        lone = x.arange(index.shape[a]).reshape(-1, *[1] * (x.ndim - a - 1))
        row = row * n + (index.int() if a == at else lone)
    return ((index >= 0) & (index < x.shape[at])).where(row, -1)


def gather(x: Tensor, axis: int, index: Tensor) -> Tensor:
    """x[index] along one axis, element by element."""
    if not x.ndim:
        return gather(x.reshape(1), 0, index.reshape(1)).reshape(index.shape)
    place = _addresses(x, axis, index)
    return _rows(x.flatten(), place)


def take_along_dim(x: Tensor, index: Tensor, axis: int | None = None) -> Tensor:
    """`gather` whose index broadcasts."""
    if axis is None:
        return take(x, index.flatten())
    at = axis_of(x.value, axis)
    pairs = zip(index.shape, x.shape, strict=True)
    shape = [m if a == at else max(m, n) for a, (m, n) in enumerate(pairs)]
    wide = x.expand([x.shape[at] if a == at else n for a, n in enumerate(shape)])
    return gather(wide, axis, index.expand(shape))


def put(x: Tensor, index: Tensor, source: Tensor, accumulate: bool = False) -> Tensor:
    """x with elements at flat places replaced, or added to."""
    return _written(x, (index < 0).where(index + x.numel(), index), source, accumulate)


def scatter_add(x: Tensor, axis: int, index: Tensor, src: Tensor) -> Tensor:
    """x with each src added at its index along an axis, in order."""
    return x + _scattered(x, _addresses(x, axis, index), _source(x, src, index))


def _scattered(x: Tensor, place: Tensor, source: Tensor) -> Tensor:
    """What is added to each element of x."""
    rows = source.reshape(source.numel(), 1)
    return lift(graph.scatter)(place.flatten(), rows, x.numel()).reshape(x.shape)


def _source(x: Tensor, src: Tensor, index: Tensor) -> Tensor:
    """The part of what is written to x that the index has places for."""
    if src.dtype is not x.dtype:
        raise UsageError(f"{src} cannot be written to {x}: cast() one of them")
    if src.ndim != index.ndim or any(m < n for m, n in zip(src.shape, index.shape, strict=True)):
        raise UsageError(f"an index of {index.shape} exceeds what is written, {src.shape}")
    return src[tuple(slice(n) for n in index.shape)]


def scatter(x: Tensor, axis: int, index: Tensor, src: Operand, reduce: str | None = None) -> Tensor:
    """x with each src put at its index along an axis; of several the last one stays."""
    if isinstance(src, type(x)) and src.ndim:
        source = _source(x, src, index)
    else:
        source = x.like(src).cast(x.dtype).expand(index.shape)
    if reduce is not None:
        names = {"multiply": "prod", "add": "sum"}
        return scatter_reduce(x, axis, index, source, names.get(reduce, reduce))
    at, place = axis_of(x.value, axis), _addresses(x, axis, index)
    after = [1] * (x.ndim - at - 1)
    order = x.arange(index.shape[at])
    is_later = order.reshape(1, -1, *after) > order.reshape(-1, 1, *after)
    is_same = index.unsqueeze(at) == index.unsqueeze(at + 1)
    place = (is_same & is_later).any(at + 1).where(-1, place)
    origin = _scattered(x, place, x.arange(1, place.numel() + 1)) - 1
    picked = _rows(source.flatten(), origin)
    return (origin >= 0).where(picked, x).cast(x.dtype)


def scatter_reduce(
    x: Tensor, axis: int, index: Tensor, src: Tensor, reduce: str, include_self: bool = True
) -> Tensor:
    """Each element reduced with what is scattered to it: sum, prod, mean, amax or amin."""
    low, high = (-inf, inf) if x.value.is_float else (-(2**31), 2**31 - 1)
    neutrals = {"sum": 0, "mean": 0, "prod": 1, "amax": low, "amin": high}
    if reduce not in neutrals:
        raise UsageError(f"reduce must be sum, prod, mean, amax or amin, not {reduce!r}")
    at, m = axis_of(x.value, axis), index.shape[axis]
    region = tuple(slice(None) if a == at else slice(n) for a, n in enumerate(index.shape))
    kept = x[region].unsqueeze(-1)
    places = x.arange(x.shape[at]).reshape(-1, *[1] * (x.ndim - at))
    is_here = index.movedim(at, -1).unsqueeze(at) == places
    sources = _source(x, src, index).movedim(at, -1).unsqueeze(at)
    parts = cat(kept, sources.expand(*kept.shape[:-1], m), axis=-1)
    is_here = cat(kept.full(kept.shape, include_self), is_here, axis=-1)
    count = is_here.sum(-1)
    masked = is_here.where(parts, neutrals[reduce])
    found = getattr(masked, "sum" if reduce == "mean" else reduce)(-1)
    if reduce == "mean":
        found = found.div(count.clamp(1), None if x.value.is_float else "floor")
    return setitem(x, region, (count > 0).where(found, kept.squeeze(-1)))


def index_add(x: Tensor, axis: int, index: Tensor, source: Tensor, alpha: float = 1) -> Tensor:
    """x with slices added at the indices of an axis, in order."""
    source = source if alpha == 1 else source * alpha
    return scatter_add(x, axis, _for_each(source, axis, index), source)


def index_copy(x: Tensor, axis: int, index: Tensor, source: Tensor) -> Tensor:
    """x with slices put at the indices of an axis."""
    return scatter(x, axis, _for_each(source, axis, index), source)


def index_fill(x: Tensor, axis: int, index: Tensor, value: Operand) -> Tensor:
    """x with a number at the indices of an axis."""
    return setitem(x, _along(x, axis, index), value)


def _for_each(source: Tensor, axis: int, index: Tensor) -> Tensor:
    """A vector of indices as an index for each element."""
    at = axis_of(source.value, axis)
    return index.reshape(-1, *[1] * (source.ndim - at - 1)).expand(source.shape)


def index_put(
    x: Tensor, indices: Sequence[Tensor], values: Tensor, accumulate: bool = False
) -> Tensor:
    """x with the elements that index tensors name replaced, or added to."""
    return _written(x, _places(x, tuple(indices)), values, accumulate)


def nonzero(x: Tensor, as_tuple: bool = False) -> Any:
    """The indices of what is not 0, one row each or axis by axis; looks at the elements now."""
    found = type(x)(np.argwhere(x.numpy()).astype(np.int32))
    return found.unbind(1) if as_tuple else found


def masked_select(x: Tensor, mask: Tensor) -> Tensor:
    """The elements where the mask holds; looks at the mask now."""
    shape = e.broadcast_shapes(x.shape, mask.shape)
    return x.expand(shape)[mask.expand(shape)]


def masked_scatter(x: Tensor, mask: Tensor, source: Tensor) -> Tensor:
    """x with the elements of another in turn where the mask holds; looks at the mask now."""
    wide = mask.expand(x.shape)
    return setitem(x, wide, source.flatten()[: int(wide.sum().item())])


def unique(
    x: Tensor, sorted: bool = True, return_inverse: bool = False, return_counts: bool = False
) -> Any:
    """The elements in order, each once; looks at them now.

    If asked, with which of them each element is, and with how often each occurs.
    """
    array = x.numpy()
    values, inverse, counts = np.unique(array, return_inverse=True, return_counts=True)
    more = [inverse.reshape(array.shape)] * return_inverse + [counts] * return_counts
    found = tuple(type(x)(part) for part in (values, *more))
    return found if more else found[0]


def select_scatter(x: Tensor, src: Tensor, axis: int, index: int) -> Tensor:
    """x with one element of an axis replaced."""
    return setitem(x, _along(x, axis, index), src)


def slice_scatter(
    x: Tensor, src: Tensor, axis: int = 0, start: int | None = None, stop: int | None = None,
    step: int = 1,
) -> Tensor:  # fmt: skip
    """x with a slice of an axis replaced."""
    return setitem(x, _along(x, axis, slice(start, stop, step)), src)


def bincount(x: Tensor, weights: Tensor | None = None, minlength: int = 0) -> Tensor:
    """How often each integer occurs, or the sum of its weights; looks at the largest now."""
    count = max(minlength, int(x.amax().item()) + 1 if x.numel() else 0)
    ones = x.full(x.shape, 1) if weights is None else weights
    return scatter_add(x.full((count,), 0, ones.dtype), 0, x, ones)
