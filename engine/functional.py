"""Functions of tensors, named as in torch.nn.functional; most are methods of Tensor, too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf, sqrt
from typing import TYPE_CHECKING

from engine import folds
from engine.activations import *  # noqa: F403
from engine.activations import ruled, softmax
from engine.convolution import *  # noqa: F403
from engine.dtypes import DType
from engine.errors import UsageError
from engine.lifting import follow_torch
from engine.losses import *  # noqa: F403
from engine.methods import norm
from engine.methods import one_hot as one_hot
from engine.pooling import *  # noqa: F403
from engine.windows import pad as pad

if TYPE_CHECKING:
    from engine.tensor import Tensor


def scaled_dot_product_attention(
    x: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None, dropout_p: float = 0.0,
    is_causal: bool = False, scale: float | None = None, enable_gqa: bool = False,
    dropout_key: Tensor | int | None = None,
) -> Tensor:  # fmt: skip
    """softmax(x key^T scale) value over the last two axes (Vaswani et al. 2017).

    `enable_gqa` lets several heads (axis -3) share one of key and value. `dropout_p` is for the
    weights, always. The rest is of `attention_weights`.
    """
    if enable_gqa:
        several = x.shape[-3] // key.shape[-3]
        key, value = (tensor.repeat_interleave(several, -3) for tensor in (key, value))
    weights = attention_weights(x, key, attn_mask, is_causal, scale)
    return dropout(weights, dropout_p, True, dropout_key) @ value


def attention_weights(
    x: Tensor, key: Tensor, attn_mask: Tensor | None = None, is_causal: bool = False,
    scale: float | None = None,
) -> Tensor:  # fmt: skip
    """softmax(x key^T scale): how much of each value a query takes.

    `scale` is 1 / sqrt(width) by default. A BOOL mask names the pairs that count (if none, the
    weights are 0); any other is added. `is_causal` lets place i see places up to i.
    """
    if is_causal and attn_mask is not None:
        raise UsageError("attention takes attn_mask or is_causal, not both: join the masks")
    scores = (x @ key.transpose(-2, -1)) * (1 / sqrt(x.shape[-1]) if scale is None else scale)
    if is_causal:
        rows, columns = scores.shape[-2:]
        is_later = x.arange(columns) > x.arange(rows).unsqueeze(1)
        scores = is_later.where(-inf, scores)
    if attn_mask is None:
        return softmax(scores)
    if attn_mask.dtype is not DType.BOOL:
        return softmax(scores + attn_mask)
    weights = softmax(attn_mask.where(scores, -inf))
    return attn_mask.any(-1, True).where(weights, 0.0)


def embedding(x: Tensor, table: Tensor, padding_idx: int | None = None) -> Tensor:
    """Rows of a table by INT32 index; zeros where it is out of range.

    The row `padding_idx` gets no gradient.
    """
    found = type(table).of(folds.rows(table.value, x.value))
    if padding_idx is None:
        return found
    is_padding = (x == padding_idx % len(table)).unsqueeze(-1)
    return is_padding.where(found.detach(), found)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x weight^T + bias, for weights (outputs, inputs)."""
    y = x @ weight.T
    return y if bias is None else y + bias


def bilinear(x: Tensor, other: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x weight[o] other + bias for each output o."""
    y = x.einsum("...i,oij,...j->...o", x, weight, other)
    return y if bias is None else y + bias


def dropout(
    x: Tensor, p: float = 0.5, training: bool = True, key: Tensor | int | None = None
) -> Tensor:
    """0 with probability p, the rest over 1 - p."""
    return _dropped(x, x.shape, p, training, key)


def dropout2d(
    x: Tensor, p: float = 0.5, training: bool = True, key: Tensor | int | None = None
) -> Tensor:
    """Whole channels (axis 1) 0 with probability p, the rest over 1 - p."""
    return _dropped(x, (*x.shape[:2], *[1] * (x.ndim - 2)), p, training, key)


def _dropped(
    x: Tensor, shape: Sequence[int], p: float, training: bool, key: Tensor | int | None
) -> Tensor:
    if not training or not p:
        return x
    drawn = x.rand(shape, key=key)
    return (drawn >= p).where(x * (1.0 / (1.0 - p)) if p < 1.0 else 0.0, 0.0)


def accuracy(logits: Tensor, target: Tensor) -> Tensor:
    """The share of targets that have the largest logit, FLOAT32."""
    return (logits.argmax(-1) == target).float().mean()


def clip_grad_norm(
    gradients: Mapping[str, Tensor], max_norm: float
) -> tuple[dict[str, Tensor], Tensor]:
    """The gradients, scaled so that their joint 2-norm is at most `max_norm`; and that norm.

    The squares are added in the order of the sorted names.
    """
    squares = [gradient.square().sum() for _, gradient in sorted(gradients.items())]
    norm = sum(squares[1:], squares[0]).sqrt()
    scale = (max_norm / (norm + 1e-6)).minimum(1.0)
    return {name: gradient * scale for name, gradient in gradients.items()}, norm


# Normalisation: mean 0 and variance 1 over some axes, then a scale and a shift


def _standard(x: Tensor, axes: Sequence[int], eps: float, is_centred: bool = True) -> Tensor:
    """Brought to a mean square of 1 over the axes, after a mean of 0 if it is centred."""
    x = x.float()
    distance = x - x.mean(axes, True) if is_centred else x
    size = ((distance * distance).mean(axes, True) + eps).sqrt()

    def rule(g: Tensor, y: Tensor) -> Tensor:
        """Without the parts of g that change the mean and the mean square."""
        rest = g - y * (g * y).mean(axes, True)
        return (rest - g.mean(axes, True) if is_centred else rest) / size

    return ruled(rule, distance / size, x)


def _scaled(y: Tensor, weight: Tensor | None, bias: Tensor | None, shape: Sequence[int]) -> Tensor:
    y = y if weight is None else y * weight.reshape(*shape)
    return y if bias is None else y + bias.reshape(*shape)


def layer_norm(
    x: Tensor, normalized_shape: int | Sequence[int] | None = None, weight: Tensor | None = None,
    bias: Tensor | None = None, eps: float = 1e-5,
) -> Tensor:  # fmt: skip
    """Over the last axes, whose shape may be named; over the last one without."""
    axes, shape = _last_axes(x, normalized_shape)
    return _scaled(_standard(x, axes, eps), weight, bias, shape)


def layernorm(x: Tensor, axis: int | Sequence[int] = -1, eps: float = 1e-5) -> Tensor:
    """Over any axes (tinygrad's name)."""
    return _standard(x, (axis,) if isinstance(axis, int) else axis, eps)


def rms_norm(
    x: Tensor, normalized_shape: int | Sequence[int] | None = None, weight: Tensor | None = None,
    eps: float = 2.0**-23,
) -> Tensor:  # fmt: skip
    """The last axes brought to a mean square of 1 (Zhang and Sennrich 2019)."""
    axes, shape = _last_axes(x, normalized_shape)
    return _scaled(_standard(x, axes, eps, is_centred=False), weight, None, shape)


def _last_axes(x: Tensor, shape: int | Sequence[int] | None) -> tuple[range, tuple[int, ...]]:
    named = x.shape[-1:] if shape is None else (shape,) if isinstance(shape, int) else tuple(shape)
    if x.shape[-len(named) :] != named:
        raise UsageError(f"{x} does not end with the shape {named} that is to be normalised")
    return range(-len(named), 0), named


def group_norm(
    x: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:  # fmt: skip
    """(n, channels, *axes), over groups of channels and all axes, image by image."""
    y = _standard(x.reshape(len(x), num_groups, -1), (2,), eps).reshape(x.shape)
    return _scaled(y, weight, bias, (-1, *[1] * (x.ndim - 2)))


def instance_norm(
    x: Tensor, running_mean: Tensor | None = None, running_var: Tensor | None = None,
    weight: Tensor | None = None, bias: Tensor | None = None, use_input_stats: bool = True, *,
    eps: float = 1e-5,
) -> Tensor:  # fmt: skip
    """Every channel of every image for itself, or by the running statistics."""
    if not use_input_stats:
        return batch_norm(x, running_mean, running_var, weight, bias, eps=eps)
    return group_norm(x, x.shape[1], weight, bias, eps)


def batch_norm(
    x: Tensor, running_mean: Tensor | None = None, running_var: Tensor | None = None,
    weight: Tensor | None = None, bias: Tensor | None = None, training: bool = False,
    momentum: float = 0.1, eps: float = 1e-5,
) -> Tensor:  # fmt: skip
    """Each channel (axis 1) by its own statistics in training, by the running ones otherwise.

    In training the running ones change to `running_statistics`.
    """
    shape = (-1, *[1] * (x.ndim - 2))
    if training or running_mean is None or running_var is None:
        y = _standard(x, (0, *range(2, x.ndim)), eps)
        if running_mean is not None and running_var is not None:
            new = running_statistics(x, running_mean, running_var, momentum)
            running_mean.become(new[0]), running_var.become(new[1])
    else:
        y = (x - running_mean.reshape(*shape)) / (running_var.reshape(*shape) + eps).sqrt()
    return _scaled(y, weight, bias, shape)


def running_statistics(
    x: Tensor, mean: Tensor, var: Tensor, momentum: float = 0.1
) -> tuple[Tensor, Tensor]:
    """The running mean and variance after a batch of which they take the share `momentum`."""
    axes, x, kept = (0, *range(2, x.ndim)), x.detach(), 1.0 - momentum
    return mean * kept + x.mean(axes) * momentum, var * kept + x.var(axes) * momentum


def batchnorm(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, mean: Tensor, invstd: Tensor,
    axis: int | tuple[int, ...] = 1,
) -> Tensor:  # fmt: skip
    """(x - mean) * invstd * weight + bias, each along an axis (tinygrad's name)."""
    along = (axis,) if isinstance(axis, int) else axis
    shape = [n if a in along else 1 for a, n in enumerate(x.shape)]
    return _scaled((x - mean.reshape(shape)) * invstd.reshape(shape), weight, bias, shape)


def normalize(x: Tensor, p: float = 2.0, axis: int = 1, eps: float = 1e-12) -> Tensor:
    """Divided by its p-norm along an axis, or by eps if that is larger."""
    if p == 2.0:
        return x / x.square().sum(axis, True).clamp(eps * eps).sqrt()
    return x / norm(x, p, axis, True).clamp(eps)


def local_response_norm(
    x: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Tensor:
    """Divided by (k + alpha * the mean square of so many neighbouring channels) ** beta."""
    squares = x.square().movedim(1, -1).pad((size // 2, (size - 1) // 2))
    return x / (squares.unfold(-1, size, 1).mean(-1).movedim(-1, 1) * alpha + k).pow(beta)


dropout1d = dropout3d = dropout2d
follow_torch(globals(), changing={"engine.activations"})
