"""Means over slots of which one may lie: what bounds a single slot's influence on a round.

Sums are made in slot order, so that everybody finds the same bits. `counts`, BOOL (slots,), says
which slots count: those that hold nothing but numbers.
"""

from functools import reduce
from math import inf

from engine.dtypes import DType
from engine.methods import stack
from engine.sorting import sort
from engine.tensor import Tensor
from scheduler.compression import CODE_MAX

CLIP = 1.25
"""A slot's movement is scaled down to the median slot's norm times this. Honest slots of a round
hardly differ (docs/results/training.md)."""


def clipped_mean(deltas: list[Tensor]) -> tuple[Tensor, Tensor]:
    """The mean of vectors, each scaled down to CLIP times their median norm; and which counted.

    A vector whose norm is not a finite number counts for nothing. Of an even number of norms the
    median is the smaller one in the middle.
    """
    norms = stack(*(delta.square().sum().sqrt() for delta in deltas))
    counts = norms < inf
    count = counts.int().sum()
    ordered = sort(counts.where(norms, inf)).values
    middle = ordered.arange(len(deltas)) == (count - 1) // 2
    limit = middle.where(ordered, 0.0).sum() * CLIP
    shares = counts.where((limit / (norms + 1e-6)).minimum(1.0), 0.0)
    parts = [counts[i].where(delta * shares[i], 0.0) for i, delta in enumerate(deltas)]
    return reduce(Tensor.__add__, parts) / count.maximum(1).float(), counts


def trimmed_mean(codes: list[Tensor], counts: Tensor) -> Tensor:
    """The mean of the slots' codes without the largest and the smallest, where three count.

    Integers, rounded to the nearest, halves up; 0 where none counts.
    """
    used = [counts[i].where(code.int(), 0) for i, code in enumerate(codes)]
    above = [counts[i].where(code.int(), CODE_MAX) for i, code in enumerate(codes)]
    count = counts.int().sum()
    is_trimmed = count > 2
    largest = reduce(lambda a, b: a.maximum(b), used)
    smallest = reduce(lambda a, b: a.minimum(b), above)
    total = reduce(Tensor.__add__, used) - is_trimmed.where(largest + smallest, 0)
    share = is_trimmed.where(count - 2, count).maximum(1)
    return ((total * 2 + share) // (share * 2)).cast(DType.UINT8)
