"""Normalisation: mean 0 and variance 1 over some axes, then a scale and a shift; as in torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from engine import elementwise as e
from engine import folds, graph
from engine.errors import UsageError
from engine.graph import Value

if TYPE_CHECKING:
    from engine.tensor import Tensor


def _standard(x: Tensor, axes: Sequence[int], eps: float, is_centred: bool = True) -> Tensor:
    """Brought to a mean square of 1 over the axes, after a mean of 0 if it is centred."""
    value = e.to_float(x.value)
    distance = e.sub(value, folds.mean(value, axes, True)) if is_centred else value
    size = e.sqrt(e.add(folds.mean(e.mul(distance, distance), axes, True), eps))

    def rule(g: Value, y: Value) -> tuple[Value]:
        """Without the parts of g that change the mean and the mean square."""
        rest = e.sub(g, e.mul(y, folds.mean(e.mul(g, y), axes, True)))
        return (e.div(e.sub(rest, folds.mean(g, axes, True)) if is_centred else rest, size),)

    return type(x).of(graph.custom(e.div(distance, size), rule, value))


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
    x: Tensor, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    """Every channel of every image for itself."""
    return group_norm(x, x.shape[1], weight, bias, eps)


def batch_norm(
    x: Tensor, running_mean: Tensor | None = None, running_var: Tensor | None = None,
    weight: Tensor | None = None, bias: Tensor | None = None, training: bool = False,
    eps: float = 1e-5,
) -> Tensor:  # fmt: skip
    """Each channel (axis 1) by its own statistics in training, by the running ones otherwise.

    The running ones do not change here: `running_statistics` says what they become.
    """
    shape = (-1, *[1] * (x.ndim - 2))
    if training or running_mean is None or running_var is None:
        y = _standard(x, _not_channels(x), eps)
    else:
        y = (x - running_mean.reshape(*shape)) / (running_var.reshape(*shape) + eps).sqrt()
    return _scaled(y, weight, bias, shape)


def running_statistics(
    x: Tensor, mean: Tensor, var: Tensor, momentum: float = 0.1
) -> tuple[Tensor, Tensor]:
    """The running mean and variance after a batch of which they take the share `momentum`."""
    axes, x = _not_channels(x), x.detach()
    new = x.mean(axes), x.var(axes)
    kept = 1.0 - momentum
    return mean * kept + new[0] * momentum, var * kept + new[1] * momentum


def _not_channels(x: Tensor) -> tuple[int, ...]:
    return (0, *range(2, x.ndim))


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
        size = x.square().sum(axis, True).clamp(eps * eps).sqrt()
    else:
        size = ((x.abs() ** p).sum(axis, True) ** (1.0 / p)).clamp(eps)
    return x / size
