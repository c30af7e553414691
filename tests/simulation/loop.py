"""Simulated time: a queue of actions, one seeded source of chance, and coroutines that wait in it.

The node's own coroutines run here without trio: what they await is a `Suspend`, which the loop
resumes later with a value or an error.
"""

from collections.abc import Callable, Coroutine, Generator
from heapq import heappop, heappush
from itertools import count
from random import Random
from typing import Any

START_MS = 1_700_000_000_000
Resume = Callable[[Any, BaseException | None], None]


class Suspend:
    """What a simulated coroutine awaits; `begin` is given what to call with the outcome."""

    def __init__(self, begin: Callable[[Resume], None]) -> None:
        self.begin = begin

    def __await__(self) -> Generator["Suspend", Any, Any]:
        return (yield self)


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

    def sleep(self, delay_ms: int) -> Suspend:
        """What a coroutine awaits to go on later."""
        return Suspend(lambda resume: self.after(delay_ms, lambda: resume(None, None)))

    def drive(self, coroutine: Coroutine[Any, Any, None], alive: Callable[[], bool]) -> None:
        """Run a coroutine to its end, or until its process is dead."""

        def step(value: object, error: BaseException | None) -> None:
            if not alive():
                coroutine.close()
                return
            try:
                waits = coroutine.send(value) if error is None else coroutine.throw(error)
            except StopIteration:
                return
            waits.begin(step)

        step(None, None)

    def run(self, done: Callable[[], bool], limit_ms: int) -> None:
        """Run until `done` or until `limit_ms` have passed since the start."""
        while self._queue and not done() and self.elapsed_ms < limit_ms:
            self.now_ms, _, action = heappop(self._queue)
            action()
