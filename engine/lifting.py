"""How functions become methods of Tensor, and what all methods have in common.

`lift` makes a function of tensors out of a function of graph values. `finish` gives a class the
functions that a table names as methods, lets all of them understand the names that torch and
tinygrad use for one argument ("dim" for axis), lets views know with whom they share elements, and
derives the methods that change a tensor: `add_` and `+=` from `add`. `follow_torch` does the same
for functions that are no methods.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from functools import wraps
from inspect import Parameter, signature
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from engine.graph import Value

if TYPE_CHECKING:
    from engine.tensor import Tensor

Operand: TypeAlias = "Tensor | bool | int | float"
Table: TypeAlias = Mapping[ModuleType, str]
Method: TypeAlias = Callable[..., Any]

_OTHERS = """axis: dim dims axes; axes: dim dims axis; axis0: dim0; axis1: dim1; axis2: dim2
    start: start_dim; end: end_dim; shape: size sizes dims repeats; keepdim: keepdims
    sizes: shape size split_size split_size_or_sections; sections: chunks indices; low: min min_
    high: max max_; exponent: x; other: x y w end mat2 vec2 value; a: x input; sorted: sorted_
    b: other x y w end mat2 vec2; x: other input query; classes: num_classes; cut: diagonal offset
    stop: end; src: value; neg_slope: negative_slope; table: weight"""
OTHER_NAMES = {
    name.strip(): others.split()
    for name, others in (line.split(":") for line in _OTHERS.replace("\n", ";").split(";"))
}
_words = str.split
VIEWS = _words(
    "reshape view permute transpose swapaxes swapdims expand flatten squeeze unsqueeze detach "
    "__getitem__ select narrow split chunk unbind diagonal movedim moveaxis unflatten t contiguous "
    "cast to float int bool unfold expand_as view_as ravel broadcast_to type"
)
IN_PLACE = _words(
    "add sub pow div round clamp clip masked_fill scatter scatter_add scatter_reduce index_add put "
    "index_copy index_fill index_put fill zero copy relu lerp addcmul addcdiv addmm tril triu "
    "nan_to_num copysign cumsum cumprod logit sinc xlogy square reciprocal frac isnan isposinf "
    "isneginf signbit positive erfc deg2rad rad2deg logical_not logical_and logical_or logical_xor"
)
OPERATORS = _words("add sub mul truediv floordiv mod pow and or xor lshift rshift")


def raw(operand: Any) -> Any:
    """The graph value of a tensor, the Python number of numpy's, anything else as it is."""
    if isinstance(operand, np.generic):
        return operand.item()
    value = getattr(operand, "value", None)
    return value if isinstance(value, Value) else operand


def lift(function: Callable[..., Value]) -> Callable[..., Tensor]:
    """A function of graph values as one of tensors."""

    @wraps(function)
    def method(*args: Any, **kwargs: Any) -> Tensor:
        from engine.tensor import Tensor

        named = {name: raw(given) for name, given in kwargs.items()}
        return Tensor.of(function(*map(raw, args), **named))

    return method


def maker(function: Callable[..., Value]) -> Callable[..., Tensor]:
    """The static method of a function that makes a value of numbers."""
    return staticmethod(lift(function))


def finish(
    cls: type[Tensor],
    formulas: Mapping[str, tuple[str, Method]],
    elementwise: Table,
    values: Table,
    tensors: Sequence[ModuleType],
    names: str,
    orders: Mapping[str, str],
) -> None:
    """Give a class its methods: formulas, and functions of modules.

    Tables name functions of graph values. Of `tensors` every public function is a method whose
    first parameter is a Tensor. `names` are further names; `orders` the positional arguments after
    the first where a method has them in another order. Everything in `elementwise`, and what
    IN_PLACE names, changes a tensor under its name with "_".
    """
    by_element = _named(elementwise)
    methods = {**vars(cls), **by_element, **_named(values)}
    for module in tensors:
        methods |= {name: f for name, f in vars(module).items() if _is_method(f)}
    for name, (docstring, formula) in formulas.items():
        methods[name], formula.__doc__ = formula, docstring
    for name, order in orders.items():
        methods[name] = _in_order(methods[name], order.split())
    for name, *others in map(_equal, names.split()):
        methods |= dict.fromkeys(others, methods[name])
    for name in (*IN_PLACE, *by_element):
        methods[f"{name}_"] = _in_place(methods[name])
    for name in OPERATORS:
        methods[f"__i{name}__"] = _in_place(methods[f"__{name}__"])
    for name, member in methods.items():
        if isinstance(member, staticmethod):
            setattr(cls, name, staticmethod(_with_options(_with_other_names(member.__func__))))
        elif callable(member) and not isinstance(member, type):
            setattr(cls, name, _with_other_names(_aliasing(member) if name in VIEWS else member))


def _named(table: Table) -> dict[str, Method]:
    """The methods of functions of values that a table names, by their names."""
    found: dict[str, Method] = {}
    for module, words in table.items():
        for name, *others in map(_equal, words.split()):
            method = lift(vars(module)[name])
            method.__doc__ = method.__doc__ or f"{name}(x) of every element, in FLOAT32."
            found |= dict.fromkeys(others or [name], method)
    return found


def _equal(word: str) -> list[str]:
    return word.split("=")


def _is_method(member: object) -> bool:
    if not isinstance(member, FunctionType) or member.__name__.startswith("_"):
        return False
    first = next(iter(signature(member).parameters.values()), None)
    return first is not None and str(first.annotation).startswith("Tensor")


def _in_place(function: Method) -> Method:
    @wraps(function)
    def method(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return self.become(function(self, *args, **kwargs))

    return method


def _in_order(function: Method, names: Sequence[str]) -> Method:
    @wraps(function)
    def method(x: Tensor, *args: Any, **kwargs: Any) -> Any:
        named = dict(zip(names[: len(args)], args, strict=True))
        return function(x, **named, **kwargs)

    return method


def _aliasing(function: Method) -> Method:
    @wraps(function)
    def method(self: Tensor, *args: Any, **kwargs: Any) -> Any:
        result = function(self, *args, **kwargs)
        for view in result if isinstance(result, tuple) else (result,):
            self.share_with(view)
        return result

    return method


def _with_options(function: Method) -> Method:
    """A static method that takes `requires_grad`, and `dtype` if it does not yet."""
    casts = "dtype" not in signature(function).parameters

    @wraps(function)
    def make(*args: Any, requires_grad: bool = False, **kwargs: Any) -> Any:
        dtype = kwargs.pop("dtype", None) if casts else None
        made = function(*args, **kwargs)
        made = made if dtype is None else made.cast(dtype)
        return made.requires_grad_() if requires_grad else made

    return make


def follow_torch(module: dict[str, Any], changing: Container[str]) -> None:
    """Let functions of tensors in a module's namespace understand torch's names for arguments.

    With `inplace` those of the modules `changing` change their tensor, too.
    """
    for name, function in list(module.items()):
        if _is_method(function):
            changes = function.__module__ in changing
            named = _with_other_names(function)
            module[name] = _with_inplace(named) if changes else named


def _with_inplace(function: Method) -> Method:
    @wraps(function)
    def method(x: Tensor, *args: Any, inplace: bool = False, **kwargs: Any) -> Tensor:
        result: Tensor = function(x, *args, **kwargs)
        return x.become(result) if inplace else result

    return method


def _with_other_names(function: Method) -> Method:
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
