"""Our own hello, signed anew only when there is something to say.

Every peer hands a newer hello on to all that it knows, so a hello that says the same again costs
the whole network. New addresses, and a first speed, are told at once; another speed after a while;
the rest once in a quarter of a day, so that nobody forgets us.
"""

from collections.abc import Callable, Sequence

from node.peers import Hello

RENEW_S = 6 * 3600.0
SPEED_AFTER_S = 600.0
SPEED_CHANGE = 1.25
"""A speed that differs by less than this factor is not worth telling."""


class OwnHello:
    """Calling it gives our hello. `now` is any clock that only goes forward, in seconds."""

    def __init__(
        self,
        make: Callable[[Sequence[str], int], Hello],
        addresses: Callable[[], Sequence[str]],
        mflops: Callable[[], int],
        now: Callable[[], float],
    ) -> None:
        self._make, self._addresses, self._mflops, self._now = make, addresses, mflops, now
        self._kept: Hello | None = None
        self._facts: tuple[Sequence[str], int] = ((), 0)
        self._made_at_s = 0.0

    def __call__(self) -> Hello:
        """The hello as it was told last, or a new one."""
        facts = (tuple(self._addresses()), self._mflops())
        if self._kept is None or self._is_news(*facts):
            self._kept = self._make(*facts)
            self._facts, self._made_at_s = facts, self._now()
        return self._kept

    def _is_news(self, addresses: Sequence[str], mflops: int) -> bool:
        age_s = self._now() - self._made_at_s
        told_addresses, told = self._facts
        faster, slower = max(mflops, told), min(mflops, told)
        return (
            addresses != told_addresses
            or age_s > RENEW_S
            or (faster > 0 == slower)
            or (age_s > SPEED_AFTER_S and faster > SPEED_CHANGE * slower)
        )
