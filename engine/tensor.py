"""Tensor: torch-like names over the lazy graph.

A Tensor is a handle on an immutable graph value; nothing is computed until `numpy`, `item` or
`realize`. Methods are one-liners over the modules that do the work:

    elementwise     + - * / ** comparisons, where, promotion and broadcasting
    transcendental  exp, log, tanh, sigmoid, erf
    folds           sum, mean, max, argmax, matmul, rows by index
    movement        reshape, permute, slices, cat
    gradient        backward

Differences from torch: shapes are static and never empty; elements are FLOAT32, INT32, UINT32 or
BOOL, with UINT8 and INT8 for storage; `max(axis)` gives values alone; ties share a maximum's
gradient; there is no assignment to elements.
"""

from collections.abc import Iterator, Sequence
from typing import TypeAlias
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import ArrayLike

from engine import (
    convolution,
    folds,
    functional,
    graph,
    movement,
    padding,
    pooling,
    realize,
    transcendental,
)
from engine import elementwise as e
from engine.dtypes import DType, from_numpy
from engine.errors import UsageError
from engine.gradient import gradient as graph_gradient
from engine.graph import Array, Scalar, Value
from engine.movement import Index

Axes: TypeAlias = "int | Sequence[int] | None"
_Bool: TypeAlias = bool  # the class has methods that hide these names
_Int: TypeAlias = int
Operand: TypeAlias = "Tensor | bool | int | float"

_tracked: "WeakValueDictionary[int, Tensor]" = WeakValueDictionary()


class Tensor:
    """An immutable array of elements, perhaps not yet computed.

    `data` is anything numpy understands. Floats become FLOAT32, integers INT32 (uint32,
    uint8 and int8 stay) and must fit. With `requires_grad`, `backward` sets its `grad`.
    """

    __slots__ = ("__weakref__", "_value", "grad", "requires_grad")
    __array_ufunc__ = None  # numpy leaves an operator with a tensor on the right to us
    __hash__ = object.__hash__

    def __init__(
        self,
        data: "ArrayLike | Tensor",
        dtype: DType | None = None,
        requires_grad: bool = False,
    ) -> None:
        value = data._value if isinstance(data, Tensor) else _value_of(data)
        self._set(value if dtype is None else graph.cast(value, dtype), requires_grad)

    @classmethod
    def of(cls, value: Value) -> "Tensor":
        """The tensor of a graph value."""
        result = cls.__new__(cls)
        result._set(value, False)
        return result

    def _set(self, value: Value, requires_grad: bool) -> None:
        self._value = value
        self.grad: Tensor | None = None
        self.requires_grad = False
        if requires_grad:
            self.requires_grad_()

    def requires_grad_(self) -> "Tensor":
        """Let `backward` put a gradient here; returns self."""
        if not self._value.is_float:
            raise UsageError(f"{self.dtype.name} has no gradient; only FLOAT32 has")
        self.requires_grad = True
        _tracked[id(self)] = self
        return self

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

    def numel(self) -> int:
        """The number of elements."""
        return self._value.size

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

    def assign(self, other: "Tensor") -> "Tensor":
        """Become another tensor of the same type, without its history; returns self."""
        if (self.dtype, self.shape) != (other.dtype, other.shape):
            raise UsageError(f"cannot assign {other} to {self}")
        (self._value,) = realize.realize([other._value])
        return self

    # Gradients

    def backward(self) -> None:
        """Add the gradient of this scalar to `grad` of every tensor that requires one."""
        realize.refuse_in_trace()
        order = set(graph.topological([self._value], lambda value: value.inputs))
        wanted = [tensor for tensor in list(_tracked.values()) if tensor._value in order]
        gradients = graph_gradient(self._value, [tensor._value for tensor in wanted])
        for tensor, found in zip(wanted, gradients, strict=True):
            before = tensor.grad
            tensor.grad = Tensor.of(found if before is None else e.add(before._value, found))

    def detach(self) -> "Tensor":
        """The same elements, through which no gradient flows."""
        return Tensor.of(graph.detach(self._value))

    # Making tensors

    @staticmethod
    def full(shape: Sequence[int], number: Scalar, dtype: DType | None = None) -> "Tensor":
        """A tensor filled with a number."""
        plain = _raw(number)
        assert not isinstance(plain, Value)
        kind = dtype or {bool: DType.BOOL, int: DType.INT32}.get(type(plain), DType.FLOAT32)
        return Tensor.of(graph.const(plain, kind, shape))

    @staticmethod
    def zeros(*shape: int, dtype: DType = DType.FLOAT32) -> "Tensor":
        """Zeros."""
        return Tensor.full(shape, 0, dtype)

    @staticmethod
    def ones(*shape: int, dtype: DType = DType.FLOAT32) -> "Tensor":
        """Ones."""
        return Tensor.full(shape, 1, dtype)

    def zeros_like(self) -> "Tensor":
        """Zeros of this tensor's type."""
        return Tensor.full(self.shape, 0, self.dtype)

    def ones_like(self) -> "Tensor":
        """Ones of this tensor's type."""
        return Tensor.full(self.shape, 1, self.dtype)

    @staticmethod
    def arange(start: int, stop: int | None = None, step: int = 1) -> "Tensor":
        """INT32 start, start + step, ... before stop; one argument is the stop."""
        first, last = (0, start) if stop is None else (start, stop)
        return Tensor.of(movement.arange(first, last, step))

    @staticmethod
    def eye(n: int, m: int | None = None, dtype: DType = DType.FLOAT32) -> "Tensor":
        """Ones on the diagonal, zeros elsewhere."""
        return Tensor.of(movement.eye(n, n if m is None else m, dtype))

    # Elementwise

    def __add__(self, other: Operand) -> "Tensor":
        return Tensor.of(e.add(self._value, _raw(other)))

    def __sub__(self, other: Operand) -> "Tensor":
        return Tensor.of(e.sub(self._value, _raw(other)))

    def __rsub__(self, other: Operand) -> "Tensor":
        return Tensor.of(e.sub(_raw(other), self._value))

    def __mul__(self, other: Operand) -> "Tensor":
        return Tensor.of(e.mul(self._value, _raw(other)))

    def __truediv__(self, other: Operand) -> "Tensor":
        return Tensor.of(e.div(self._value, _raw(other)))

    def __rtruediv__(self, other: Operand) -> "Tensor":
        return Tensor.of(e.div(_raw(other), self._value))

    def __floordiv__(self, other: Operand) -> "Tensor":
        return Tensor.of(e.floor_div(self._value, _raw(other)))

    def __mod__(self, other: Operand) -> "Tensor":
        return Tensor.of(e.remainder(self._value, _raw(other)))

    def __pow__(self, exponent: int | float) -> "Tensor":
        return Tensor.of(e.power(self._value, exponent))

    def __neg__(self) -> "Tensor":
        return Tensor.of(e.neg(self._value))

    def __abs__(self) -> "Tensor":
        return Tensor.of(e.absolute(self._value))

    def __invert__(self) -> "Tensor":
        return Tensor.of(e.not_(self._value))

    def __and__(self, other: Operand) -> "Tensor":
        return Tensor.of(e.and_(self._value, _raw(other)))

    def __or__(self, other: Operand) -> "Tensor":
        return Tensor.of(e.or_(self._value, _raw(other)))

    def __xor__(self, other: Operand) -> "Tensor":
        return Tensor.of(e.xor(self._value, _raw(other)))

    def __lshift__(self, other: Operand) -> "Tensor":
        return Tensor.of(e.shl(self._value, _raw(other)))

    def __rshift__(self, other: Operand) -> "Tensor":
        return Tensor.of(e.shr(self._value, _raw(other)))

    __radd__, __rmul__ = __add__, __mul__
    __rand__, __ror__, __rxor__ = __and__, __or__, __xor__

    def __lt__(self, other: Operand) -> "Tensor":
        return Tensor.of(e.less(self._value, _raw(other)))

    def __gt__(self, other: Operand) -> "Tensor":
        return Tensor.of(e.less(_raw(other), self._value))

    def __le__(self, other: Operand) -> "Tensor":
        return Tensor.of(e.less_equal(self._value, _raw(other)))

    def __ge__(self, other: Operand) -> "Tensor":
        return Tensor.of(e.less_equal(_raw(other), self._value))

    def __eq__(self, other: Operand) -> "Tensor":  # type: ignore[override]
        return Tensor.of(e.equal(self._value, _raw(other)))

    def __ne__(self, other: Operand) -> "Tensor":  # type: ignore[override]
        return Tensor.of(e.not_equal(self._value, _raw(other)))

    def fma(self, factor: Operand, addend: Operand) -> "Tensor":
        """self * factor + addend with one rounding."""
        return Tensor.of(e.fma(self._value, _raw(factor), _raw(addend)))

    def where(self, a: Operand, b: Operand) -> "Tensor":
        """a where this condition holds, else b."""
        return Tensor.of(e.select(self._value, _raw(a), _raw(b)))

    def maximum(self, other: Operand) -> "Tensor":
        """The larger of the two, element by element."""
        return Tensor.of(e.maximum(self._value, _raw(other)))

    def minimum(self, other: Operand) -> "Tensor":
        """The smaller of the two, element by element."""
        return Tensor.of(e.minimum(self._value, _raw(other)))

    def clamp(self, low: Scalar | None = None, high: Scalar | None = None) -> "Tensor":
        """Brought between low and high."""
        raised = self if low is None else self.maximum(low)
        return raised if high is None else raised.minimum(high)

    def abs(self) -> "Tensor":
        """The absolute value."""
        return Tensor.of(e.absolute(self._value))

    def sign(self) -> "Tensor":
        """-1, 0 or 1."""
        return Tensor.of(e.sign(self._value))

    def sqrt(self) -> "Tensor":
        """The square root, correctly rounded."""
        return Tensor.of(e.sqrt(self._value))

    def square(self) -> "Tensor":
        """self * self."""
        return Tensor.of(e.mul(self._value, self._value))

    def exp(self) -> "Tensor":
        """e to the power of self."""
        return Tensor.of(transcendental.exp(self._value))

    def log(self) -> "Tensor":
        """The natural logarithm."""
        return Tensor.of(transcendental.log(self._value))

    def tanh(self) -> "Tensor":
        """The hyperbolic tangent."""
        return Tensor.of(transcendental.tanh(self._value))

    def sigmoid(self) -> "Tensor":
        """1 / (1 + exp(-self))."""
        return Tensor.of(transcendental.sigmoid(self._value))

    def erf(self) -> "Tensor":
        """The error function."""
        return Tensor.of(transcendental.erf(self._value))

    def cast(self, dtype: DType) -> "Tensor":
        """The numbers in another dtype: floats truncate and saturate, NaN becomes 0."""
        return Tensor.of(graph.cast(self._value, dtype))

    def bitcast(self, dtype: DType) -> "Tensor":
        """The bits in another 32-bit dtype."""
        return Tensor.of(graph.bitcast(self._value, dtype))

    def float(self) -> "Tensor":
        """As FLOAT32."""
        return self.cast(DType.FLOAT32)

    def int(self) -> "Tensor":
        """As INT32."""
        return self.cast(DType.INT32)

    def bool(self) -> "Tensor":
        """As BOOL: whether it is not 0."""
        return self.cast(DType.BOOL)

    # Folds

    def sum(self, axis: Axes = None, keepdim: _Bool = False) -> "Tensor":
        """The sum over axes; over all without."""
        return Tensor.of(folds.total(self._value, axis, keepdim))

    def mean(self, axis: Axes = None, keepdim: _Bool = False) -> "Tensor":
        """The mean over axes, FLOAT32."""
        return Tensor.of(folds.mean(self._value, axis, keepdim))

    def var(self, axis: Axes = None, correction: _Int = 1, keepdim: _Bool = False) -> "Tensor":
        """The variance over axes, divided by (count - correction)."""
        return Tensor.of(folds.var(self._value, axis, correction, keepdim))

    def max(self, axis: Axes = None, keepdim: _Bool = False) -> "Tensor":
        """The largest element over axes."""
        return Tensor.of(folds.maximum(self._value, axis, keepdim))

    def min(self, axis: Axes = None, keepdim: _Bool = False) -> "Tensor":
        """The smallest element over axes."""
        return Tensor.of(folds.minimum(self._value, axis, keepdim))

    def argmax(self, axis: _Int | None = None, keepdim: _Bool = False) -> "Tensor":
        """The index of the first largest element, INT32."""
        return Tensor.of(folds.argmax(self._value, axis, keepdim))

    def matmul(self, other: "Tensor") -> "Tensor":
        """The matrix product; leading axes are batches."""
        return Tensor.of(folds.matmul(self._value, other._value))

    def __matmul__(self, other: "Tensor") -> "Tensor":
        return self.matmul(other)

    # Movement

    def reshape(self, *shape: _Int | Sequence[_Int]) -> "Tensor":
        """The same elements in another shape; one dimension may be -1."""
        return Tensor.of(movement.reshape(self._value, _integers(shape)))

    view = reshape

    def permute(self, *axes: _Int | Sequence[_Int]) -> "Tensor":
        """Axis i of the result is axis axes[i] of this tensor."""
        return Tensor.of(movement.permute(self._value, _integers(axes)))

    def transpose(self, a: _Int = -2, b: _Int = -1) -> "Tensor":
        """Two axes swapped."""
        return Tensor.of(movement.transpose(self._value, a, b))

    @property
    def T(self) -> "Tensor":
        """The axes in reverse order."""
        return Tensor.of(graph.permute(self._value, range(self.ndim)[::-1]))

    def expand(self, *shape: _Int | Sequence[_Int]) -> "Tensor":
        """Axes of length 1 repeated; -1 keeps a dimension."""
        return Tensor.of(movement.expand(self._value, _integers(shape)))

    def flatten(self, start: _Int = 0, end: _Int = -1) -> "Tensor":
        """Axes start to end as one."""
        return Tensor.of(movement.flatten(self._value, start, end))

    def squeeze(self, axis: Axes = None) -> "Tensor":
        """Without axes of length 1."""
        return Tensor.of(movement.squeeze(self._value, axis))

    def unsqueeze(self, axis: _Int) -> "Tensor":
        """With a new axis of length 1."""
        return Tensor.of(movement.unsqueeze(self._value, axis))

    def flip(self, axis: Axes = None) -> "Tensor":
        """Reversed along axes."""
        return Tensor.of(movement.flip(self._value, axis))

    def __getitem__(self, index: "Index | Tensor") -> "Tensor":
        """Integers, slices, None and ... as in numpy; an INT32 tensor picks rows."""
        if isinstance(index, Tensor):
            return Tensor.of(folds.rows(self._value, index._value))
        return Tensor.of(movement.getitem(self._value, index))

    def __iter__(self) -> "Iterator[Tensor]":
        return (self[i] for i in range(len(self)))

    @staticmethod
    def cat(tensors: "Sequence[Tensor]", axis: _Int = 0) -> "Tensor":
        """Tensors joined along an axis."""
        return Tensor.of(movement.cat([t._value for t in tensors], axis))

    @staticmethod
    def stack(tensors: "Sequence[Tensor]", axis: _Int = 0) -> "Tensor":
        """Tensors of one shape joined along a new axis."""
        return Tensor.of(movement.cat([t.unsqueeze(axis)._value for t in tensors], axis))

    def one_hot(self, classes: _Int) -> "Tensor":
        """BOOL with a new last axis: true at the class that each element names."""
        return Tensor.of(folds.one_hot(self._value, classes))

    # Functions that are methods too

    pad = padding.pad
    conv2d, conv_transpose2d = convolution.conv2d, convolution.conv_transpose2d
    avg_pool2d, max_pool2d = pooling.avg_pool2d, pooling.max_pool2d
    adaptive_avg_pool2d = pooling.adaptive_avg_pool2d
    adaptive_max_pool2d, max_unpool2d = pooling.adaptive_max_pool2d, pooling.max_unpool2d
    relu, gelu, silu = functional.relu, functional.gelu, functional.silu
    softmax, log_softmax = functional.softmax, functional.log_softmax
    logsumexp = functional.logsumexp
    nll_loss, cross_entropy = functional.nll_loss, functional.cross_entropy
    mse_loss, layer_norm = functional.mse_loss, functional.layer_norm


def gradient(loss: Tensor, *tensors: Tensor) -> list[Tensor]:
    """The gradient of a scalar by each tensor, as tensors in the same graph."""
    found = graph_gradient(loss.value, [tensor.value for tensor in tensors])
    return [Tensor.of(value) for value in found]


def _raw(operand: Operand) -> "Value | bool | int | float":
    """The graph value of a tensor, or a Python number."""
    if isinstance(operand, Tensor):
        return operand.value
    if isinstance(operand, np.generic):
        operand = operand.item()
    if isinstance(operand, (bool, int, float)):
        return operand
    raise UsageError(f"an operand must be a Tensor or a number, not {type(operand).__name__}")


def _value_of(given: ArrayLike) -> Value:
    """A DATA value with a copy of the elements."""
    array = np.array(given, order="C")
    if array.dtype.kind == "f":
        array = array.astype(np.float32)
    elif array.dtype.kind in "iu" and array.dtype not in (np.uint32, np.uint8, np.int8):
        if array.size and not (int(array.min()) >= -(2**31) and int(array.max()) < 2**31):
            raise UsageError("an integer is outside of INT32")
        array = array.astype(np.int32)
    try:
        dtype = from_numpy(array.dtype)
    except KeyError:
        raise UsageError(f"numpy dtype {array.dtype} has no counterpart here") from None
    array.flags.writeable = False
    return graph.data(array, dtype)


def _integers(arguments: Sequence[int | Sequence[int]]) -> tuple[int, ...]:
    """Shape or axes given as integers or as one sequence."""
    if len(arguments) == 1 and not isinstance(arguments[0], int):
        return tuple(arguments[0])
    if not all(isinstance(n, int) for n in arguments):
        raise UsageError(f"{arguments} must be integers or one sequence of integers")
    return tuple(n for n in arguments if isinstance(n, int))
