"""From functions of graph values to methods of Tensor, and what all methods have in common.

`unary`, `binary` and `lift` make a method out of a function of values. `finish` gives a complete
class the names that torch and tinygrad use for one argument ("dim" for axis), lets views know with
whom they share elements, and derives the methods that change a tensor: `add_` from `add`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from inspect import Parameter, signature
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeAlias

import numpy as np

from engine.errors import UsageError
from engine.graph import Value

if TYPE_CHECKING:
    from engine.tensor import Tensor

P = ParamSpec("P")
Operand: TypeAlias = "Tensor | bool | int | float"

_words = str.split
_OTHERS = """axis: dim dims axes; axes: dim dims axis; axis0: dim0; axis1: dim1; axis2: dim2
    start: start_dim; end: end_dim; shape: size sizes dims repeats; keepdim: keepdims
    sizes: shape size split_size split_size_or_sections; sections: chunks indices; low: min min_
    high: max max_; exponent: x; other: x y w end mat2 vec2; a: x input; b: y other; sorted: sorted_
    classes: num_classes; cut: diagonal offset; stop: end"""
OTHER_NAMES = {
    name.strip(): _words(others)
    for name, others in (line.split(":") for line in _OTHERS.replace("\n", ";").split(";"))
}
VIEWS = _words(
    "reshape view permute transpose swapaxes swapdims expand flatten squeeze unsqueeze detach "
    "__getitem__ select narrow split chunk unbind diagonal movedim moveaxis unflatten t contiguous "
    "cast to float int bool unfold expand_as view_as ravel broadcast_to type"
)
IN_PLACE = _words(
    "add sub pow div round clamp clip masked_fill scatter scatter_add scatter_reduce index_add put "
    "index_copy index_fill index_put fill zero copy relu lerp addcmul addcdiv addmm tril triu "
    "nan_to_num copysign cumsum cumprod logit sinc xlogy"
)
_elementwise: list[object] = []
OPERATORS = _words("add sub mul truediv floordiv mod pow and or xor lshift rshift")


def raw(operand: Operand) -> Value | bool | int | float:
    """The graph value of a tensor, or a Python number."""
    if isinstance(operand, np.generic):
        operand = operand.item()
    if isinstance(operand, (bool, int, float)):
        return operand
    value = getattr(operand, "value", None)
    if isinstance(value, Value):
        return value
    raise UsageError(f"an operand must be a Tensor or a number, not {type(operand).__name__}")


def unary(function: Callable[[Value], Value]) -> Callable[[Tensor], Tensor]:
    """The method of a function of one value."""
    method = lift(function)
    _elementwise.append(method)
    return method


def lift(
    function: Callable[Concatenate[Value, P], Value],
) -> Callable[Concatenate[Tensor, P], Tensor]:
    """The method of a function of a value and of what is no tensor."""

    @wraps(function)
    def method(self: Tensor, /, *args: P.args, **kwargs: P.kwargs) -> Tensor:
        return type(self).of(function(self.value, *args, **kwargs))

    return method


def binary(function: Callable[[Any, Any], Value]) -> Callable[[Tensor, Operand], Tensor]:
    """The method of a function of two operands."""

    def method(self: Tensor, other: Operand) -> Tensor:
        return type(self).of(function(self.value, raw(other)))

    method.__doc__ = function.__doc__
    _elementwise.append(method)
    return method


def reflected(function: Callable[[Any, Any], Value]) -> Callable[[Tensor, Operand], Tensor]:
    """The method with the tensor on the right-hand side."""
    return binary(lambda a, b: function(b, a))


def maker(function: Callable[..., Value]) -> Callable[..., Tensor]:
    """The static method of a function that makes a value of nothing but numbers, in any dtype."""

    @wraps(function)
    def make(*args: Any, dtype: Any = None, **kwargs: Any) -> Tensor:
        from engine.tensor import Tensor

        made = Tensor.of(function(*args, **kwargs))
        return made if dtype is None else made.cast(dtype)

    return staticmethod(make)


def finish(cls: type[Tensor]) -> type[Tensor]:
    """Give a class the other names of arguments, views that are known as such, and add_."""
    for name, member in list(vars(cls).items()):
        if name in IN_PLACE or (member in _elementwise and not name.startswith("__")):
            setattr(cls, f"{name}_", _in_place(member))
    for name in OPERATORS:
        setattr(cls, f"__i{name}__", _in_place(vars(cls)[f"__{name}__"]))
    for name, member in list(vars(cls).items()):
        function = member.__func__ if isinstance(member, staticmethod) else member
        if callable(function) and not isinstance(function, type):
            made = _with_other_names(_aliasing(function) if name in VIEWS else function)
            is_maker = isinstance(member, staticmethod)
            setattr(cls, name, staticmethod(_with_requires_grad(made)) if is_maker else made)
    return cls


def _in_place(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    @wraps(function)
    def method(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return self.become(function(self, *args, **kwargs))

    return method


def _aliasing(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def method(self: Tensor, *args: Any, **kwargs: Any) -> Any:
        result = function(self, *args, **kwargs)
        for view in result if isinstance(result, tuple) else (result,):
            self.share_with(view)
        return result

    return method


def _with_requires_grad(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def make(*args: Any, requires_grad: bool = False, **kwargs: Any) -> Any:
        made = function(*args, **kwargs)
        return made.requires_grad_() if requires_grad else made

    return make


def _with_other_names(function: Callable[..., Any]) -> Callable[..., Any]:
    parameters = signature(function).parameters
    names = {o: n for n in parameters for o in OTHER_NAMES.get(n, ()) if o not in parameters}
    if not names:
        return function
    starred = [n for n, p in parameters.items() if p.kind is Parameter.VAR_POSITIONAL]

    @wraps(function)
    def method(*args: Any, **kwargs: Any) -> Any:
        if kwargs:
            kwargs = {names.get(name, name): given for name, given in kwargs.items()}
            args += tuple(kwargs.pop(name) for name in starred if name in kwargs)
        return function(*args, **kwargs)

    return method
