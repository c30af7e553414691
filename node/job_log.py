"""The chain's events about one job, in order: all of them, or what its coordinator follows.

A command that explains what is over reads the chain and keeps everything for as long as it runs. A
node that runs for years keeps what the facts of node/chain_facts.py are made of, of the rounds that
are not final and the last few that are: a job of a million rounds takes no more room than a short
one.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import overload

from node.chain import events as on_chain
from node.chain.events import Event, Place
from scheduler.terms import ROUNDS_AHEAD_MAX

FINAL_ROUNDS = ROUNDS_AHEAD_MAX
"""How many final rounds stay: a coordinator whose journal is good has none under way before them.
"""

_LASTING = (on_chain.JobCancelled, on_chain.DataCharged)
"""Once per job, and of no round."""

_FOLLOWED = (
    *_LASTING,
    on_chain.RoundCommitted,
    on_chain.RoundAnchored,
    on_chain.AnchorsWithdrawn,
    on_chain.RoundFinalized,
    on_chain.UnitDrawn,
    on_chain.AuditCommitted,
    on_chain.UnitOpened,
    on_chain.UnitPassed,
    on_chain.UnitVerified,
    on_chain.UnitDisputed,
    on_chain.UnitFaulted,
    on_chain.UnitVoided,
)


@dataclass(slots=True)
class JobLog(Sequence[Event]):
    """One job's events; of rounds before `first_round` there are none. Equal if all of it is."""

    is_whole: bool = False
    first_round: int = field(default=0, init=False)
    _events: list[Event] = field(default_factory=list, init=False)
    _rounds: list[int | None] = field(default_factory=list, init=False)

    def add(self, event: Event, round: int) -> None:
        """Take the next event, which is about this round or happened while it was the oldest."""
        if self.is_whole or isinstance(event, _FOLLOWED):
            self._events.append(event)
            self._rounds.append(None if isinstance(event, _LASTING) else round)

    def forget_final(self, open_round: int) -> None:
        """Forget what nobody follows any more, given the oldest round that is not final."""
        first = max(0, open_round - FINAL_ROUNDS)
        if self.is_whole or first <= self.first_round:
            return
        self.first_round = first
        kept = [i for i, round in enumerate(self._rounds) if round is None or round >= first]
        self._events = [self._events[i] for i in kept]
        self._rounds = [self._rounds[i] for i in kept]

    def since(self, place: Place | None) -> Sequence[Event]:
        """The events after a place on the chain, or all that there are."""
        if place is None:
            return tuple(self._events)
        return self._events[bisect_right(self._events, place, key=lambda event: event.place) :]

    def __len__(self) -> int:
        return len(self._events)

    @overload
    def __getitem__(self, index: int) -> Event: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Event]: ...
    def __getitem__(self, index: int | slice) -> Event | Sequence[Event]:
        return self._events[index]
