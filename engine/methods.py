"""Methods of Tensor that are said in terms of other methods, named as in torch or tinygrad."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Sequence
from functools import reduce
from math import inf, log, pi
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from engine import elementwise as e
from engine import graph, movement, transcendental
from engine.dtypes import DType
from engine.errors import UsageError
from engine.graph import Scalar
from engine.lifting import Operand, lift, raw
from engine.movement import axis_of, integers
from engine.windows import windows

if TYPE_CHECKING:
    from engine.tensor import Tensor

Axes: TypeAlias = int | Sequence[int] | None
Sizes: TypeAlias = int | Sequence[int]
Several: TypeAlias = "tuple[list[Tensor], int]"
_LARGEST = 3.4028234663852886e38

FORMULAS: dict[str, tuple[str, Callable[..., Any]]] = {
    "add": ("x + alpha * other.", lambda x, other, alpha=1: x + _times(x, other, alpha)),
    "sub": ("x - alpha * other.", lambda x, other, alpha=1: x - _times(x, other, alpha)),
    "addcmul": ("x + value * a * b.", lambda x, a, b, value=1: x + a * b * value),
    "addcdiv": ("x + value * a / b.", lambda x, a, b, value=1: x + a / b * value),
    "square": ("x * x.", lambda x: x * x),
    "reciprocal": ("1 / x.", lambda x: 1.0 / x),
    "positive": ("x.", lambda x: type(x).of(x.value)),
    "frac": ("What is right of the point, with the sign.", lambda x: x - x.trunc()),
    "deg2rad": ("From degrees to radians.", lambda x: x * (pi / 180)),
    "rad2deg": ("From radians to degrees.", lambda x: x * (180 / pi)),
    "erfc": ("1 - erf(x).", lambda x: 1.0 - x.erf()),
    "fmin": ("The smaller; a number rather than NaN.", lambda x, other: -(-x).fmax(-other)),
    "isin": (
        "Which are among others.",
        lambda x, other: (x.unsqueeze(-1) == other.flatten()).any(-1),
    ),
    "__contains__": ("Whether one is equal.", lambda x, other: builtins.bool((x == other).any())),
    "isnan": ("Where elements are NaN.", lambda x: x != x),
    "isposinf": ("Where elements are infinity.", lambda x: x == inf),
    "isneginf": ("Where elements are -infinity.", lambda x: x == -inf),
    "signbit": ("The sign bit, also of -0.", lambda x: x.float().bitcast(DType.INT32) < 0),
    "logical_not": ("Where elements are 0.", lambda x: ~x.bool()),
    "logical_and": ("Where neither is 0.", lambda x, other: x.bool() & x.like(other).bool()),
    "logical_or": ("Where one is not 0.", lambda x, other: x.bool() | x.like(other).bool()),
    "logical_xor": ("Where just one is not 0.", lambda x, other: x.bool() ^ x.like(other).bool()),
    "float": ("In FLOAT32.", lambda x: x.cast(DType.FLOAT32)),
    "half": ("In FLOAT16.", lambda x: x.cast(DType.FLOAT16)),
    "bfloat16": ("In BFLOAT16.", lambda x: x.cast(DType.BFLOAT16)),
    "int": ("In INT32.", lambda x: x.cast(DType.INT32)),
    "byte": ("In UINT8.", lambda x: x.cast(DType.UINT8)),
    "char": ("In INT8.", lambda x: x.cast(DType.INT8)),
    "bool": ("Where elements are not 0.", lambda x: x.cast(DType.BOOL)),
    "type_as": ("In another tensor's dtype.", lambda x, other: x.cast(other.dtype)),
    "contiguous": ("The same elements.", lambda x: type(x).of(x.value)),
    "t": ("The axes in reverse order.", lambda x: x.permute()),
    "fliplr": ("The second axis reversed.", lambda x: x.flip(1)),
    "flipud": ("The first axis reversed.", lambda x: x.flip(0)),
    "atleast_1d": ("With an axis, if it has none.", lambda x: x if x.ndim else x.reshape(1)),
    "atleast_2d": ("A row, if a vector.", lambda x: x if x.ndim > 1 else x.reshape(1, -1)),
    "atleast_3d": (
        "With three axes or more.",
        lambda x: x if x.ndim > 2 else x.atleast_2d().unsqueeze(-1),
    ),
    "expand_as": ("Stretched to another's shape.", lambda x, other: x.expand(other.shape)),
    "view_as": ("In another tensor's shape.", lambda x, other: x.reshape(other.shape)),
    "diagflat": ("A matrix with all elements on its diagonal.", lambda x: x.flatten().diag()),
    "trace": ("The sum of the diagonal.", lambda x: x.diagonal().sum()),
    "outer": ("Every product of two vectors' elements.", lambda x, other: x.unsqueeze(1) * other),
    "dist": ("The p-norm of the difference.", lambda x, other, p=2: norm(x - other, p)),
    "linear": ("x @ weight + bias.", lambda x, weight, bias=0.0: x @ weight + bias),
    "msort": ("Sorted along the first axis.", lambda x: x.sort(0).values),
    "count_nonzero": ("How many elements are not 0.", lambda x, axis=None: (x != 0).sum(axis)),
    "zero": ("Zeros in this shape.", lambda x: x.copy(0)),
    "zeros_like": ("Zeros of this type.", lambda x, dtype=None: x.full_like(0, dtype)),
    "ones_like": ("Ones of this type.", lambda x, dtype=None: x.full_like(1, dtype)),
    "new_zeros": ("Zeros of this dtype.", lambda x, *shape: x.new_full(integers(shape), 0)),
    "new_ones": ("Ones of this dtype.", lambda x, *shape: x.new_full(integers(shape), 1)),
    "new_tensor": ("Data in this dtype.", lambda x, data: type(x)(data, x.dtype)),
    "rand_like": ("`rand` in this shape.", lambda x, **options: x.rand(x.shape, **options)),
    "randn_like": ("`randn` in this shape.", lambda x, **options: x.randn(x.shape, **options)),
}
"""Methods that are a formula, each with its docstring."""


def _times(x: Tensor, other: Operand, alpha: Scalar) -> Operand:
    return other if alpha == 1 else x.like(other) * alpha


# Elementwise


def sequential(x: Tensor, functions: Sequence[Callable[[Tensor], Tensor]]) -> Tensor:
    """One function after the other."""
    return reduce(lambda y, function: function(y), functions, x)


def div(x: Tensor, other: Operand, rounding_mode: str | None = None) -> Tensor:
    """x / other in FLOAT32, or rounded to "trunc" or "floor", in which integers stay integers."""
    by = {None: e.div, "trunc": e.trunc_div, "floor": e.floor_div}
    if rounding_mode not in by:
        raise UsageError(f"rounding_mode must be None, 'trunc' or 'floor', not {rounding_mode!r}")
    return lift(by[rounding_mode])(x, other)


def pow(x: Tensor, exponent: Operand) -> Tensor:
    """x ** exponent. Numbers that are integers up to 64 in size, 0.5 and -0.5 are exact steps."""
    power = raw(exponent)
    if isinstance(power, int) and power < 0 and not x.value.is_float:
        raise UsageError(f"{x} has no negative power {power}: integers stay integers; use float()")
    if isinstance(power, (int, float)) and (abs(power) == 0.5 or power in range(-64, 65)):
        return lift(e.power)(x, power)
    if x.value.is_float or x.like(exponent).value.is_float:
        return lift(transcendental.pow)(x, power)
    return lift(e.integer_power)(x, power)


def where(x: Tensor, a: Operand | None = None, b: Operand | None = None) -> Any:
    """a where this condition holds, else b; or torch's value.where(condition, other).

    Of the condition alone the indices where it holds, axis by axis.
    """
    if a is None or b is None:
        return x.nonzero(as_tuple=True)
    if isinstance(a, type(x)) and a.dtype is DType.BOOL and x.dtype is not DType.BOOL:
        x, a = a, x
    return lift(e.select)(x, a, b)


def round(x: Tensor, decimals: int = 0) -> Tensor:
    """Rounded to the nearest, halves to even, at a decimal place."""
    if decimals < 0:
        return round(x / 10.0**-decimals) * 10.0**-decimals
    scale = 10.0**decimals
    return round(x * scale) / scale if decimals else lift(e.round_)(x)


def logaddexp(x: Tensor, other: Tensor) -> Tensor:
    """log(exp(x) + exp(other)) without overflow."""
    largest = x.maximum(other).detach()
    largest = largest.isfinite().where(largest, 0.0)
    return ((x - largest).exp() + (other - largest).exp()).log() + largest


def lerp(x: Tensor, other: Operand, weight: Operand) -> Tensor:
    """From x to other by a weight, exact at both ends."""
    end, share = x.like(other), x.like(weight)
    near, far = x + share * (end - x), end - (end - x) * (1.0 - share)
    return (share.abs() < 0.5).where(near, far)


def copysign(x: Tensor, other: Operand) -> Tensor:
    """|x| with the sign of another, also of its zeros."""
    signs = x.like(other).float().bitcast(DType.UINT32) & 0x8000_0000
    x = x.expand(e.broadcast_shapes(x.shape, signs.shape))
    bits = (x.float().bitcast(DType.UINT32) & 0x7FFF_FFFF) | signs
    flip = (signs == 0).where(1.0, -1.0) * x.sign()
    found = bits.bitcast(DType.FLOAT32).value
    return type(x).of(graph.custom(found, lambda g, _: (e.mul(g, flip.value),), x.value))


def isinf(x: Tensor, detect_positive: bool = True, detect_negative: bool = True) -> Tensor:
    """Where elements are infinite, of the signs asked for."""
    return ((x == inf) & detect_positive) | ((x == -inf) & detect_negative)


def isclose(
    x: Tensor, other: Tensor, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> Tensor:
    """|x - other| <= atol + rtol * |other|, or equal."""
    near = (x - other).abs() <= other.abs() * rtol + atol
    close = (x == other) | (near & x.isfinite() & other.isfinite())
    return close | (x.isnan() & other.isnan()) if equal_nan else close


def nan_to_num(
    x: Tensor, nan: float = 0.0, posinf: float = _LARGEST, neginf: float = -_LARGEST
) -> Tensor:
    """With numbers instead of NaN and infinities."""
    finite = (x == inf).where(posinf, (x == -inf).where(neginf, x))
    return x.isnan().where(nan, finite)


# Folds


def std(x: Tensor, *given: Any, **named: Any) -> Tensor:
    """The square root of `var`, whose arguments it takes; its gradient at 0 is 0."""
    return _root(x.var(*given, **named))


def var_mean(
    x: Tensor, axis: Axes = None, unbiased: int = 1, keepdim: bool = False,
    correction: int | None = None,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """var and mean."""
    return x.var(axis, unbiased, keepdim, correction), x.mean(axis, keepdim)


def std_mean(x: Tensor, *given: Any, **named: Any) -> tuple[Tensor, ...]:
    """std and mean, with the arguments of `var_mean`."""
    variance, mean = x.var_mean(*given, **named)
    return _root(variance), mean


def norm(x: Tensor, p: float | str = 2, axis: Axes = None, keepdim: bool = False) -> Tensor:
    """The p-norm of vectors along axes; its gradient at 0 is 0."""
    if p in (2, "fro", None):
        return _root(x.square().sum(axis, keepdim))
    size, p = x.abs(), float(p)
    if p in (inf, -inf):
        return size.amax(axis, keepdim) if p > 0 else size.amin(axis, keepdim)
    if p in (0, 1):
        return (size if p else (x != 0).float()).sum(axis, keepdim)
    return (size**p).sum(axis, keepdim) ** (1 / p)


def _root(x: Tensor) -> Tensor:
    """The square root, with gradient 0 at 0."""
    is_zero = x == 0
    return is_zero.where(0.0, is_zero.where(1.0, x).sqrt())


# Matrices


def inner(x: Tensor, other: Tensor) -> Tensor:
    """The sum of products over the last axes."""
    return x.tensordot(other, ([-1], [-1])) if x.ndim and other.ndim else x * other


def matrix_power(x: Tensor, n: int) -> Tensor:
    """Multiplied with itself."""
    result = x.eye(x.shape[-1]).expand(x.shape)
    for _ in range(n):
        result = result @ x
    return result


def addmm(x: Tensor, a: Tensor, b: Tensor, beta: Scalar = 1, alpha: Scalar = 1) -> Tensor:
    """beta * x + alpha * (a @ b)."""
    product = a @ b
    return (x if beta == 1 else x * beta) + (product if alpha == 1 else product * alpha)


def cross(x: Tensor, other: Tensor, axis: int = -1) -> Tensor:
    """The cross product of vectors of three."""
    a, b = x.roll(-1, axis), other.roll(-1, axis)
    return (a * other.roll(1, axis)) - (x.roll(1, axis) * b)


# Movement


def cat(*tensors: Tensor | Sequence[Tensor] | int, axis: int = 0) -> Tensor:
    """Tensors, or one sequence of them, joined along an axis."""
    several, axis = several_of(tensors, axis)
    some = [t for t in several if t.shape != (0,)] or several[:1]
    return type(several[0]).of(movement.cat([t.value for t in some], axis))


def stack(*tensors: Tensor | Sequence[Tensor] | int, axis: int = 0) -> Tensor:
    """Tensors of one shape joined along a new axis."""
    several, axis = several_of(tensors, axis)
    return cat([t.unsqueeze(axis) for t in several], axis=axis)


def hstack(*tensors: Tensor | Sequence[Tensor]) -> Tensor:
    """Joined along the second axis; vectors along their only one."""
    several = [t.atleast_1d() for t in several_of(tensors, 0)[0]]
    return cat(several, axis=min(several[0].ndim - 1, 1))


def vstack(*tensors: Tensor | Sequence[Tensor]) -> Tensor:
    """Joined along the first axis; vectors are rows."""
    return cat([t.atleast_2d() for t in several_of(tensors, 0)[0]])


def dstack(*tensors: Tensor | Sequence[Tensor]) -> Tensor:
    """Joined along the third axis."""
    return cat([t.atleast_3d() for t in several_of(tensors, 0)[0]], axis=2)


def column_stack(*tensors: Tensor | Sequence[Tensor]) -> Tensor:
    """Joined along the second axis; vectors are columns."""
    several = several_of(tensors, 0)[0]
    return cat([t if t.ndim > 1 else t.reshape(-1, 1) for t in several], axis=1)


def broadcast_tensors(*tensors: Tensor) -> tuple[Tensor, ...]:
    """All in the shape to which they broadcast."""
    shape = e.broadcast_shapes(*(t.shape for t in tensors))
    return tuple(t.expand(shape) for t in tensors)


def several_of(given: Sequence[Tensor | Sequence[Tensor] | int], axis: int) -> Several:
    """Tensors given one by one or in one sequence, and an axis that may be the last argument."""
    *_, axis = axis, *(n for n in given if isinstance(n, int))
    parts = [part for part in given if not isinstance(part, int)]
    flat = list(parts[0]) if len(parts) == 1 and isinstance(parts[0], (list, tuple)) else parts
    if not flat or any(isinstance(part, (list, tuple)) for part in flat):
        raise UsageError("give tensors, one by one or in one sequence of them, not both")
    return cast("list[Tensor]", flat), axis


def split(x: Tensor, sizes: Sizes, axis: int = 0) -> tuple[Tensor, ...]:
    """Parts of one size, the last perhaps smaller, or of these sizes."""
    n = x.shape[axis]
    if isinstance(sizes, int):
        sizes = [min(sizes, n - start) for start in range(0, max(n, 1), max(sizes, 1))]
    if sum(sizes) != n:
        raise UsageError(f"sizes {sizes} do not add up to {n}")
    return tuple(x.narrow(axis, sum(sizes[:i]), size) for i, size in enumerate(sizes))


def chunk(x: Tensor, sections: int, axis: int = 0) -> tuple[Tensor, ...]:
    """At most that many parts, all of one size but the last."""
    return split(x, max(1, -(-x.shape[axis] // sections)), axis)


def tensor_split(x: Tensor, sections: Sizes, axis: int = 0) -> tuple[Tensor, ...]:
    """That many parts that differ in size by one at most, or cut at these places."""
    n = x.shape[axis]
    if isinstance(sections, int):
        return split(x, [(n + i) // sections for i in reversed(range(sections))], axis)
    cuts = [min(cut % n if cut < 0 else cut, n) for cut in sections]
    return split(x, [b - a for a, b in zip([0, *cuts], [*cuts, n], strict=True)], axis)


def repeat(x: Tensor, *shape: Sizes) -> Tensor:
    """The whole tensor repeated along each axis, new ones in front."""
    counts = integers(shape)
    if len(counts) < x.ndim:
        raise UsageError(f"repeat{counts} needs a number for each axis of {x.shape}")
    dims = (1,) * (len(counts) - x.ndim) + x.shape
    lone = x.reshape([n for dim in dims for n in (1, dim)])
    wide = lone.expand([n for pair in zip(counts, dims, strict=True) for n in pair])
    return wide.reshape([c * n for c, n in zip(counts, dims, strict=True)])


def tile(x: Tensor, *shape: Sizes) -> Tensor:
    """`repeat` with ones in front of too few numbers."""
    counts = integers(shape)
    return repeat(x, (1,) * (x.ndim - len(counts)) + counts)


def repeat_interleave(x: Tensor, repeats: Tensor | int, axis: int | None = None) -> Tensor:
    """Each element along an axis repeated; `repeats` that is a Tensor is looked at now."""
    if axis is None:
        return repeat_interleave(x.flatten(), repeats, 0)
    at = axis_of(x.value, axis)
    if not isinstance(repeats, int):
        counts = enumerate(repeats.expand(x.shape[at]).tolist())
        return x.index_select(at, type(x)([i for i, n in counts for _ in range(int(n))]).int())
    shape = (*x.shape[: at + 1], repeats, *x.shape[at + 1 :])
    return x.unsqueeze(at + 1).expand(shape).flatten(at, at + 1)


def roll(x: Tensor, shifts: Sizes, axes: Axes = None) -> Tensor:
    """Rotated along axes, or as one flat row."""
    if axes is None:
        return roll(x.flatten(), shifts, (0,)).reshape(x.shape)
    pairs = [(n,) if isinstance(n, int) else n for n in (shifts, axes)]
    if len(pairs[0]) != len(pairs[1]):
        raise UsageError(f"roll() needs one shift for each axis, not {shifts} for {axes}")
    for shift, axis in zip(*pairs, strict=True):
        cut = -shift % max(x.shape[axis], 1)
        if cut:
            x = cat(x.narrow(axis, cut, x.shape[axis] - cut), x.narrow(axis, 0, cut), axis=axis)
    return x


def rot90(x: Tensor, k: int = 1, axes: Sequence[int] = (0, 1)) -> Tensor:
    """Turned by right angles from the first axis towards the second."""
    a, b = axes
    return (x, x.flip(b).transpose(a, b), x.flip(axes), x.transpose(a, b).flip(b))[k % 4]


def shrink(x: Tensor, ranges: Sequence[tuple[int, int] | None]) -> Tensor:
    """The part between (start, end) of every axis."""
    return x[tuple(slice(None) if part is None else slice(*part) for part in ranges)]


def unfold(x: Tensor, axis: int, size: int, step: int) -> Tensor:
    """Windows along an axis, as a new last axis."""
    at = axis_of(x.value, axis)
    if size == 0 < step:
        none = x.movedim(at, -1).narrow(-1, 0, 0).unsqueeze(-2)
        return none.expand(*none.shape[:-2], x.shape[at] // step + 1, 0).movedim(-2, at)
    shown = windows(x.movedim(at, -1).value, (size,), (step,), (1,))
    return type(x).of(shown).movedim(-2, at)


def as_strided(x: Tensor, shape: Sequence[int], stride: Sequence[int], offset: int = 0) -> Tensor:
    """A copy of elements offset + sum(i * stride) of the flat tensor."""
    place = x.full(shape, offset, DType.INT32)
    for axis, (n, step) in enumerate(zip(shape, stride, strict=True)):
        place = place + (x.arange(n) * step).reshape(n, *[1] * (len(shape) - axis - 1))
    return x.take(place)


def meshgrid(*tensors: Tensor | Sequence[Tensor], indexing: str = "ij") -> tuple[Tensor, ...]:
    """Each vector expanded along the axes of the others."""
    several, _ = several_of(tensors, 0)
    if indexing not in ("ij", "xy"):
        raise UsageError(f"indexing must be 'ij' or 'xy', not {indexing!r}")
    if indexing == "xy":
        turned = meshgrid([*several[1::-1], *several[2:]])
        return (*turned[1::-1], *turned[2:])
    shape = [t.numel() for t in several]
    after = reversed(range(len(shape)))
    return tuple(t.reshape(-1, *[1] * n).expand(shape) for t, n in zip(several, after, strict=True))


def one_hot(x: Tensor, classes: int = -1) -> Tensor:
    """INT32 with a new last axis: 1 at the class that each element names."""
    if x.dtype is not DType.INT32:
        raise UsageError(f"one_hot takes INT32 classes, not {x.dtype.name}")
    count = int(x.amax().item()) + 1 if classes < 0 else classes
    return (x.unsqueeze(-1) == x.arange(count)).int()


def masked_fill(x: Tensor, mask: Tensor, value: Operand) -> Tensor:
    """`value` where the mask holds."""
    return mask.where(x.like(value).cast(x.dtype), x)


def logaddexp2(x: Tensor, other: Tensor) -> Tensor:
    """log2(2**x + 2**other) without overflow."""
    return logaddexp(x * log(2), other * log(2)) / log(2)


def cdist(x: Tensor, other: Tensor, p: float = 2.0) -> Tensor:
    """The distance of every row of one from every row of the other."""
    return norm(x.unsqueeze(-2) - other.unsqueeze(-3), p, -1)


def nansum(x: Tensor, axis: Axes = None, keepdim: bool = False) -> Tensor:
    """The sum of what is not NaN."""
    return x.isnan().where(0.0, x).sum(axis, keepdim)


def nanmean(x: Tensor, axis: Axes = None, keepdim: bool = False) -> Tensor:
    """The mean of what is not NaN."""
    return nansum(x, axis, keepdim) / (~x.isnan()).sum(axis, keepdim)


def aminmax(x: Tensor, axis: Axes = None, keepdim: bool = False) -> tuple[Tensor, Tensor]:
    """amin and amax."""
    return x.amin(axis, keepdim), x.amax(axis, keepdim)


def unbind(x: Tensor, axis: int = 0) -> tuple[Tensor, ...]:
    """The elements along an axis."""
    return tuple(x.select(axis, i) for i in range(x.shape[axis]))


def hypot(x: Tensor, other: Operand) -> Tensor:
    """sqrt(x * x + other * other) without overflow; its gradient at 0 is 0."""
    largest = x.abs().maximum(x.like(other).abs()).detach()
    scale = (largest.isfinite() & (largest > 0)).where(largest, 1.0)
    return _root((x / scale).square() + (x.like(other) / scale).square()) * scale


def xlogy(x: Tensor, other: Operand) -> Tensor:
    """x * log(other), 0 where x is 0."""
    is_zero = (x == 0) & ((x.like(other) <= 0) | (x.like(other) == inf))
    return is_zero.where(0.0, x * is_zero.where(1.0, other).log())


def logit(x: Tensor, eps: float | None = None) -> Tensor:
    """log(x / (1 - x)), of x brought between eps and 1 - eps."""
    x = x if eps is None else x.clamp(eps, 1.0 - eps)
    return (x / (1.0 - x)).log()


def sinc(x: Tensor) -> Tensor:
    """sin(pi x) / (pi x), 1 at 0."""
    angle = (x == 0).where(1.0, x) * pi
    return (x == 0).where(1.0, angle.sin() / angle)


def fmax(x: Tensor, other: Tensor) -> Tensor:
    """The larger; a number rather than NaN."""
    return other.isnan().where(x, x.isnan().where(other, x.maximum(other)))


def heaviside(x: Tensor, other: Operand) -> Tensor:
    """0 below 0, 1 above, another value at 0."""
    return x.isnan().where(x, (x == 0).where(other, (x > 0).where(1, 0)))


def diff(
    x: Tensor, n: int = 1, axis: int = -1, prepend: Tensor | None = None,
    append: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """Each element less the one before, n times; of what stands before and after, too."""
    x = cat([part for part in (prepend, x, append) if part is not None], axis=axis)
    for _ in range(n):
        count = x.shape[axis] - 1
        x = x.narrow(axis, 1, count) - x.narrow(axis, 0, count)
    return x
