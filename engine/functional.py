"""Activations and losses as functions of tensors, named as in torch.nn.functional."""

from __future__ import annotations

from collections.abc import Mapping
from math import pi, sqrt
from typing import TYPE_CHECKING

from engine import elementwise as e
from engine import graph
from engine.errors import UsageError

if TYPE_CHECKING:
    from engine.tensor import Tensor


def relu(x: Tensor) -> Tensor:
    """max(x, 0); NaN stays NaN, and the gradient at 0 is 0."""
    value = x.value
    clipped = e.select(e.less(value, 0), 0, value)
    return type(x).of(
        graph.custom(clipped, lambda g, _: (e.select(e.less(0, value), g, 0.0),), value)
    )


def gelu(x: Tensor, approximate: str = "none") -> Tensor:
    """x times the normal distribution function of x; "tanh" is Hendrycks' approximation."""
    if approximate == "tanh":
        inner = (x * x * x).fma(0.044715, x) * sqrt(2 / pi)
        return x * 0.5 * (inner.tanh() + 1.0)
    if approximate != "none":
        raise UsageError(f"gelu approximate must be 'none' or 'tanh', not {approximate!r}")
    return x * 0.5 * ((x * sqrt(0.5)).erf() + 1.0)


def silu(x: Tensor) -> Tensor:
    """x * sigmoid(x)."""
    return x * x.sigmoid()


def softmax(x: Tensor, axis: int = -1) -> Tensor:
    """exp(x) normalised to a sum of 1 along an axis; the largest is subtracted first."""
    shifted = (x - x.max(axis, keepdim=True).detach()).exp()
    return shifted / shifted.sum(axis, keepdim=True)


def log_softmax(x: Tensor, axis: int = -1) -> Tensor:
    """log(softmax(x)), without the detour that loses small values."""
    shifted = x - x.max(axis, keepdim=True).detach()
    return shifted - shifted.exp().sum(axis, keepdim=True).log()


def logsumexp(x: Tensor, axis: int = -1, keepdim: bool = False) -> Tensor:
    """log(sum(exp(x))) along an axis."""
    largest = x.max(axis, keepdim=True).detach()
    result = (x - largest).exp().sum(axis, keepdim=True).log() + largest
    return result if keepdim else result.squeeze(axis)


def nll_loss(log_probabilities: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """Minus the log probability (..., classes) of INT32 targets (...); 0 for a class out of range.

    The mean is over all targets.
    """
    if log_probabilities.shape[:-1] != target.shape:
        raise UsageError(f"scores {log_probabilities.shape} do not fit targets {target.shape}")
    is_target = target.one_hot(log_probabilities.shape[-1])
    return _reduced(-is_target.where(log_probabilities, 0.0).sum(-1), reduction)


def cross_entropy(logits: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """The softmax cross-entropy of logits (..., classes) and INT32 targets (...).

    `reduction` is "mean", "sum" or "none". Unlike torch, the classes are on the last axis.
    """
    return nll_loss(log_softmax(logits), target, reduction)


def mse_loss(x: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """The squared difference."""
    return _reduced((x - target).square(), reduction)


def accuracy(logits: Tensor, target: Tensor) -> Tensor:
    """The share of targets that have the largest logit, FLOAT32."""
    return (logits.argmax(-1) == target).float().mean()


def embedding(index: Tensor, table: Tensor) -> Tensor:
    """Rows of a table by INT32 index; zeros where it is out of range."""
    return table[index]


def layer_norm(
    x: Tensor, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    """The last axis brought to mean 0 and variance 1, then scaled and shifted."""
    distance = x - x.mean(-1, keepdim=True)
    y = distance / (distance.square().mean(-1, keepdim=True) + eps).sqrt()
    y = y if weight is None else y * weight
    return y if bias is None else y + bias


def clip_grad_norm(
    gradients: Mapping[str, Tensor], max_norm: float
) -> tuple[dict[str, Tensor], Tensor]:
    """The gradients, scaled so that their joint 2-norm is at most `max_norm`; and that norm.

    The squares are added in the order of the sorted names.
    """
    squares = [gradient.square().sum() for _, gradient in sorted(gradients.items())]
    total = squares[0].zeros_like()
    for square in squares:
        total = total + square
    norm = total.sqrt()
    scale = (max_norm / (norm + 1e-6)).minimum(1.0)
    return {name: gradient * scale for name, gradient in gradients.items()}, norm


def _reduced(losses: Tensor, reduction: str) -> Tensor:
    if reduction == "mean":
        return losses.mean()
    if reduction == "sum":
        return losses.sum()
    if reduction == "none":
        return losses
    raise UsageError(f"reduction must be 'mean', 'sum' or 'none', not {reduction!r}")
