"""Activations, named as in torch.nn.functional, with torch's gradients at their corners."""

from __future__ import annotations

from collections.abc import Callable
from math import inf, pi, sqrt
from typing import TYPE_CHECKING

from engine import graph
from engine.errors import UsageError
from engine.graph import Scalar

if TYPE_CHECKING:
    from engine.tensor import Tensor


def ruled(rule: Callable[[Tensor, Tensor], Tensor], y: Tensor, x: Tensor) -> Tensor:
    """`y`, whose gradient by `x` is rule(gradient, y), whatever it was computed from."""
    of = type(x).of
    return of(graph.custom(y.value, lambda g, y: (rule(of(g), of(y)).value,), x.value))


def relu(x: Tensor) -> Tensor:
    """max(x, 0); NaN stays NaN, and the gradient at 0 is 0."""
    return ruled(lambda g, _: (x > 0).where(g, 0.0), (x < 0).where(0, x), x)


def leaky_relu(x: Tensor, neg_slope: float = 0.01) -> Tensor:
    """x above 0, else neg_slope * x."""
    return (x > 0).where(x, x * neg_slope)


def prelu(x: Tensor, weight: Tensor) -> Tensor:
    """Leaky, with one slope for all or one for each channel, which is axis 1."""
    return (x > 0).where(x, x * weight.reshape(-1, *[1] * max(x.ndim - 2, 0)))


def elu(x: Tensor, alpha: float = 1.0, scale: float = 1.0, slope: float = 1.0) -> Tensor:
    """scale * x above 0, else scale * alpha * (exp(slope * x) - 1)."""
    below = ((x > 0).where(0.0, x) * slope).expm1()
    return (x > 0).where(x * scale, below * (alpha * scale))


def celu(x: Tensor, alpha: float = 1.0) -> Tensor:
    """x above 0, else alpha * (exp(x / alpha) - 1)."""
    return elu(x, alpha, 1.0, 1.0 / alpha)


def selu(x: Tensor, alpha: float = 1.6732632423543772, gamma: float = 1.0507009873554805) -> Tensor:
    """elu, scaled to keep mean 0 and variance 1 (Klambauer et al. 2017)."""
    return elu(x, alpha, gamma)


def gelu(x: Tensor, approximate: str = "none") -> Tensor:
    """x times the normal distribution function of x; "tanh" is Hendrycks' approximation."""
    if approximate == "tanh":
        inner = (x * x * x).fma(0.044715, x) * sqrt(2 / pi)
        return x * 0.5 * (inner.tanh() + 1.0)
    if approximate != "none":
        raise UsageError(f"gelu approximate must be 'none' or 'tanh', not {approximate!r}")
    return x * 0.5 * ((x * sqrt(0.5)).erf() + 1.0)


def quick_gelu(x: Tensor) -> Tensor:
    """x * sigmoid(1.702 x)."""
    return x * (x * 1.702).sigmoid()


def silu(x: Tensor) -> Tensor:
    """x * sigmoid(x)."""
    return x * x.sigmoid()


swish = silu


def glu(x: Tensor, axis: int = -1) -> Tensor:
    """The first half of an axis times the sigmoid of the second."""
    halves = x.transpose(0, axis)
    if len(halves) % 2:
        raise UsageError(f"glu() of an axis of length {len(halves)}: it must be even")
    half = len(halves) // 2
    return (halves[:half] * halves[half:].sigmoid()).transpose(0, axis)


def softplus(x: Tensor, beta: float = 1.0) -> Tensor:
    """log(1 + exp(beta x)) / beta."""
    scaled = x * beta
    y = (-scaled.abs()).exp().log1p() + scaled.maximum(0.0)
    return ruled(lambda g, _: g * scaled.sigmoid(), y, scaled) / beta


def logsigmoid(x: Tensor) -> Tensor:
    """log(sigmoid(x))."""
    return -softplus(-x)


def mish(x: Tensor) -> Tensor:
    """x * tanh(softplus(x))."""
    return x * softplus(x).tanh()


def softsign(x: Tensor) -> Tensor:
    """x / (1 + |x|)."""
    return x / (x.abs() + 1.0)


def tanhshrink(x: Tensor) -> Tensor:
    """x - tanh(x)."""
    return x - x.tanh()


def softshrink(x: Tensor, lambd: float = 0.5) -> Tensor:
    """x brought closer to 0 by lambd."""
    return (x.abs() <= lambd).where(0.0, x - x.sign() * lambd)


def hardshrink(x: Tensor, lambd: float = 0.5) -> Tensor:
    """x, or 0 within lambd of it."""
    return (x.abs() <= lambd).where(0.0, x)


def hardtanh(x: Tensor, min_val: float = -1.0, max_val: float = 1.0) -> Tensor:
    """x brought between two numbers; no gradient where it is not strictly between."""
    return ((x > min_val) & (x < max_val)).where(x, x.clamp(min_val, max_val).detach())


def relu6(x: Tensor) -> Tensor:
    """x brought between 0 and 6."""
    return hardtanh(x, 0.0, 6.0)


def hardsigmoid(x: Tensor, alpha: float = 1 / 6, beta: float = 0.5) -> Tensor:
    """alpha * x + beta, brought between 0 and 1."""
    return hardtanh(x * alpha + beta, 0.0, 1.0)


def hardswish(x: Tensor) -> Tensor:
    """x * relu6(x + 3) / 6."""
    return x * relu6(x + 3.0) * (1 / 6)


def threshold(x: Tensor, threshold: float, value: Scalar) -> Tensor:
    """x above the threshold, else the value."""
    return (x <= threshold).where(value, x)


def softmax(x: Tensor, axis: int = -1) -> Tensor:
    """exp(x) normalised to a sum of 1 along an axis; the largest is subtracted first."""
    x = x.float()
    powers = (x - x.amax(axis, True)).exp()
    y = powers / powers.sum(axis, True)
    return ruled(lambda g, y: (g - (g * y).sum(axis, True)) * y, y, x)


def softmin(x: Tensor, axis: int = -1) -> Tensor:
    """softmax(-x)."""
    return softmax(-x, axis)


def log_softmax(x: Tensor, axis: int = -1) -> Tensor:
    """log(softmax(x)), without the detour that loses small values."""
    x = x.float()
    shifted = x - x.amax(axis, True)
    y = shifted - shifted.exp().sum(axis, True).log()
    return ruled(lambda g, y: g - y.exp() * g.sum(axis, True), y, x)


def logsumexp(
    x: Tensor, axis: int | tuple[int, ...] | None = None, keepdim: bool = False
) -> Tensor:
    """log(sum(exp(x))) over axes; over all without."""
    x = x.float()
    top = x.amax(axis, True)
    shift = (top.abs() < inf).where(top, 0.0).detach()
    result = (x - shift).exp().sum(axis, True).log() + shift
    return result if keepdim else result.squeeze(axis)
