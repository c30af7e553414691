"""Functions of tensors, named as in torch.nn.functional; most are methods of Tensor, too."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf, sqrt
from typing import TYPE_CHECKING

from engine import folds
from engine.activations import *  # noqa: F403
from engine.activations import softmax
from engine.convolution import *  # noqa: F403
from engine.dtypes import DType
from engine.errors import UsageError
from engine.losses import *  # noqa: F403
from engine.normalisation import *  # noqa: F403
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

    `scale` is 1 / sqrt(width) by default. A BOOL mask names the pairs that count (if none, the
    result is 0); any other is added. `is_causal` lets place i see places up to i. `enable_gqa` lets
    several heads (axis -3) share one of key and value. `dropout_p` is for the weights, always.
    """
    if is_causal and attn_mask is not None:
        raise UsageError("attention takes attn_mask or is_causal, not both: join the masks")
    if enable_gqa:
        key, value = (_shared(tensor, x.shape[-3]) for tensor in (key, value))
    scores = (x @ key.transpose(-2, -1)) * (1 / sqrt(x.shape[-1]) if scale is None else scale)
    if is_causal:
        rows, columns = scores.shape[-2:]
        is_later = x.arange(columns) > x.arange(rows).unsqueeze(1)
        scores = is_later.where(-inf, scores)
    if attn_mask is None:
        weights = softmax(scores)
    elif attn_mask.dtype is not DType.BOOL:
        weights = softmax(scores + attn_mask)
    else:
        weights = softmax(attn_mask.where(scores, -inf))
        weights = attn_mask.any(-1, True).where(weights, 0.0)
    return weights.dropout(dropout_p, True, dropout_key) @ value


def _shared(x: Tensor, heads: int) -> Tensor:
    """Each head (axis -3) for several in a row."""
    *lead, found, places, width = x.shape
    several = (*lead, found, heads // found, places, width)
    return x.unsqueeze(-3).expand(several).reshape(*lead, heads, places, width)


def embedding(index: Tensor, table: Tensor) -> Tensor:
    """Rows of a table by INT32 index; zeros where it is out of range."""
    return type(table).of(folds.rows(table.value, index.value))


def dropout(x: Tensor, p: float, uniform: Tensor) -> Tensor:
    """0 where a number from 0 to 1, drawn for each element, is below p; the rest over 1 - p."""
    return (uniform >= p).where(x * (1.0 / (1.0 - p)) if p < 1.0 else 0.0, 0.0)


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
