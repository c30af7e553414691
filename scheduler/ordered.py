"""Keys in the order of a rank: the one kind of index that the state machine has.

Rules in scheduler/round.py and scheduler/state.py say which rows have which rank; a row without a
rank is not listed. Finding a place takes a binary search. To make room there, a list moves its
pointers, one block of 8 bytes for each key: a few microseconds with as many as a table may have.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator
from typing import Generic, TypeVar

K = TypeVar("K", bound=int | str)


class Ordered(Generic[K]):
    """Keys sorted by (rank, key); each key at most once."""

    __slots__ = ("_ranks", "_sorted")

    def __init__(self) -> None:
        self._ranks: dict[K, int] = {}
        self._sorted: list[tuple[int, K]] = []

    def put(self, key: K, rank: int | None) -> None:
        """List the key under this rank instead of its old one; None: not at all."""
        old = self._ranks.get(key)
        if old == rank:
            return
        if old is not None:
            del self._sorted[bisect_left(self._sorted, (old, key))]
            del self._ranks[key]
        if rank is not None:
            self._ranks[key] = rank
            insort(self._sorted, (rank, key))

    def first(self) -> K | None:
        """The key of the lowest rank, if there is any."""
        return self._sorted[0][1] if self._sorted else None

    def due(self, rank: int) -> K | None:
        """The key of the lowest rank, if that is at most this one."""
        return self._sorted[0][1] if self._sorted and self._sorted[0][0] <= rank else None

    def below(self, rank: int) -> int:
        """How many keys have a lower rank."""
        return bisect_left(self._sorted, rank, key=lambda pair: pair[0])

    def up_to(self, rank: int) -> Iterator[K]:
        """The keys of ranks up to this one, lowest first."""
        for at in range(bisect_right(self._sorted, rank, key=lambda pair: pair[0])):
            yield self._sorted[at][1]

    def __contains__(self, key: K) -> bool:
        return key in self._ranks

    def __iter__(self) -> Iterator[K]:
        return (key for _, key in self._sorted)

    def __len__(self) -> int:
        return len(self._sorted)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ordered) and self._sorted == other._sorted

    __hash__ = None  # type: ignore[assignment]
