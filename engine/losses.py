"""Losses, named and reduced as in torch.nn.functional ("mean", "sum", "none", "batchmean")."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.activations import log_softmax, softplus
from engine.errors import UsageError

if TYPE_CHECKING:
    from engine.tensor import Tensor


def _reduced(losses: Tensor, reduction: str) -> Tensor:
    if reduction not in ("mean", "sum", "none", "batchmean"):
        raise UsageError(f"reduction must be mean, sum, none or batchmean, not {reduction!r}")
    if reduction in ("mean", "none"):
        return losses.mean() if reduction == "mean" else losses
    return losses.sum() if reduction == "sum" else losses.sum() / len(losses)


def mse_loss(x: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """The squared difference."""
    return _reduced((x - target).square(), reduction)


def l1_loss(x: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """The absolute difference."""
    return _reduced((x - target).abs(), reduction)


def huber_loss(x: Tensor, target: Tensor, reduction: str = "mean", delta: float = 1.0) -> Tensor:
    """Half the squared difference up to delta, then as steep as there."""
    size = (x - target).abs()
    losses = (size <= delta).where(size * size * 0.5, (size - 0.5 * delta) * delta)
    return _reduced(losses, reduction)


def smooth_l1_loss(x: Tensor, target: Tensor, reduction: str = "mean", beta: float = 1.0) -> Tensor:
    """The absolute difference, rounded off below beta."""
    if beta == 0.0:
        return l1_loss(x, target, reduction)
    return huber_loss(x, target, reduction, beta) / beta


def nll_loss(
    x: Tensor, target: Tensor, weight: Tensor | None = None, ignore_index: int | None = -100,
    reduction: str = "mean", label_smoothing: float = 0.0,
) -> Tensor:  # fmt: skip
    """Minus the log probability of INT32 targets (n, *axes), given as (n, classes, *axes).

    A target that is `ignore_index` or no class counts for nothing. The mean is by the weight of the
    classes. `label_smoothing` takes that share of each target and spreads it over all classes.
    """
    axis = min(1, x.ndim - 1)
    classes = x.shape[axis]
    if x.shape[:axis] + x.shape[axis + 1 :] != target.shape:
        raise UsageError(f"scores {x.shape} do not fit targets {target.shape}: classes are axis 1")
    along = (classes, *[1] * (x.ndim - 1 - axis))
    counts = (target >= 0) & (target < classes)
    counts = counts if ignore_index is None else counts & (target != ignore_index)
    is_class = target.unsqueeze(axis) == x.arange(classes).reshape(along)
    is_target = is_class & counts.unsqueeze(axis)
    scores = x if weight is None else x * weight.reshape(along)
    losses = -is_target.where(scores, 0.0).sum(axis)
    if label_smoothing:
        spread = counts.where(scores.sum(axis), 0.0) * (label_smoothing / classes)
        losses = losses * (1.0 - label_smoothing) - spread
    if reduction != "mean":
        return _reduced(losses, reduction)
    share = counts if weight is None else is_target.where(weight.reshape(along), 0.0)
    return losses.sum() / share.sum()


def cross_entropy(
    x: Tensor, target: Tensor, reduction: str = "mean", label_smoothing: float = 0.0,
    weight: Tensor | None = None, ignore_index: int | None = -100,
) -> Tensor:  # fmt: skip
    """The cross-entropy of softmax(x) with classes (see nll_loss) or probabilities like x."""
    axis = min(1, x.ndim - 1)
    scores = log_softmax(x, axis)
    if not target.value.is_float:
        return nll_loss(scores, target, weight, ignore_index, reduction, label_smoothing)
    if target.shape != x.shape:
        raise UsageError(f"{target}: it must be INT32 classes, or probabilities of shape {x.shape}")
    share = target * (1.0 - label_smoothing) + label_smoothing / x.shape[axis]
    if weight is not None:
        share = share * weight.reshape(-1, *[1] * (x.ndim - 1 - axis))
    return _reduced(-(scores * share).sum(axis), reduction)


def sparse_categorical_crossentropy(
    x: Tensor, target: Tensor, ignore_index: int = -1, label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """The cross-entropy with classes on the last axis."""
    flat = x.reshape(-1, x.shape[-1]), target.flatten(), reduction, label_smoothing
    losses = cross_entropy(*flat, ignore_index=ignore_index)
    return losses.reshape(target.shape) if reduction == "none" else losses


def binary_crossentropy(x: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """The cross-entropy of probabilities; logarithms are at least -100, as in torch."""
    yes, no = x.log().clamp(-100.0), (1.0 - x).log().clamp(-100.0)
    return _reduced(-(target * yes + (1.0 - target) * no), reduction)


def binary_crossentropy_logits(
    x: Tensor, target: Tensor, reduction: str = "mean", pos_weight: Tensor | None = None
) -> Tensor:
    """The cross-entropy of sigmoid(x); `pos_weight` multiplies the part of the positive ones."""
    part = softplus(-x)
    if pos_weight is not None:
        part = part * (target * (pos_weight - 1.0) + 1.0)
    return _reduced((1.0 - target) * x + part, reduction)


def kl_div(x: Tensor, target: Tensor, reduction: str = "mean", log_target: bool = False) -> Tensor:
    """How far the target is from log probabilities x: target * (log(target) - x)."""
    if log_target:
        return _reduced(target.exp() * (target - x), reduction)
    safe = (target > 0).where(target, 1.0)
    return _reduced(target * (safe.log() - x), reduction)


def cosine_similarity(x: Tensor, other: Tensor, axis: int = 1, eps: float = 1e-8) -> Tensor:
    """The cosine of the angle between vectors along an axis."""
    a, b = ((v * v).sum(axis).clamp(eps * eps).sqrt() for v in (x, other))
    return (x * other).sum(axis) / (a * b)


def margin_ranking_loss(
    x: Tensor, other: Tensor, target: Tensor, margin: float = 0.0, reduction: str = "mean"
) -> Tensor:
    """How much x should be above `other` where the target is 1, below where it is -1."""
    return _reduced((margin - target * (x - other)).clamp(0.0), reduction)


def soft_margin_loss(x: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """log(1 + exp(-target * x))."""
    return _reduced(softplus(-(target * x)), reduction)


binary_cross_entropy = binary_crossentropy
binary_cross_entropy_with_logits = binary_crossentropy_logits
