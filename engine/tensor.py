"""Tensor: torch-like names over the lazy graph.

A Tensor is a handle on an immutable graph value; nothing is computed until `numpy`, `item` or
`realize`. Methods are functions of the modules that do the work; a table at the end names them:

    elementwise, transcendental    + - * / ** comparisons, rounding; exp, sin, erf
    folds, movement                of values: sum, max, matmul; reshape, permute, slices
    methods                        of tensors, in terms of other methods: lerp, std, split, roll
    indexing, sorting, einsum      x[index], gather, scatter; sort, cumsum; einsum
    functional and others          what torch has in torch.nn.functional

Arguments have torch's names or tinygrad's (`dim` or `axis`); methods that torch has as functions of
torch.nn.functional take them in tinygrad's order, engine.functional takes them in torch's.

Differences from torch: shapes are static; elements are FLOAT32, INT32, UINT32 or BOOL, and where
torch gives int64 it is INT32; other dtypes are storage, computed with as FLOAT32 or INT32;
`max(axis=...)` gives values alone, as in tinygrad, `max(dim)` also indices. Views share no memory:
`x.add_(1)` makes x another value, and is refused while another tensor is alive that torch would
change with it. docs/engine.md lists what is not there.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias
from weakref import WeakKeyDictionary, WeakValueDictionary

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from engine import drawing, einsum, folds, graph, indexing, methods, movement, realize, sorting
from engine import elementwise as e
from engine import functional as F
from engine import transcendental as t
from engine.dtypes import AnyType, DType, dtype_of
from engine.errors import UsageError
from engine.gradient import differentiable_inputs
from engine.gradient import gradient as graph_gradient
from engine.graph import Array, Scalar, Value
from engine.lifting import Operand, finish, lift, maker, raw

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
        dtype: AnyType | None = None,
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

    def size(self, axis: int | None = None) -> "tuple[int, ...] | int":
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

    def __array__(self, dtype: "DTypeLike | None" = None, copy: bool | None = None) -> Array:
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

    def allclose(
        self, other: "Tensor", rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
    ) -> bool:
        """Whether all elements are close; looks at them now."""
        return bool(self.isclose(other, rtol, atol, equal_nan).all())

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
            raise UsageError(f"{self} requires a gradient: change it in `with no_grad():`, or copy")
        fits = e.promote(self.dtype, other.dtype) is e.computed(self.dtype)
        if other.shape != self.shape or not fits:
            raise UsageError(f"{self} cannot become {other} in place; make a new tensor")
        return self._change(graph.cast(other._value, self.dtype))

    def _change(self, value: Value) -> "Tensor":
        if self._born is not realize.current_trace():
            realize.refuse_in_trace()
        for relative in (self._family or {}).values():
            if relative is not self:
                raise UsageError(
                    f"{self} shares its elements with {relative}, which would not change with it; "
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
        """Another tensor's elements, or one number, in this shape and dtype."""
        new = movement.expand(graph.cast(self.like(other)._value, self.dtype), self.shape)
        return Tensor.of(graph.custom(new, lambda g, _: (None, g), self._value, new))

    fill = copy

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
        tracked = _tracked.setdefault(self._value, WeakValueDictionary())
        if is_required:
            tracked[id(self)] = self
        else:
            tracked.pop(id(self), None)
        return self

    def backward(self, gradient: "Tensor | None" = None, retain_graph: bool | None = None) -> None:
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
        shape: "Sequence[int] | int", fill_value: Scalar, dtype: AnyType | None = None
    ) -> "Tensor":
        """A tensor filled with a number."""
        number: Scalar = raw(fill_value)
        natural = {bool: DType.BOOL, int: DType.INT32}.get(type(number), DType.FLOAT32)
        sizes = (shape,) if isinstance(shape, int) else shape
        return Tensor.of(graph.const(number, natural if dtype is None else dtype, sizes))

    @staticmethod
    def zeros(*shape: "int | Sequence[int]", dtype: AnyType = DType.FLOAT32) -> "Tensor":
        """Zeros."""
        return Tensor.full(movement.integers(shape), 0, dtype)

    @staticmethod
    def ones(*shape: "int | Sequence[int]", dtype: AnyType = DType.FLOAT32) -> "Tensor":
        """Ones."""
        return Tensor.full(movement.integers(shape), 1, dtype)

    def new_full(
        self, shape: "Sequence[int] | int", fill_value: Scalar, dtype: AnyType | None = None
    ) -> "Tensor":
        """A number in another shape, of this dtype."""
        return Tensor.full(shape, fill_value, dtype or self.dtype)

    def full_like(self, fill_value: Scalar, dtype: AnyType | None = None) -> "Tensor":
        """A number in this shape."""
        return Tensor.full(self.shape, fill_value, dtype or self.dtype)

    @staticmethod
    def arange(
        start: float, stop: float | None = None, step: float = 1, dtype: AnyType | None = None
    ) -> "Tensor":
        """start, start + step, ... before stop; one argument is the stop. INT32 of integers."""
        first, last = (0, start) if stop is None else (start, stop)
        found = Tensor.of(movement.arange(first, last, step))
        return found if dtype is None else found.cast(dtype)

    @staticmethod
    def linspace(start: float, stop: float, steps: int, dtype: AnyType = DType.FLOAT32) -> "Tensor":
        """Evenly spaced numbers, both ends included."""
        if steps < 0 or dtype_of(dtype) is DType.BOOL:
            raise UsageError(f"linspace() of {steps} steps in {dtype_of(dtype).name}: not possible")
        place, step = Tensor.arange(steps).float(), (stop - start) / max(steps - 1, 1)
        up, down = place * step + start, stop - (steps - 1 - place) * step
        return (place < steps / 2).where(up, down).cast(dtype)

    @staticmethod
    def eye(n: int, m: int | None = None, dtype: AnyType = DType.FLOAT32) -> "Tensor":
        """Ones on the diagonal, zeros elsewhere."""
        return Tensor.of(movement.eye(n, n if m is None else m, dtype))

    empty = zeros
    manual_seed, einsum = staticmethod(drawing.manual_seed), staticmethod(einsum.einsum)
    rand, randn, randint = maker(drawing.rand), maker(drawing.randn), maker(drawing.randint)
    uniform, normal = maker(drawing.uniform), maker(drawing.normal)
    scaled_uniform, glorot_uniform = maker(drawing.scaled_uniform), maker(drawing.glorot_uniform)
    kaiming_uniform, kaiming_normal = maker(drawing.kaiming_uniform), maker(drawing.kaiming_normal)
    split_key = maker(drawing.split_key)

    @staticmethod
    def randperm(n: int, key: "Tensor | int | None" = None) -> "Tensor":
        """0 to n - 1 in any order."""
        return Tensor.rand(n, key=key).argsort()

    # Operators; `finish` adds all other methods

    __add__ = __radd__ = lift(e.add)
    __sub__, __rsub__ = lift(e.sub), lift(lambda a, b: e.sub(b, a))
    __mul__ = __rmul__ = lift(e.mul)
    __matmul__ = lift(folds.matmul)
    __truediv__, __rtruediv__ = lift(e.div), lift(lambda a, b: e.div(b, a))
    __floordiv__, __rfloordiv__ = lift(e.floor_div), lift(lambda a, b: e.floor_div(b, a))
    __mod__, __rmod__ = lift(e.remainder), lift(lambda a, b: e.remainder(b, a))
    __pow__ = methods.pow
    __and__ = __rand__ = lift(e.and_)
    __or__ = __ror__ = lift(e.or_)
    __xor__ = __rxor__ = lift(e.xor)
    __lshift__, __rlshift__ = lift(e.shl), lift(lambda a, b: e.shl(b, a))
    __rshift__, __rrshift__ = lift(e.shr), lift(lambda a, b: e.shr(b, a))
    __lt__, __gt__ = lift(e.less), lift(e.greater)
    __le__, __ge__ = lift(e.less_equal), lift(e.greater_equal)
    __eq__ = lift(e.equal)  # type: ignore[assignment]
    __ne__ = lift(e.not_equal)  # type: ignore[assignment]
    __neg__, __abs__, __invert__ = lift(e.neg), lift(e.absolute), lift(e.not_)
    __getitem__ = indexing.getitem
    max, min = sorting.extreme(1), sorting.extreme(-1)

    def __rpow__(self, base: Operand) -> "Tensor":
        return self.like(base) ** self

    def __iter__(self) -> "Iterator[Tensor]":
        return (self[i] for i in range(len(self)))

    @property
    def T(self) -> "Tensor":
        """The axes in reverse order."""
        return self.permute()

    @property
    def mT(self) -> "Tensor":
        """The last two axes swapped."""
        return self.transpose()

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> "Callable[..., Tensor]":
            """A method that `finish` adds."""


finish(
    Tensor,
    methods.FORMULAS,
    elementwise={
        e: """mul=mul=multiply fma floor_div=floor_divide trunc_div=idiv remainder=remainder=mod
            fmod and_=bitwise_and or_=bitwise_or xor=bitwise_xor not_=bitwise_not
            shl=lshift=bitwise_left_shift shr=rshift=bitwise_right_shift less=lt=less
            greater=gt=greater less_equal=le=less_equal greater_equal=ge=greater_equal equal=eq
            not_equal=ne=not_equal maximum=maximum=clamp_min minimum=minimum=clamp_max
            clamp=clamp=clip neg=neg=negative absolute=abs=absolute sign=sign=sgn sqrt floor ceil
            trunc=trunc=fix is_finite=isfinite""",
        t: """rsqrt exp exp2 expm1 log log2 log10 log1p sin cos tan sinh cosh tanh
            asin=asin=arcsin acos=acos=arccos atan=atan=arctan atan2=atan2=arctan2
            asinh=asinh=arcsinh acosh=acosh=arccosh atanh=atanh=arctanh sigmoid erf erfinv""",
    },
    values={
        graph: "cast=cast=to=type bitcast",
        folds: """total=sum mean var product=prod maximum=amax minimum=amin any_=any all_=all argmax
            argmin matmul=matmul=mm=bmm=mv=dot=vdot""",
        movement: """reshape=reshape=view permute expand=expand=broadcast_to flatten=flatten=ravel
            transpose=transpose=swapaxes=swapdims movedim=movedim=moveaxis unflatten squeeze
            unsqueeze flip narrow diagonal diag_embed diag tril triu""",
    },
    tensors=(F, methods, sorting, indexing, einsum, drawing),
    names="""sub=subtract div=divide=true_divide pow=float_power int=long outer=ger
        cat=concat=concatenate vstack=row_stack positive=__pos__ new_zeros=new_empty
        view_as=reshape_as addmm=addmv=baddbmm split=split_with_sizes nonzero=argwhere
        contiguous=cpu zeros_like=empty_like""",
    orders={
        "conv2d": "weight bias groups stride dilation padding",
        "conv_transpose2d": "weight bias groups stride dilation padding output_padding",
        "max_pool2d": "kernel_size stride dilation padding ceil_mode return_indices",
        "avg_pool2d": "kernel_size stride dilation padding ceil_mode count_include_pad",
        "max_unpool2d": "indices kernel_size stride dilation padding output_size",
        "cross_entropy": "target reduction label_smoothing",
        "binary_crossentropy": "target reduction",
        "binary_crossentropy_logits": "target reduction pos_weight",
    },
)


def gradient(loss: Tensor, *tensors: Tensor) -> list[Tensor]:
    """The gradient of a scalar by each tensor, as tensors in the same graph."""
    return loss.gradient(*tensors)


def _root(value: Value) -> Value:
    """What a value shows the elements of."""
    while len(value.inputs) == 1 and value.kind in {*graph.MOVEMENT, graph.Kind.CUSTOM}:
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
