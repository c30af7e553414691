"""Simulated time: a queue of actions, one seeded source of chance."""

from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from random import Random

START_MS = 1_700_000_000_000


class Loop:
    """Runs actions in the order of their times; equal seeds give equal runs."""

    def __init__(self, seed: int) -> None:
        self.now_ms = START_MS
        self.random = Random(seed)
        self._queue: list[tuple[int, int, Callable[[], None]]] = []
        self._order = count()

    @property
    def elapsed_ms(self) -> int:
        return self.now_ms - START_MS

    def after(self, delay_ms: int, action: Callable[[], None]) -> None:
        heappush(self._queue, (self.now_ms + max(0, delay_ms), next(self._order), action))

    def every(self, period_ms: int, action: Callable[[], None]) -> None:
        def again() -> None:
            action()
            self.after(period_ms, again)

        self.after(self.random.randrange(period_ms), again)

    def run(self, done: Callable[[], bool], limit_ms: int) -> None:
        """Run until `done` or until `limit_ms` have passed since the start."""
        while self._queue and not done() and self.elapsed_ms < limit_ms:
            self.now_ms, _, action = heappop(self._queue)
            action()
