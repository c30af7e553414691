"""First values of parameters, by the formulas of torch.nn.init.

They are drawn from a numpy generator if one is given, else from the stream of `Tensor.rand`, which
`manual_seed` restarts; it starts the same in every process.
"""

from collections.abc import Sequence
from math import prod, sqrt

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


def kaiming_uniform(shape: Sequence[int], a: float = 0.0, rng: Rng = None) -> Tensor:
    """Evenly, for layers before a leaky ReLU of slope a (He et al. 2015)."""
    bound = sqrt(6.0 / ((1.0 + a * a) * _fans(shape)[0]))
    return uniform(shape, -bound, bound, rng)


def kaiming_normal(shape: Sequence[int], a: float = 0.0, rng: Rng = None) -> Tensor:
    """Normal, for layers before a leaky ReLU of slope a."""
    return normal(shape, 0.0, sqrt(2.0 / ((1.0 + a * a) * _fans(shape)[0])), rng)


def _fans(shape: Sequence[int]) -> tuple[int, int]:
    """Inputs and outputs of one place, for weights (outputs, inputs, *size)."""
    if len(shape) < 2:
        raise UsageError(f"shape {tuple(shape)} has no inputs and outputs: it needs two axes")
    return shape[1] * prod(shape[2:]), shape[0] * prod(shape[2:])
