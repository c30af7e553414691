"""Tensor: torch-like names over the lazy graph.

A Tensor is a handle on an immutable graph value; nothing is computed until `numpy`, `item` or
`realize`. Methods stand in the modules that do the work:

    elementwise, transcendental    + - * / ** comparisons, rounding; exp, sin, erf
    folds, movement                of values: sum, max, matmul; reshape, permute, slices
    methods                        of tensors, in terms of other methods: lerp, std, split, roll
    indexing, sorting, einsum      x[index], gather, scatter; sort, cumsum; einsum
    functional and others          what torch has in torch.nn.functional

Arguments have torch's names or tinygrad's (`dim` or `axis`). Differences from torch: shapes are
static; elements are FLOAT32, INT32, UINT32 or BOOL, and where torch gives int64 it is INT32; other
dtypes are storage, computed with as FLOAT32 or INT32; `max(axis=...)` gives values alone, as in
tinygrad, `max(dim)` also indices. Views share no memory: `x.add_(1)` makes x another value, and
is refused while another tensor is alive that torch would change with it.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import reduce
from math import inf, pi
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary, WeakValueDictionary

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from engine import drawing, folds, graph, indexing, methods, movement, padding, realize, sorting
from engine import einsum as einsums
from engine import elementwise as e
from engine import functional as F
from engine import transcendental as t
from engine.dtypes import DType, from_numpy
from engine.errors import UsageError
from engine.gradient import differentiable_inputs
from engine.gradient import gradient as graph_gradient
from engine.graph import Array, Scalar, Value
from engine.lifting import Operand, binary, finish, lift, maker, raw, reflected, unary

Axes: TypeAlias = "int | Sequence[int] | None"
Kind: TypeAlias = "DType | DTypeLike"
_Bool: TypeAlias = bool  # the class has methods that hide these names
_Int: TypeAlias = int
_Float: TypeAlias = float

Group: TypeAlias = "WeakValueDictionary[int, Tensor]"  # by id: tensors compare element by element
_tracked: "WeakKeyDictionary[Value, Group]" = WeakKeyDictionary()
_without_gradients: list[None] = []


@contextmanager
def no_grad() -> Iterator[None]:
    """What is computed inside has no gradient; tensors that require one may be changed."""
    _without_gradients.append(None)
    try:
        yield
    finally:
        _without_gradients.pop()


@finish
class Tensor:
    """An immutable array of elements, perhaps not yet computed, and a name for it to change.

    `data` is anything numpy understands. Floats become FLOAT32, integers INT32 (uint32,
    uint8 and int8 stay) and must fit. With `requires_grad`, `backward` sets its `grad`.
    """

    __slots__ = ("__weakref__", "_born", "_family", "_value", "grad")
    __array_ufunc__ = None  # numpy leaves an operator with a tensor on the right to us
    __hash__ = object.__hash__
    grad: "Tensor | None"

    def __init__(
        self,
        data: "ArrayLike | Tensor",
        dtype: "Kind | None" = None,
        requires_grad: bool = False,
    ) -> None:
        kind = None if dtype is None else dtype_of(dtype)
        value = graph.detach(data._value) if isinstance(data, Tensor) else _value_of(data, kind)
        self._set(value if kind is None else graph.cast(value, kind))
        if requires_grad:
            self.requires_grad_()

    @classmethod
    def of(cls, value: Value) -> "Tensor":
        """The tensor of a graph value."""
        result = cls.__new__(cls)
        result._set(graph.detach(value) if _without_gradients and value.is_float else value)
        return result

    def _set(self, value: Value) -> None:
        self._value = value
        self._family: Group | None = None
        self._born = realize.current_trace()
        self.grad = None

    def like(self, operand: Operand) -> "Tensor":
        """A tensor as it is, a number as a tensor."""
        value = raw(operand)
        return Tensor.of(value) if isinstance(value, Value) else Tensor.full((), value)

    # What it is

    @property
    def value(self) -> Value:
        """The graph value."""
        return self._value

    @property
    def dtype(self) -> DType:
        """The element type."""
        return self._value.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape."""
        return self._value.shape

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    def size(self, axis: int | None = None) -> "tuple[_Int, ...] | _Int":
        """The shape, or the length of one axis."""
        return self.shape if axis is None else self.shape[axis]

    def numel(self) -> int:
        """The number of elements."""
        return self._value.size

    def dim(self) -> int:
        """The number of axes."""
        return self.ndim

    nelement, ndimension = numel, dim

    def element_size(self) -> int:
        """Bytes per element."""
        return self.dtype.bytes

    def nbytes(self) -> int:
        """Bytes of all elements."""
        return self.numel() * self.dtype.bytes

    def is_floating_point(self) -> bool:
        """Whether elements are floats."""
        return e.computed(self.dtype) is DType.FLOAT32

    def __len__(self) -> int:
        if not self.shape:
            raise UsageError("a scalar has no length")
        return self.shape[0]

    def __repr__(self) -> str:
        return f"Tensor({self.dtype.name}, {self.shape})"

    # Elements

    def realize(self) -> "Tensor":
        """Compute the elements now; returns self."""
        realize.realize([self._value])
        return self

    def numpy(self) -> Array:
        """The elements as a new numpy array; TraceError inside a traced function."""
        return realize.elements(self._value)

    def __array__(self, dtype: "DTypeLike | None" = None, copy: "_Bool | None" = None) -> Array:
        return self.numpy().astype(dtype or self.dtype.numpy, copy=False)

    def tolist(self) -> Any:
        """The elements as nested lists of Python numbers."""
        return self.numpy().tolist()

    def item(self) -> bool | int | float:
        """The only element as a Python number."""
        if self.numel() != 1:
            raise UsageError(f"item() of shape {self.shape}: it must have one element")
        number: bool | int | float = self.numpy().reshape(-1)[0].item()
        return number

    def __bool__(self) -> bool:
        return bool(self.item())

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __format__(self, spec: str) -> str:
        return format(self.item() if spec else repr(self), spec)

    def __index__(self) -> int:
        if self._value.is_float:
            raise UsageError(f"only an integer can be an index, not {self}")
        return int(self.item())

    def allclose(self, other: "Tensor", rtol: "_Float" = 1e-5, atol: "_Float" = 1e-8) -> bool:
        """Whether all elements are close; looks at them now."""
        return bool(self.isclose(other, rtol, atol).all())

    def equal(self, other: "Tensor") -> bool:
        """Whether shape and elements are equal; looks at them now."""
        return self.shape == other.shape and bool((self == other).all())

    # Changes

    def assign(self, other: "Tensor") -> "Tensor":
        """Become another tensor of the same type, without its history; returns self."""
        if (self.dtype, self.shape) != (other.dtype, other.shape):
            raise UsageError(f"cannot assign {other} to {self}")
        return self._change(*realize.realize([other._value]))

    def become(self, other: "Tensor") -> "Tensor":
        """Change to a result of this shape, with its history; what `add_` and `+=` do."""
        if self._is_tracked and not _without_gradients:
            raise UsageError(
                f"{self} requires a gradient, so it cannot change in place; "
                "use `with no_grad():`, or make a new tensor"
            )
        fits = e.promote(self.dtype, other.dtype) is e.computed(self.dtype)
        if other.shape != self.shape or not fits:
            raise UsageError(f"{self} cannot become {other} in place; make a new tensor")
        return self._change(graph.cast(other._value, self.dtype))

    def _change(self, value: Value) -> "Tensor":
        if self._born is not realize.current_trace():
            realize.refuse_in_trace()
        relatives = [t for t in (self._family or {}).values() if t is not self]
        if relatives:
            raise UsageError(
                f"{self} shares its elements with {relatives[0]}, which would not change with it; "
                "clone() one of them first, or let go of the other"
            )
        is_required = self._is_tracked
        self._value = value
        return self.requires_grad_() if is_required else self

    @property
    def _is_tracked(self) -> bool:
        return id(self) in _tracked.get(self._value, {})

    def share_with(self, view: "Tensor") -> None:
        """Note that a tensor shows elements of this one, if it does."""
        if _root(view._value) is _root(self._value):
            self._family = self._family or WeakValueDictionary({id(self): self})
            view._family = self._family
            view._family[id(view)] = view

    def __setitem__(self, key: Any, value: Operand) -> None:
        self.become(indexing.setitem(self, key, value))

    def copy(self, other: Operand) -> "Tensor":
        """Another tensor's elements in this shape and dtype."""
        new = movement.expand(graph.cast(self.like(other)._value, self.dtype), self.shape)
        return Tensor.of(graph.custom(new, lambda g, _: (None, g), self._value, new))

    def fill(self, value: Operand) -> "Tensor":
        """One number in this shape and dtype."""
        return self.copy(value)

    def zero(self) -> "Tensor":
        """Zeros of this type."""
        return self.copy(0)

    def clone(self) -> "Tensor":
        """The same elements, shared with nobody; gradients flow back."""
        return Tensor.of(graph.custom(self._value, lambda g, _: (g,), self._value))

    # Gradients

    @property
    def requires_grad(self) -> bool:
        """Whether a gradient flows from here to a tensor that requires one."""
        order = graph.topological([self._value], differentiable_inputs)
        return self._value.is_float and any(_tracked.get(value) for value in order)

    @requires_grad.setter
    def requires_grad(self, is_required: bool) -> None:
        self.requires_grad_(is_required)

    @property
    def is_leaf(self) -> bool:
        """Whether it was not computed from what requires a gradient."""
        return self._is_tracked or not self.requires_grad

    def requires_grad_(self, is_required: bool = True) -> "Tensor":
        """Let `backward` put a gradient here; returns self."""
        if is_required and not self._value.is_float:
            raise UsageError(f"{self.dtype.name} has no gradient; only FLOAT32 has")
        if is_required:
            _tracked.setdefault(self._value, WeakValueDictionary())[id(self)] = self
        else:
            _tracked.get(self._value, WeakValueDictionary[int, Tensor]()).pop(id(self), None)
        return self

    def backward(
        self, gradient: "Tensor | None" = None, retain_graph: "_Bool | None" = None
    ) -> None:
        """Add the gradient of this scalar to `grad` of every tensor that requires one.

        What is no scalar needs the gradient of something by it. The graph is always kept.
        """
        realize.refuse_in_trace()
        order = graph.topological([self._value], lambda value: value.inputs)
        wanted = [value for value in order if _tracked.get(value)]
        seed = None if gradient is None else gradient._value
        for value, found in zip(wanted, graph_gradient(self._value, wanted, seed), strict=True):
            for tensor in _tracked[value].values():
                new = Tensor.of(found)
                tensor.grad = new if tensor.grad is None else tensor.grad + new

    def gradient(self, *targets: "Tensor", gradient: "Tensor | None" = None) -> "list[Tensor]":
        """The gradient of this scalar by each target, as tensors in the same graph."""
        seed = None if gradient is None else gradient._value
        found = graph_gradient(self._value, [target._value for target in targets], seed)
        return [Tensor.of(value) for value in found]

    def detach(self) -> "Tensor":
        """The same elements, through which no gradient flows."""
        return Tensor.of(graph.detach(self._value))

    @property
    def data(self) -> "Tensor":
        """Another name of detach."""
        return self.detach()

    retain_grad = requires_grad_
    no_grad = staticmethod(no_grad)

    # Making tensors

    @staticmethod
    def full(
        shape: "Sequence[_Int] | _Int", fill_value: Scalar, dtype: "Kind | None" = None
    ) -> "Tensor":
        """A tensor filled with a number."""
        plain = raw(fill_value)
        assert not isinstance(plain, Value)
        natural = {bool: DType.BOOL, int: DType.INT32}.get(type(plain), DType.FLOAT32)
        kind = natural if dtype is None else dtype_of(dtype)
        sizes = (shape,) if isinstance(shape, int) else shape
        return Tensor.of(graph.const(plain, kind, sizes))

    @staticmethod
    def zeros(*shape: "_Int | Sequence[_Int]", dtype: Kind = DType.FLOAT32) -> "Tensor":
        """Zeros."""
        return Tensor.full(movement.integers(shape), 0, dtype)

    @staticmethod
    def ones(*shape: "_Int | Sequence[_Int]", dtype: Kind = DType.FLOAT32) -> "Tensor":
        """Ones."""
        return Tensor.full(movement.integers(shape), 1, dtype)

    def new_full(
        self, shape: "Sequence[_Int] | _Int", fill_value: Scalar, dtype: "Kind | None" = None
    ) -> "Tensor":
        """A number in another shape, of this dtype."""
        return Tensor.full(shape, fill_value, dtype or self.dtype)

    def new_tensor(self, data: ArrayLike) -> "Tensor":
        """Data in this dtype."""
        return Tensor(data, self.dtype)

    def new_zeros(self, *shape: "_Int | Sequence[_Int]") -> "Tensor":
        """Zeros in another shape, of this dtype."""
        return self.new_full(movement.integers(shape), 0)

    def new_ones(self, *shape: "_Int | Sequence[_Int]") -> "Tensor":
        """Ones in another shape, of this dtype."""
        return self.new_full(movement.integers(shape), 1)

    def type_as(self, other: "Tensor") -> "Tensor":
        """In another tensor's dtype."""
        return self.cast(other.dtype)

    def sequential(self, functions: "Sequence[Callable[[Tensor], Tensor]]") -> "Tensor":
        """One function after the other."""
        return reduce(lambda x, function: function(x), functions, self)

    def full_like(self, fill_value: Scalar, dtype: "Kind | None" = None) -> "Tensor":
        """A number in this shape."""
        return Tensor.full(self.shape, fill_value, dtype or self.dtype)

    def zeros_like(self, dtype: "Kind | None" = None) -> "Tensor":
        """Zeros of this tensor's type."""
        return self.full_like(0, dtype)

    def ones_like(self, dtype: "Kind | None" = None) -> "Tensor":
        """Ones of this tensor's type."""
        return self.full_like(1, dtype)

    @staticmethod
    def arange(
        start: float, stop: float | None = None, step: float = 1, dtype: "Kind | None" = None
    ) -> "Tensor":
        """start, start + step, ... before stop; one argument is the stop. INT32 of integers."""
        first, last = (0, start) if stop is None else (start, stop)
        found = Tensor.of(movement.arange(first, last, step))
        return found if dtype is None else found.cast(dtype)

    @staticmethod
    def linspace(start: float, stop: float, steps: "_Int", dtype: Kind = DType.FLOAT32) -> "Tensor":
        """Evenly spaced numbers, both ends included."""
        if steps < 0 or dtype_of(dtype) is DType.BOOL:
            raise UsageError(
                f"linspace() of {steps} steps in {dtype_of(dtype).name} is not possible"
            )
        place, step = Tensor.arange(steps).float(), (stop - start) / max(steps - 1, 1)
        up, down = place * step + start, stop - (steps - 1 - place) * step
        return (place < steps / 2).where(up, down).cast(dtype)

    @staticmethod
    def eye(n: int, m: int | None = None, dtype: Kind = DType.FLOAT32) -> "Tensor":
        """Ones on the diagonal, zeros elsewhere."""
        return Tensor.of(movement.eye(n, n if m is None else m, dtype_of(dtype)))

    empty, empty_like = zeros, zeros_like
    manual_seed = staticmethod(drawing.manual_seed)
    rand, randn, randint = maker(drawing.rand), maker(drawing.randn), maker(drawing.randint)
    uniform, normal = maker(drawing.uniform), maker(drawing.normal)
    scaled_uniform, glorot_uniform = maker(drawing.scaled_uniform), maker(drawing.glorot_uniform)
    kaiming_uniform = maker(drawing.kaiming_uniform)
    kaiming_normal, split_key = maker(drawing.kaiming_normal), maker(drawing.split_key)
    rand_like, randn_like = drawing.rand_like, drawing.randn_like
    bernoulli, multinomial = drawing.bernoulli, drawing.multinomial

    @staticmethod
    def randperm(n: int, key: drawing.Key = None) -> "Tensor":
        """0 to n - 1 in any order."""
        return Tensor.rand(n, key=key).argsort()

    def dropout(
        self, p: "_Float" = 0.5, training: "_Bool" = True, key: drawing.Key = None
    ) -> "Tensor":
        """0 with probability p, the rest over 1 - p."""
        return F.dropout(self, p, self.rand_like(key=key)) if training and p else self

    # Elementwise

    add, sub, div, pow, __rpow__ = methods.add, methods.sub, methods.div, methods.pow, methods.rpow
    __add__ = __radd__ = binary(e.add)
    __sub__, __rsub__ = binary(e.sub), reflected(e.sub)
    mul = multiply = __mul__ = __rmul__ = binary(e.mul)
    __truediv__, __rtruediv__ = binary(e.div), reflected(e.div)
    floor_divide = __floordiv__ = binary(e.floor_div)
    idiv = binary(e.trunc_div)
    remainder = mod = __mod__ = binary(e.remainder)
    __rfloordiv__, __rmod__, __pow__ = reflected(e.floor_div), reflected(e.remainder), methods.pow
    bitwise_and = __and__ = __rand__ = binary(e.and_)
    bitwise_or = __or__ = __ror__ = binary(e.or_)
    bitwise_xor = __xor__ = __rxor__ = binary(e.xor)
    lshift = bitwise_left_shift = __lshift__ = binary(e.shl)
    rshift = bitwise_right_shift = __rshift__ = binary(e.shr)
    __rlshift__, __rrshift__ = reflected(e.shl), reflected(e.shr)
    logical_and = binary(lambda a, b: e.and_(e.to_bool(a), e.to_bool(b)))
    logical_or = binary(lambda a, b: e.or_(e.to_bool(a), e.to_bool(b)))
    logical_xor = binary(lambda a, b: e.xor(e.to_bool(a), e.to_bool(b)))
    lt = less = __lt__ = binary(e.less)
    gt = greater = __gt__ = reflected(e.less)
    le = less_equal = __le__ = binary(e.less_equal)
    ge = greater_equal = __ge__ = reflected(e.less_equal)
    maximum, minimum, fmod = binary(e.maximum), binary(e.minimum), binary(e.fmod)
    atan2 = arctan2 = binary(t.atan2)

    def __eq__(self, other: Operand) -> "Tensor":  # type: ignore[override]
        return Tensor.of(e.equal(self._value, raw(other)))

    def __ne__(self, other: Operand) -> "Tensor":  # type: ignore[override]
        return Tensor.of(e.not_equal(self._value, raw(other)))

    eq, ne, not_equal = __eq__, __ne__, __ne__

    def fma(self, factor: Operand, addend: Operand) -> "Tensor":
        """self * factor + addend with one rounding."""
        return Tensor.of(e.fma(self._value, raw(factor), raw(addend)))

    def isinf(self, detect_positive: "_Bool" = True, detect_negative: "_Bool" = True) -> "Tensor":
        """Where elements are infinite, of the signs asked for."""
        x, signs = e.to_float(self._value), [inf] * detect_positive + [-inf] * detect_negative
        found = [e.equal(x, sign) for sign in signs]
        return Tensor.of(reduce(e.or_, found, graph.const(False, DType.BOOL, self.shape)))

    neg = negative = __neg__ = unary(e.neg)
    abs = absolute = __abs__ = unary(e.absolute)
    bitwise_not = __invert__ = unary(e.not_)
    logical_not = unary(lambda x: e.not_(e.to_bool(x)))
    sign = sgn = unary(e.sign)
    sqrt, rsqrt = unary(e.sqrt), unary(t.rsqrt)
    square = unary(lambda x: e.mul(x, x))
    reciprocal = unary(lambda x: e.div(1.0, x))
    floor, ceil = unary(e.floor), unary(e.ceil)
    trunc = fix = unary(e.trunc)
    frac = unary(lambda x: e.sub(x, e.trunc(x)))
    isnan = unary(lambda x: e.not_equal(x, x))
    isfinite = unary(e.is_finite)
    isposinf, isneginf = unary(lambda x: e.equal(x, inf)), unary(lambda x: e.equal(x, -inf))
    signbit = unary(lambda x: e.less(graph.bitcast(e.to_float(x), DType.INT32), 0))
    exp, exp2, expm1 = unary(t.exp), unary(t.exp2), unary(t.expm1)
    log, log2, log10, log1p = unary(t.log), unary(t.log2), unary(t.log10), unary(t.log1p)
    sin, cos, tan = unary(t.sin), unary(t.cos), unary(t.tan)
    asin, acos, atan = unary(t.asin), unary(t.acos), unary(t.atan)
    sinh, cosh, tanh = unary(t.sinh), unary(t.cosh), unary(t.tanh)
    asinh, acosh, atanh = unary(t.asinh), unary(t.acosh), unary(t.atanh)
    arcsin, arccos, arctan, arcsinh, arccosh, arctanh = asin, acos, atan, asinh, acosh, atanh
    sigmoid, erf, erfinv = unary(t.sigmoid), unary(t.erf), unary(t.erfinv)
    where, round, clamp, lerp = methods.where, methods.round, methods.clamp, methods.lerp
    clip, subtract, divide, true_divide = clamp, sub, div, div
    logaddexp, copysign, isclose = methods.logaddexp, methods.copysign, methods.isclose
    nan_to_num, masked_fill, norm = methods.nan_to_num, methods.masked_fill, methods.norm
    hypot, xlogy, heaviside = methods.hypot, methods.xlogy, methods.heaviside
    logit, sinc, logaddexp2 = methods.logit, methods.sinc, methods.logaddexp2
    fmax, fmin, float_power = methods.fmax, methods.fmin, methods.pow
    clamp_min, clamp_max = maximum, minimum
    positive, erfc = unary(lambda x: x), unary(lambda x: e.sub(1.0, t.erf(x)))
    deg2rad, rad2deg = unary(lambda x: e.mul(x, pi / 180)), unary(lambda x: e.mul(x, 180 / pi))
    addcmul, addcdiv = methods.addcmul, methods.addcdiv

    def dist(self, other: Operand, p: "_Float" = 2) -> "Tensor":
        """The p-norm of the difference."""
        return methods.norm(self - other, p)

    def count_nonzero(self, axis: Axes = None) -> "Tensor":
        """How many elements are not 0."""
        return (self != 0).sum(axis)

    def cast(self, dtype: Kind) -> "Tensor":
        """The numbers in another dtype: floats truncate and saturate, NaN becomes 0."""
        return Tensor.of(graph.cast(self._value, dtype_of(dtype)))

    def bitcast(self, dtype: Kind) -> "Tensor":
        """The bits in another 32-bit dtype."""
        return Tensor.of(graph.bitcast(self._value, dtype_of(dtype)))

    to = type = cast
    contiguous = cpu = lift(lambda x: x)
    float = lift(e.to_float)
    half = lift(lambda x: graph.cast(x, DType.FLOAT16))
    bfloat16 = lift(lambda x: graph.cast(x, DType.BFLOAT16))
    int = long = lift(lambda x: graph.cast(x, DType.INT32))
    bool = lift(e.to_bool)

    # Folds

    sum, mean, var, prod = lift(folds.total), lift(folds.mean), lift(folds.var), lift(folds.product)
    amax, amin = lift(folds.maximum), lift(folds.minimum)
    max, min = sorting.extreme(1), sorting.extreme(-1)
    any, all = lift(folds.any_), lift(folds.all_)
    argmax, argmin = lift(folds.argmax), lift(folds.argmin)
    std, var_mean, std_mean = methods.std, methods.var_mean, methods.std_mean
    nansum, nanmean, aminmax = methods.nansum, methods.nanmean, methods.aminmax
    inner, matrix_power, diff = methods.inner, methods.matrix_power, methods.diff
    matmul = mm = bmm = mv = dot = methods.matmul
    vdot = methods.matmul
    outer = ger = methods.outer
    addmm = addmv = baddbmm = methods.addmm
    cross, cdist, einsum = methods.cross, methods.cdist, staticmethod(einsums.einsum)
    tensordot, kron = einsums.tensordot, einsums.kron
    cumsum, cumprod, logcumsumexp = sorting.cumsum, sorting.cumprod, sorting.logcumsumexp
    cummax, cummin, sort, argsort = sorting.cummax, sorting.cummin, sorting.sort, sorting.argsort
    topk, kthvalue, median = sorting.topk, sorting.kthvalue, sorting.median
    quantile, searchsorted = sorting.quantile, sorting.searchsorted
    bucketize = sorting.bucketize

    def __matmul__(self, other: "Tensor") -> "Tensor":
        return self.matmul(other)

    # Movement

    reshape = view = lift(movement.reshape)
    permute, expand = lift(movement.permute), lift(movement.expand)
    transpose = swapaxes = swapdims = lift(movement.transpose)
    movedim = moveaxis = lift(movement.movedim)
    flatten, unflatten = lift(movement.flatten), lift(movement.unflatten)
    squeeze, unsqueeze = lift(movement.squeeze), lift(movement.unsqueeze)
    ravel = lift(lambda x: movement.flatten(x))
    flip, narrow = lift(movement.flip), lift(movement.narrow)
    diagonal, diag_embed = lift(movement.diagonal), lift(movement.diag_embed)
    diag, tril, triu = lift(movement.diag), lift(movement.tril), lift(movement.triu)
    t = lift(lambda x: movement.permute(x))
    trace = lift(lambda x: folds.total(movement.diagonal(x)))

    @property
    def T(self) -> "Tensor":
        """The axes in reverse order."""
        return self.permute()

    @property
    def mT(self) -> "Tensor":
        """The last two axes swapped."""
        return self.transpose()

    broadcast_to, expand_as, view_as = expand, methods.expand_as, methods.view_as
    cat = concat = methods.cat
    stack, split, chunk, unbind = methods.stack, methods.split, methods.chunk, methods.unbind
    tensor_split, meshgrid, unfold = methods.tensor_split, methods.meshgrid, methods.unfold
    repeat, tile, repeat_interleave = methods.repeat, methods.tile, methods.repeat_interleave
    roll, rot90, shrink = methods.roll, methods.rot90, methods.shrink
    as_strided, pad = methods.as_strided, padding.pad
    fliplr, flipud = lift(lambda x: movement.flip(x, 1)), lift(lambda x: movement.flip(x, 0))
    diagflat = lift(lambda x: movement.diag(movement.flatten(x)))
    split_with_sizes, reshape_as = split, view_as

    # Indexing

    __getitem__ = indexing.getitem
    select, take, gather = indexing.select, indexing.take, indexing.gather
    index_select, take_along_dim = indexing.index_select, indexing.take_along_dim
    put, index_put, scatter = indexing.put, indexing.index_put, indexing.scatter
    scatter_add, scatter_reduce = indexing.scatter_add, indexing.scatter_reduce
    index_add, index_copy = indexing.index_add, indexing.index_copy
    index_fill, bincount = indexing.index_fill, indexing.bincount
    argwhere = indexing.nonzero
    nonzero, masked_select, unique = indexing.nonzero, indexing.masked_select, indexing.unique
    select_scatter, slice_scatter = indexing.select_scatter, indexing.slice_scatter
    one_hot = methods.one_hot

    def __iter__(self) -> "Iterator[Tensor]":
        return (self[i] for i in range(len(self)))

    # Functions that are methods too

    binary_cross_entropy_with_logits, leaky_relu = F.binary_cross_entropy_with_logits, F.leaky_relu
    sparse_categorical_crossentropy, hardsigmoid = F.sparse_categorical_crossentropy, F.hardsigmoid
    scaled_dot_product_attention, smooth_l1_loss = F.scaled_dot_product_attention, F.smooth_l1_loss
    binary_crossentropy_logits, conv_transpose2d = F.binary_crossentropy_logits, F.conv_transpose2d
    binary_cross_entropy, adaptive_avg_pool2d = F.binary_cross_entropy, F.adaptive_avg_pool2d
    adaptive_max_pool2d, binary_crossentropy = F.adaptive_max_pool2d, F.binary_crossentropy
    margin_ranking_loss, cosine_similarity, elu = F.margin_ranking_loss, F.cosine_similarity, F.elu
    soft_margin_loss, pixel_unshuffle, softplus = F.soft_margin_loss, F.pixel_unshuffle, F.softplus
    pixel_shuffle, instance_norm, cross_entropy = F.pixel_shuffle, F.instance_norm, F.cross_entropy
    max_unpool2d, log_softmax, interpolate = F.max_unpool2d, F.log_softmax, F.interpolate
    quick_gelu, logsigmoid, tanhshrink, conv2d = F.quick_gelu, F.logsigmoid, F.tanhshrink, F.conv2d
    softshrink, hardshrink, avg_pool2d, kl_div = F.softshrink, F.hardshrink, F.avg_pool2d, F.kl_div
    max_pool2d, layer_norm, group_norm, relu6 = F.max_pool2d, F.layer_norm, F.group_norm, F.relu6
    batch_norm, huber_loss, hardswish, softmax = F.batch_norm, F.huber_loss, F.hardswish, F.softmax
    threshold, logsumexp, layernorm, batchnorm = F.threshold, F.logsumexp, F.layernorm, F.batchnorm
    normalize, softsign, hardtanh, rms_norm = F.normalize, F.softsign, F.hardtanh, F.rms_norm
    mse_loss, nll_loss, softmin, l1_loss, glu = F.mse_loss, F.nll_loss, F.softmin, F.l1_loss, F.glu
    prelu, swish, relu, celu, selu, gelu = F.prelu, F.swish, F.relu, F.celu, F.selu, F.gelu
    silu, mish = F.silu, F.mish


_STORED = frozenset(kind.numpy for kind in DType)
_WIDEST = {"f": "float32", "i": "int32", "u": "int32"}


def gradient(loss: Tensor, *tensors: Tensor) -> list[Tensor]:
    """The gradient of a scalar by each tensor, as tensors in the same graph."""
    return loss.gradient(*tensors)


def dtype_of(kind: Kind) -> DType:
    """The dtype of its numpy or Python name; 64 bits become 32."""
    if isinstance(kind, DType):
        return kind
    found = np.dtype(kind)
    try:
        return from_numpy(found if found in _STORED else _WIDEST.get(found.kind, found))
    except KeyError:
        raise UsageError(f"numpy dtype {found} has no counterpart here") from None


def _root(value: Value) -> Value:
    """What a value shows the elements of."""
    while value.kind in graph.MOVEMENT or (
        value.kind is graph.Kind.CUSTOM and len(value.inputs) == 1
    ):
        value = value.inputs[0]
    return value


def _value_of(given: ArrayLike, dtype: DType | None = None) -> Value:
    """A DATA value with a copy of the elements."""
    array = np.asarray(given)
    kind = dtype_of(array.dtype)
    if kind is DType.INT32 and dtype is DType.UINT32:
        kind = dtype
    if kind in (DType.INT32, DType.UINT32) and array.size:
        limits = np.iinfo(kind.numpy.name)
        if int(array.min()) < limits.min or int(array.max()) > limits.max:
            raise UsageError(f"an integer is outside of {kind.name}")
    array = array.astype(kind.numpy, order="C")
    array.flags.writeable = False
    return graph.data(array, kind)
