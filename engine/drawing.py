"""Tensors of random numbers, by a key or from one stream that `manual_seed` restarts.

The stream counts draws: draw number n uses split(key_of(seed), n). A Program would draw the same
numbers in each of its runs, so a traced function must be given its key, and splits it for each
draw. A key is a UINT32 tensor of shape (2,), or an integer for the key of that seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, prod, sqrt
from typing import TYPE_CHECKING, TypeAlias

from engine import elementwise as e
from engine import graph, random
from engine.errors import TraceError, UsageError
from engine.graph import Value
from engine.movement import integers
from engine.realize import is_tracing
from engine.sorting import topk

if TYPE_CHECKING:
    from engine.tensor import Tensor

Sizes: TypeAlias = int | Sequence[int]
Key: TypeAlias = Value | int | None

_state = [0, 0]  # the seed, and how often was drawn


def manual_seed(seed: int = 0) -> None:
    """Restart the stream; 0 <= seed < 2**64, and 0 before the first call."""
    random.key_of(seed)  # refuses what is no seed
    _state[:] = [seed, 0]


def _key(key: Key) -> Value:
    if key is not None:
        return random.key_of(key) if isinstance(key, int) else key
    if is_tracing():
        raise TraceError(
            "a Program would draw the same numbers in each of its runs; pass a key (UINT32, shape "
            "(2,)) as an input and give it, for example rand(3, key=Tensor.split_key(key, 1))"
        )
    _state[1] += 1
    return random.split(random.key_of(_state[0]), _state[1])


def split_key(key: Key, number: Value | int) -> Value:
    """Another key for each number; it may be a scalar tensor, like the step of a training run."""
    return random.split(_key(key), number)


def _sizes(shape: Sequence[Sizes]) -> tuple[int, ...]:
    return graph.checked_shape(integers(shape))


def uniform(*shape: Sizes, low: float = 0.0, high: float = 1.0, key: Key = None) -> Value:
    """Evenly from low to below high."""
    return e.add(e.mul(rand(*shape, key=key), high - low), low)


def normal(*shape: Sizes, mean: float = 0.0, std: float = 1.0, key: Key = None) -> Value:
    """From the normal distribution."""
    return e.add(e.mul(randn(*shape, key=key), std), mean)


def rand(*shape: Sizes, key: Key = None) -> Value:
    """Evenly from 0 to below 1."""
    return random.uniform(_key(key), _sizes(shape))


def randn(*shape: Sizes, key: Key = None) -> Value:
    """From the normal distribution with mean 0 and deviation 1."""
    return random.normal(_key(key), _sizes(shape))


def randint(*shape: Sizes, low: int = 0, high: int = 10, key: Key = None) -> Value:
    """INT32 from low to high - 1; torch's randint(low, high, shape) is understood, too."""
    if shape and not isinstance(shape[-1], int):
        *bounds, shape_ = shape
        low, high = [0, *integers(bounds)][-2:]
        shape = (shape_,)
    return random.integers(_key(key), low, high, _sizes(shape))


def scaled_uniform(*shape: Sizes, key: Key = None) -> Value:
    """Evenly within 1 / sqrt(the number of elements)."""
    bound = max(prod(_sizes(shape)), 1) ** -0.5
    return uniform(*shape, low=-bound, high=bound, key=key)


def glorot_uniform(*shape: Sizes, key: Key = None) -> Value:
    """Evenly within sqrt(6 / (first dimension + the others)) (Glorot and Bengio 2010)."""
    sizes = _sizes(shape)
    bound = sqrt(6 / max(sizes[0] + prod(sizes[1:]), 1))
    return uniform(sizes, low=-bound, high=bound, key=key)


def kaiming_uniform(*shape: Sizes, a: float = 0.01, key: Key = None) -> Value:
    """Evenly within sqrt(3) deviations of `kaiming_normal` (He et al. 2015)."""
    bound = sqrt(3) * _deviation(shape, a)
    return uniform(*shape, low=-bound, high=bound, key=key)


def kaiming_normal(*shape: Sizes, a: float = 0.01, key: Key = None) -> Value:
    """Normal, with deviation sqrt(2 / (1 + a * a) / all but the first dimension)."""
    return normal(*shape, std=_deviation(shape, a), key=key)


def _deviation(shape: Sequence[Sizes], a: float) -> float:
    return sqrt(2 / (1 + a * a) / max(prod(_sizes(shape)[1:]), 1))


# Methods


def bernoulli(x: Tensor, key: Tensor | int | None = None) -> Tensor:
    """1 with the probability that each element gives, else 0."""
    return (x.rand(x.shape, key=key) < x).cast(x.dtype)


def multinomial(
    x: Tensor, num_samples: int = 1, replacement: bool = False, key: Tensor | int | None = None
) -> Tensor:
    """INT32 places along the last axis, drawn with these weights; twice only with replacement."""
    if not replacement and num_samples > x.shape[-1]:
        raise UsageError(f"cannot draw {num_samples} of {x.shape[-1]} without replacement")
    rows = (*x.shape[:-1], num_samples if replacement else 1, x.shape[-1])
    weights = x.float().unsqueeze(-2).expand(rows)
    # The first of arrivals with these rates comes from each with its share of the rates.
    arrival = (1.0 - x.rand(rows, key=key)).log() / weights
    order = (weights > 0).where(arrival, -inf)
    return order.argmax(-1) if replacement else topk(order.squeeze(-2), num_samples).indices
