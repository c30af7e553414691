"""Where intermediate tensors lie in memory: offsets in arenas, from sizes and lifetimes alone.

Largest first, each tensor takes the smallest gap between those that are alive with it (best fit by
size and lifetime; Pisarchyk and Lee, "Efficient memory management for deep neural net inference",
2020). A Program of very many tensors is planned in portions, the largest tensors first.
"""

from bisect import insort
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

PORTION = 512
"""Tensors planned with each other: the time grows with the square."""


@dataclass(frozen=True, slots=True, order=True)
class Lifetime:
    """The first and last kernel that needs a tensor, and its bytes."""

    first: int
    last: int
    size: int


@dataclass(frozen=True, slots=True)
class Plan:
    """The (arena, offset) of each tensor, and the bytes of each arena."""

    places: dict[int, tuple[int, int]]
    arenas: tuple[int, ...]


def lifetimes(kernels: Sequence[Sequence[int]], sizes: Mapping[int, int]) -> dict[int, Lifetime]:
    """Of the tensors in `sizes`, given the tensors that each kernel reads or writes."""
    found: dict[int, Lifetime] = {}
    for at, used in enumerate(kernels):
        for i in used:
            if i in sizes:
                found[i] = Lifetime(found[i].first if i in found else at, at, sizes[i])
    return found


def live_bytes_max(tensors: Mapping[int, Lifetime]) -> int:
    """The most bytes that are alive at once: no plan takes less."""
    change: dict[int, int] = {}
    for t in tensors.values():
        change[t.first] = change.get(t.first, 0) + t.size
        change[t.last + 1] = change.get(t.last + 1, 0) - t.size
    live = most = 0
    for at in sorted(change):
        live += change[at]
        most = max(most, live)
    return most


def plan(tensors: Mapping[int, Lifetime], alignment: int, arena_bytes_max: int) -> Plan:
    """Places at multiples of `alignment`; two tensors that are alive at once never overlap.

    No arena is larger than `arena_bytes_max` unless a single tensor is.
    """
    largest_first = sorted(tensors, key=lambda i: (-tensors[i].size, tensors[i].first, i))
    places: dict[int, tuple[int, int]] = {}
    arenas: list[int] = []
    for start in range(0, len(largest_first), PORTION):
        waiting = largest_first[start : start + PORTION]
        while waiting:
            end, waiting = _fill(waiting, tensors, alignment, arena_bytes_max, places, len(arenas))
            arenas.append(end)
    return Plan(places, tuple(arenas))


def _fill(
    waiting: Sequence[int],
    tensors: Mapping[int, Lifetime],
    alignment: int,
    bytes_max: int,
    places: dict[int, tuple[int, int]],
    arena: int,
) -> tuple[int, list[int]]:
    """Fill one arena: (its bytes, the tensors that did not fit)."""
    taken: list[tuple[int, int, Lifetime]] = []  # start, end, lifetime; sorted
    left: list[int] = []
    size = 0
    for i in waiting:
        tensor = tensors[i]
        offset = _best_gap(taken, tensor)
        end = offset + -(-tensor.size // alignment) * alignment
        if taken and end > bytes_max:
            left.append(i)
            continue
        insort(taken, (offset, end, tensor))
        places[i] = (arena, offset)
        size = max(size, end)
    return size, left


def _best_gap(taken: Sequence[tuple[int, int, Lifetime]], tensor: Lifetime) -> int:
    """The offset of the smallest gap that is large enough, else the end."""
    best, best_size, free_from = -1, 0, 0
    for start, end, other in taken:
        if other.first > tensor.last or other.last < tensor.first:
            continue
        gap = start - free_from
        if gap >= tensor.size and (best < 0 or gap < best_size):
            best, best_size = free_from, gap
        free_from = max(free_from, end)
    return best if best >= 0 else free_from
