"""Which endpoint is asked next: a record of who answered and who did not.

Pure but for the clock that it is given. The one that answered last is preferred. One that failed
rests, longer each time, and is asked again before that only if no other is left.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

REST_FIRST_S = 0.5
REST_MAX_S = 60.0


@dataclass(frozen=True, slots=True)
class EndpointHealth:
    """What people see of one endpoint. `failures` in a row; `problem` is empty if it answers."""

    name: str
    in_use: bool
    failures: int
    problem: str


@dataclass(slots=True)
class _Record:
    name: str
    failures: int = 0
    problem: str = ""
    rests_until_s: float = 0.0


class Endpoints:
    """The endpoints called `names`, by index. Safe to use from several threads."""

    def __init__(self, names: Sequence[str], now_s: Callable[[], float]) -> None:
        self._records = [_Record(name) for name in names]
        self._now_s = now_s
        self._preferred = 0
        self._lock = threading.Lock()

    def order(self) -> list[int]:
        """All of them: the preferred one first, those that rest last, the first to wake ahead."""
        with self._lock:
            count, now_s = len(self._records), self._now_s()
            turn = [(self._preferred + step) % count for step in range(count)]
            return sorted(turn, key=lambda i: max(0.0, self._records[i].rests_until_s - now_s))

    def answered(self, index: int) -> None:
        """It gave a usable answer and is asked first from now on."""
        with self._lock:
            self._preferred = index
            record = self._records[index]
            record.failures, record.problem, record.rests_until_s = 0, "", 0.0

    def failed(self, index: int, problem: str, rest_s: float = 0.0) -> None:
        """It gave no usable answer; it asked to be left alone for `rest_s`, if that is not 0."""
        with self._lock:
            record = self._records[index]
            record.failures, record.problem = record.failures + 1, problem
            pause_s = REST_FIRST_S * 2.0 ** min(record.failures - 1, 10)
            record.rests_until_s = self._now_s() + min(max(pause_s, rest_s), REST_MAX_S)

    def health(self) -> tuple[EndpointHealth, ...]:
        """Each of them, in the order of the configuration."""
        with self._lock:
            return tuple(
                EndpointHealth(each.name, i == self._preferred, each.failures, each.problem)
                for i, each in enumerate(self._records)
            )
