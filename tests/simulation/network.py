"""A double of the network: messages are late, lost, doubled, overtaken, or cannot pass at all.

Each direction between two nodes has a delay of its own. A partition parts the nodes into two sides
for a while; one of them may also lose sight of the chain.
"""

from collections import Counter
from collections.abc import Callable, Sequence

from tests.simulation.faults import Weather
from tests.simulation.loop import Loop

LOOK_MS = 2_000
CUT_MS_MAX = 25_000


class Network:
    def __init__(self, loop: Loop, weather: Callable[[], Weather], faults: Counter[str]) -> None:
        self.loop, self.weather, self.faults = loop, weather, faults
        self.names: Sequence[str] = ()
        self._apart: frozenset[str] = frozenset()
        self._blind: frozenset[str] = frozenset()
        self._until_ms = 0
        self._share: dict[tuple[str, str], float] = {}
        loop.every(LOOK_MS, self._look)

    def reaches(self, source: str, target: str) -> bool:
        return (source in self._apart) == (target in self._apart)

    def sees_chain(self, name: str) -> bool:
        return name not in self._blind

    def send(self, source: str, target: str, deliver: Callable[[], None]) -> None:
        """Deliver later: once, twice or never."""
        weather, chance = self.weather(), self.loop.random.random
        if not self.reaches(source, target) or chance() < weather.loss:
            self.faults["messages lost"] += 1
            return
        copies = 1 + (chance() < weather.duplicate)
        self.faults["messages doubled"] += copies - 1
        for _ in range(copies):
            self.loop.after(
                self._delay_ms(source, target), lambda: self._arrive(source, target, deliver)
            )

    def _arrive(self, source: str, target: str, deliver: Callable[[], None]) -> None:
        if self.reaches(source, target):
            deliver()

    def _delay_ms(self, source: str, target: str) -> int:
        link = (source, target)
        if link not in self._share:
            self._share[link] = self.loop.random.random()
        longest = 5 + int(self.weather().delay_ms * self._share[link])
        return self.loop.random.randrange(longest // 4, longest + 1)

    def _look(self) -> None:
        weather = self.weather()
        if self._apart and (self.loop.now_ms >= self._until_ms or not weather.partition):
            self._apart = self._blind = frozenset()
        elif not self._apart and self.loop.random.random() < weather.partition:
            self.faults["partitions"] += 1
            side = [name for name in self.names if self.loop.random.random() < 0.4]
            self._apart = frozenset(side)
            self._blind = frozenset(side if self.loop.random.random() < 0.5 else ())
            self._until_ms = self.loop.now_ms + self.loop.random.randrange(CUT_MS_MAX)
