"""Tensors of random numbers, by a key or from one stream that `manual_seed` restarts.

The stream counts draws: draw number n uses split(key_of(seed), n). A Program would draw the same
numbers in each of its runs, so a traced function must be given its key.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod, sqrt
from typing import TYPE_CHECKING, TypeAlias

from engine import elementwise as e
from engine import random
from engine.errors import TraceError
from engine.graph import Value
from engine.movement import integers
from engine.realize import is_tracing

if TYPE_CHECKING:
    from engine.tensor import Tensor

Sizes: TypeAlias = int | Sequence[int]
Key: TypeAlias = "Tensor | None"

_state = [0, 0]  # the seed, and how often was drawn


def manual_seed(seed: int = 0) -> None:
    """Restart the stream; 0 <= seed < 2**64, and 0 before the first call."""
    _state[:] = [seed, 0]


def _key(key: Key) -> Value:
    if key is not None:
        return key.value
    if is_tracing():
        raise TraceError(
            "a traced function draws the same numbers in each run of its Program; pass a key "
            "(UINT32, shape (2,)) as an input, and give it: Tensor.rand(..., key=key)"
        )
    _state[1] += 1
    return random.split(random.key_of(_state[0]), _state[1])


def uniform(*shape: Sizes, low: float = 0.0, high: float = 1.0, key: Key = None) -> Value:
    """Evenly from low to below high."""
    return e.add(e.mul(random.uniform(_key(key), integers(shape)), high - low), low)


def normal(*shape: Sizes, mean: float = 0.0, std: float = 1.0, key: Key = None) -> Value:
    """From the normal distribution."""
    return e.add(e.mul(random.normal(_key(key), integers(shape)), std), mean)


def rand(*shape: Sizes, key: Key = None) -> Value:
    """Evenly from 0 to below 1."""
    return random.uniform(_key(key), integers(shape))


def randn(*shape: Sizes, key: Key = None) -> Value:
    """From the normal distribution with mean 0 and deviation 1."""
    return random.normal(_key(key), integers(shape))


def randint(*shape: Sizes, low: int = 0, high: int = 10, key: Key = None) -> Value:
    """INT32 from low to high - 1; torch's randint(low, high, shape) is understood, too."""
    if shape and not isinstance(shape[-1], int):
        *bounds, shape_ = shape
        low, high = [0, *integers(bounds)][-2:]
        shape = (shape_,)
    return random.integers(_key(key), low, high, integers(shape))


def scaled_uniform(*shape: Sizes, key: Key = None) -> Value:
    """Evenly within 1 / sqrt(the number of elements)."""
    bound = prod(integers(shape)) ** -0.5
    return uniform(*shape, low=-bound, high=bound, key=key)


def glorot_uniform(*shape: Sizes, key: Key = None) -> Value:
    """Evenly within sqrt(6 / (first dimension + the others)) (Glorot and Bengio 2010)."""
    sizes = integers(shape)
    bound = sqrt(6 / (sizes[0] + prod(sizes[1:])))
    return uniform(sizes, low=-bound, high=bound, key=key)


def kaiming_uniform(*shape: Sizes, a: float = 0.01, key: Key = None) -> Value:
    """Evenly within sqrt(6 / (1 + a * a) / all but the first dimension) (He et al. 2015)."""
    bound = sqrt(6 / (1 + a * a) / prod(integers(shape)[1:]))
    return uniform(*shape, low=-bound, high=bound, key=key)


def kaiming_normal(*shape: Sizes, a: float = 0.01, key: Key = None) -> Value:
    """Normal, with deviation sqrt(2 / (1 + a * a) / all but the first dimension)."""
    return normal(*shape, std=sqrt(2 / (1 + a * a) / prod(integers(shape)[1:])), key=key)
