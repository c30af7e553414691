"""Losses, named and reduced as in torch.nn.functional ("mean", "sum", "none", "batchmean")."""

from __future__ import annotations

from math import log, pi
from typing import TYPE_CHECKING

from engine.activations import log_softmax, softplus
from engine.errors import UsageError
from engine.methods import norm

if TYPE_CHECKING:
    from engine.tensor import Tensor


def _reduced(losses: Tensor, reduction: str, weight: Tensor | None = None) -> Tensor:
    losses = losses if weight is None else losses * weight
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
    x: Tensor, target: Tensor, weight: Tensor | None = None, ignore_index: int | None = -100,
    reduction: str = "mean", label_smoothing: float = 0.0,
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
    flat = x.reshape(-1, x.shape[-1]), target.flatten()
    losses = cross_entropy(*flat, None, ignore_index, reduction, label_smoothing)
    return losses.reshape(target.shape) if reduction == "none" else losses


def binary_cross_entropy(
    x: Tensor, target: Tensor, weight: Tensor | None = None, reduction: str = "mean"
) -> Tensor:
    """The cross-entropy of probabilities; logarithms are at least -100, as in torch."""
    yes, no = x.log().clamp(-100.0), (1.0 - x).log().clamp(-100.0)
    return _reduced(-(target * yes + (1.0 - target) * no), reduction, weight)


def binary_cross_entropy_with_logits(
    x: Tensor, target: Tensor, weight: Tensor | None = None, reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """The cross-entropy of sigmoid(x); `pos_weight` multiplies the part of the positive ones."""
    part = softplus(-x)
    if pos_weight is not None:
        part = part * (target * (pos_weight - 1.0) + 1.0)
    return _reduced((1.0 - target) * x + part, reduction, weight)


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


def hinge_embedding_loss(
    x: Tensor, target: Tensor, margin: float = 1.0, reduction: str = "mean"
) -> Tensor:
    """The distance x where the target is 1; where it is -1, what it lacks of a margin."""
    return _reduced((target == 1).where(x, (margin - x).relu()), reduction)


def cosine_embedding_loss(
    x: Tensor, other: Tensor, target: Tensor, margin: float = 0.0, reduction: str = "mean"
) -> Tensor:
    """1 - cosine of rows where the target is 1; where it is -1, the cosine beyond a margin."""
    cosine = cosine_similarity(x, other, -1)
    return _reduced((target == 1).where(1.0 - cosine, (cosine - margin).relu()), reduction)


def pairwise_distance(
    x: Tensor, other: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False
) -> Tensor:
    """The p-norm of x - other + eps along the last axis."""
    return norm(x - other + eps, p, -1, keepdim)


def triplet_margin_loss(
    x: Tensor, positive: Tensor, negative: Tensor, margin: float = 1.0, p: float = 2.0,
    eps: float = 1e-6, swap: bool = False, reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """How much nearer x should be to the positive than to the negative; to the nearer of x and the
    positive with `swap`."""
    near, far = (pairwise_distance(x, other, p, eps) for other in (positive, negative))
    if swap:
        far = far.minimum(pairwise_distance(positive, negative, p, eps))
    return _reduced((near - far + margin).relu(), reduction)


def multi_margin_loss(
    x: Tensor, target: Tensor, p: int = 1, margin: float = 1.0, weight: Tensor | None = None,
    reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """How much each other class lacks of a margin below the target's score, by the classes."""
    at = target.unsqueeze(-1)
    lacking = (x - x.gather(-1, at) + margin).relu() ** p
    lacking = lacking if weight is None else lacking * weight[at]
    is_other = x.arange(x.shape[-1]) != at
    return _reduced(is_other.where(lacking, 0.0).sum(-1) / x.shape[-1], reduction)


def multilabel_soft_margin_loss(
    x: Tensor, target: Tensor, weight: Tensor | None = None, reduction: str = "mean"
) -> Tensor:
    """The mean over classes of their binary cross-entropies."""
    losses = binary_cross_entropy_with_logits(x, target, weight, "none")
    return _reduced(losses.mean(-1), reduction)


def poisson_nll_loss(
    x: Tensor, target: Tensor, log_input: bool = True, full: bool = False, eps: float = 1e-8,
    reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """Minus the log likelihood of counts at a rate, or its logarithm; with Stirling's term if
    `full`."""
    losses = x.exp() - target * x if log_input else x - target * (x + eps).log()
    if full:
        count = (target > 1).where(target, 1.0)
        stirling = count * count.log() - count + (count * (2 * pi)).log() * 0.5
        losses = losses + (target > 1).where(stirling, 0.0)
    return _reduced(losses, reduction)


def gaussian_nll_loss(
    x: Tensor, target: Tensor, var: Tensor, full: bool = False, eps: float = 1e-6,
    reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """Minus the log likelihood of targets with this mean and variance, which is at least eps."""
    safe = var + (var.maximum(eps) - var).detach()
    losses = (safe.log() + (x - target).square() / safe) * 0.5
    return _reduced(losses + (log(2 * pi) / 2 if full else 0.0), reduction)


binary_crossentropy = binary_cross_entropy
binary_crossentropy_logits = binary_cross_entropy_with_logits
