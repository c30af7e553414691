"""Activations, named as in torch.nn.functional, with torch's gradients at their corners."""

from __future__ import annotations

from collections.abc import Callable
from math import inf, pi, sqrt
from typing import TYPE_CHECKING, TypeAlias

from engine import graph, transcendental
from engine.dtypes import AnyType, DType
from engine.errors import UsageError
from engine.lifting import lift

if TYPE_CHECKING:
    from engine.tensor import Tensor

Axes: TypeAlias = int | tuple[int, ...] | None

sigmoid, tanh = lift(transcendental.sigmoid), lift(transcendental.tanh)


def ruled(rule: Callable[[Tensor, Tensor], Tensor], y: Tensor, x: Tensor) -> Tensor:
    """`y`, whose gradient by `x` is rule(gradient, y), whatever it was computed from."""
    of = type(x).of
    return of(graph.custom(y.value, lambda g, y: (rule(of(g), of(y)).value,), x.value))


def relu(x: Tensor) -> Tensor:
    """max(x, 0); NaN stays NaN, and the gradient at 0 is 0."""
    return ruled(lambda g, _: (x > 0).where(g, 0.0), (x < 0).where(0, x), x)


def prelu(x: Tensor, weight: Tensor) -> Tensor:
    """Leaky, with one slope for all or one for each channel, which is axis 1."""
    return (x > 0).where(x, x * weight.reshape(-1, *[1] * max(x.ndim - 2, 0)))


def elu(x: Tensor, alpha: float = 1.0, scale: float = 1.0, slope: float = 1.0) -> Tensor:
    """scale * x above 0, else scale * alpha * (exp(slope * x) - 1)."""
    below = ((x > 0).where(0.0, x) * slope).expm1()
    return (x > 0).where(x * scale, below * (alpha * scale))


def gelu(x: Tensor, approximate: str = "none") -> Tensor:
    """x times the normal distribution function of x; "tanh" is Hendrycks' approximation."""
    if approximate == "tanh":
        inner = (x * x * x).fma(0.044715, x) * sqrt(2 / pi)
        return x * 0.5 * (inner.tanh() + 1.0)
    if approximate != "none":
        raise UsageError(f"gelu approximate must be 'none' or 'tanh', not {approximate!r}")
    return x * 0.5 * ((x * sqrt(0.5)).erf() + 1.0)


def glu(x: Tensor, axis: int = -1) -> Tensor:
    """The first half of an axis times the sigmoid of the second."""
    halves = x.transpose(0, axis)
    if len(halves) % 2:
        raise UsageError(f"glu() of an axis of length {len(halves)}: it must be even")
    half = len(halves) // 2
    return (halves[:half] * halves[half:].sigmoid()).transpose(0, axis)


def softplus(x: Tensor, beta: float = 1.0, threshold: float | None = None) -> Tensor:
    """log(1 + exp(beta x)) / beta; x where beta x is above a threshold.

    None has the values of torch's threshold of 20: there they are the same.
    """
    scaled = x * beta
    y = (-scaled.abs()).exp().log1p() + scaled.maximum(0.0)
    y = ruled(lambda g, _: g * scaled.sigmoid(), y, scaled) / beta
    return y if threshold is None else (scaled > threshold).where(x, y)


def hardtanh(x: Tensor, min_val: float = -1.0, max_val: float = 1.0) -> Tensor:
    """x brought between two numbers; no gradient where it is not strictly between."""
    return ((x > min_val) & (x < max_val)).where(x, x.clamp(min_val, max_val).detach())


def _largest(x: Tensor, axis: Axes) -> Tensor:
    """The largest along axes, which stay; of no elements none."""
    return x.amax(axis, True) if x.numel() else x.sum(axis, True)


def softmax(x: Tensor, axis: int = -1, dtype: AnyType = DType.FLOAT32) -> Tensor:
    """exp(x) normalised to a sum of 1 along an axis; the largest is subtracted first."""
    x = x.cast(dtype)
    powers = (x - _largest(x, axis)).exp()
    y = powers / powers.sum(axis, True)
    return ruled(lambda g, y: (g - (g * y).sum(axis, True)) * y, y, x)


def log_softmax(x: Tensor, axis: int = -1, dtype: AnyType = DType.FLOAT32) -> Tensor:
    """log(softmax(x)), without the detour that loses small values."""
    x = x.cast(dtype)
    shifted = x - _largest(x, axis)
    y = shifted - shifted.exp().sum(axis, True).log()
    return ruled(lambda g, y: g - y.exp() * g.sum(axis, True), y, x)


def logsumexp(x: Tensor, axis: Axes = None, keepdim: bool = False) -> Tensor:
    """log(sum(exp(x))) over axes; over all without."""
    x = x.float()
    top = _largest(x, axis)
    shift = (top.abs() < inf).where(top, 0.0).detach()
    result = (x - shift).exp().sum(axis, True).log() + shift
    return result if keepdim else result.squeeze(axis)


def _formula(docstring: str, function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """A function of a tensor x, written as a lambda."""
    function.__doc__ = docstring
    function.__annotations__["x"] = "Tensor"
    return function


leaky_relu = _formula(
    "x, below 0 times neg_slope.", lambda x, neg_slope=0.01: (x > 0).where(x, x * neg_slope)
)
celu = _formula(
    "elu whose slope is 1 at 0 for every alpha.",
    lambda x, alpha=1.0: elu(x, alpha, 1.0, 1.0 / alpha),
)
selu = _formula(
    "elu that keeps mean 0 and variance 1 (Klambauer et al. 2017).",
    lambda x, alpha=1.6732632423543772, gamma=1.0507009873554805: elu(x, alpha, gamma),
)
silu = swish = _formula("x * sigmoid(x).", lambda x: x * x.sigmoid())
quick_gelu = _formula("x * sigmoid(1.702 x).", lambda x: x * (x * 1.702).sigmoid())
mish = _formula("x * tanh(softplus(x)).", lambda x: x * softplus(x).tanh())
logsigmoid = _formula("log(sigmoid(x)).", lambda x: softplus(-x).neg())
softsign = _formula("x / (|x| + 1).", lambda x: x / (x.abs() + 1.0))
softmin = _formula("softmax(-x).", lambda x, axis=-1: softmax(-x, axis))
relu6 = _formula("x between 0 and 6.", lambda x: hardtanh(x, 0.0, 6.0))
hardsigmoid = _formula(
    "alpha * x + beta between 0 and 1.",
    lambda x, alpha=1 / 6, beta=0.5: hardtanh(x * alpha + beta, 0.0, 1.0),
)
hardswish = _formula("x * relu6(x + 3) / 6.", lambda x: x * relu6(x + 3.0) * (1 / 6))
hardshrink = _formula(
    "x, but 0 where |x| <= lambd.", lambda x, lambd=0.5: (x.abs() <= lambd).where(0.0, x)
)
softshrink = _formula(
    "x brought nearer to 0 by lambd.",
    lambda x, lambd=0.5: (x.abs() <= lambd).where(0.0, x - x.sign() * lambd),
)
tanhshrink = _formula("x - tanh(x).", lambda x: x - x.tanh())
threshold = _formula(
    "x above a threshold, else a value.",
    lambda x, threshold, value: (x <= threshold).where(value, x),
)
