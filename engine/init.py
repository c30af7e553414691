"""First values of parameters, by the formulas of torch.nn.init.

They are drawn from a numpy generator if one is given, else from the stream of `Tensor.rand`, which
`manual_seed` restarts; it starts the same in every process.
"""

from collections.abc import Callable, Sequence
from functools import wraps
from math import prod, sqrt
from typing import Any

import numpy as np

from engine.drawing import manual_seed
from engine.errors import UsageError
from engine.tensor import Tensor

Rng = np.random.Generator | None

__all__ = ["manual_seed"]


def uniform(shape: Sequence[int], low: float = 0.0, high: float = 1.0, rng: Rng = None) -> Tensor:
    """A parameter drawn evenly from low to high."""
    sizes = tuple(shape)
    drawn = rng.uniform(low, high, sizes) if rng else Tensor.uniform(sizes, low=low, high=high)
    return Tensor(np.asarray(drawn), requires_grad=True)


def normal(shape: Sequence[int], mean: float = 0.0, std: float = 1.0, rng: Rng = None) -> Tensor:
    """A parameter drawn from the normal distribution."""
    sizes = tuple(shape)
    drawn = rng.normal(mean, std, sizes) if rng else Tensor.normal(sizes, mean=mean, std=std)
    return Tensor(np.asarray(drawn), requires_grad=True)


def xavier_uniform(shape: Sequence[int], gain: float = 1.0, rng: Rng = None) -> Tensor:
    """Evenly within gain * sqrt(6 / (inputs + outputs)) (Glorot and Bengio 2010)."""
    bound = gain * sqrt(6.0 / sum(_fans(shape)))
    return uniform(shape, -bound, bound, rng)


def xavier_normal(shape: Sequence[int], gain: float = 1.0, rng: Rng = None) -> Tensor:
    """Normal with deviation gain * sqrt(2 / (inputs + outputs))."""
    return normal(shape, 0.0, gain * sqrt(2.0 / sum(_fans(shape))), rng)


def kaiming_uniform(
    shape: Sequence[int], a: float = 0.0, rng: Rng = None, *, mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
) -> Tensor:  # fmt: skip
    """Evenly, for layers before a leaky ReLU of slope a (He et al. 2015)."""
    bound = sqrt(3.0 * _variance(shape, a, mode, nonlinearity))
    return uniform(shape, -bound, bound, rng)


def kaiming_normal(
    shape: Sequence[int], a: float = 0.0, rng: Rng = None, *, mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
) -> Tensor:  # fmt: skip
    """Normal, for layers before a leaky ReLU of slope a."""
    return normal(shape, 0.0, sqrt(_variance(shape, a, mode, nonlinearity)), rng)


def _variance(shape: Sequence[int], a: float, mode: str, nonlinearity: str) -> float:
    return _gain2(nonlinearity, a) / _fans(shape)[mode == "fan_out"]


def calculate_gain(nonlinearity: str, param: float = 0.01) -> float:
    """What a weight's deviation is multiplied by before a nonlinearity."""
    return sqrt(_gain2(nonlinearity, param))


def _gain2(nonlinearity: str, param: float) -> float:
    leaky = 2.0 / (1.0 + param * param)
    return {"tanh": 25 / 9, "relu": 2.0, "leaky_relu": leaky, "selu": 9 / 16}.get(nonlinearity, 1.0)


def constant_(tensor: Tensor, value: float) -> Tensor:
    """Every element one number."""
    return tensor.assign(tensor.full_like(value))


def zeros_(tensor: Tensor) -> Tensor:
    """Zeros."""
    return constant_(tensor, 0.0)


def ones_(tensor: Tensor) -> Tensor:
    """Ones."""
    return constant_(tensor, 1.0)


def eye_(tensor: Tensor) -> Tensor:
    """Ones on the diagonal of a matrix, zeros elsewhere."""
    return tensor.assign(Tensor.eye(tensor.shape[0], tensor.shape[1]))


def _in_place(draw: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """torch's function of this name and "_": the first values are given to a tensor."""

    @wraps(draw)
    def method(tensor: Tensor, *arguments: float, **options: Any) -> Tensor:
        return tensor.assign(draw(tensor.shape, *arguments, **options))

    return method


uniform_, normal_ = _in_place(uniform), _in_place(normal)
xavier_uniform_, xavier_normal_ = _in_place(xavier_uniform), _in_place(xavier_normal)
kaiming_uniform_, kaiming_normal_ = _in_place(kaiming_uniform), _in_place(kaiming_normal)


def _fans(shape: Sequence[int]) -> tuple[int, int]:
    """Inputs and outputs of one place, for weights (outputs, inputs, *size)."""
    if len(shape) < 2:
        raise UsageError(f"shape {tuple(shape)} has no inputs and outputs: it needs two axes")
    return shape[1] * prod(shape[2:]), shape[0] * prod(shape[2:])
