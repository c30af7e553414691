"""How much of a round its workers compute, and what the rest of it is.

A round lasts from when the checkpoint before it is on the chain until its own is, as the chain is
seen without delay: final, or anchored where rounds may run ahead of audits. All times are of the
machine's monotonic clock.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, median

from node.chain import events as on_chain
from node.ledger import JobView


@dataclass(frozen=True, slots=True)
class Computed:
    """A unit or an audit that a worker computed, from `start` to `end`."""

    kind: str
    round: int
    slot: int
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class RoundTimes:
    """A round from `start` to `end`, what each worker did in it, and where it stood when.

    `begun_s`: from the start until workers began their units, the median of them; `closing_s`: from
    the end of the last unit to the round's end, of that `commit_s` until its claims were on chain.
    Computing is what fills a slot, or an audit.
    """

    round: int
    seconds: float
    computing: tuple[float, ...]
    begun_s: float
    commit_s: float
    closing_s: float

    @property
    def utilisation(self) -> float:
        """The mean of the workers' shares."""
        return mean(self.computing) / self.seconds


@dataclass(slots=True)
class Seen:
    """When things were first seen on chain. `ends`: the checkpoint after a round, anchored or
    final, whichever came first.
    """

    ends: dict[int, float] = field(default_factory=dict)
    commits: dict[int, float] = field(default_factory=dict)
    _read: int = 0

    def look(self, job: JobView, now: float) -> None:
        """Note what is new in the job's log."""
        for event in job.log[self._read :]:
            if isinstance(event, on_chain.RoundCommitted):
                self.commits[event.round] = now
            if isinstance(event, on_chain.AnchorsWithdrawn):
                self.ends = {n: at for n, at in self.ends.items() if n < event.round}
            if isinstance(event, on_chain.RoundAnchored | on_chain.RoundFinalized):
                self.ends.setdefault(event.round, now)
        self._read = len(job.log)


def read_computed(path: Path) -> Iterator[Computed]:
    """What a worker's record says, in order; what it did not finish is left out."""
    begun: dict[str, object] = {}
    for line in map(json.loads, path.read_text().splitlines() if path.exists() else ()):
        if line["event"] == "end" and begun:
            place = int(str(begun["round"])), int(str(begun["slot"]))
            times = float(str(begun["at"])), float(line["at"])
            yield Computed(str(begun["kind"]), *place, *times)
        begun = line if line["event"] == "start" else {}


def first_of_each_slot(computed: Iterable[Computed]) -> list[Computed]:
    """All audits, and of the units of a slot the one that was done first: the others were copies
    for nothing.
    """
    first: dict[object, Computed] = {}
    for one in sorted(computed, key=lambda one: one.end):
        key = one if one.kind == "audit" else (one.round, one.slot)
        first.setdefault(key, one)
    return list(first.values())


def processor_wait(processes: Iterable[int], proc: Path = Path("/proc")) -> float:
    """The share of the time in which these processes could have run that they waited for a
    processor: 0 on an idle machine. Above a half, what is measured is the machine and no link.
    """
    ran = waited = 0
    for process in processes:
        for path in (proc / str(process)).glob("task/*/schedstat"):
            part_ran, part_waited, _ = map(int, path.read_text().split())
            ran, waited = ran + part_ran, waited + part_waited
    return waited / max(1, ran + waited)


def round_times(round: int, seen: Seen, workers: Mapping[str, Sequence[Computed]]) -> RoundTimes:
    """One round that has a round before it."""
    start, end = seen.ends[round - 1], seen.ends[round]
    useful = first_of_each_slot(c for done in workers.values() for c in done)
    computing = tuple(
        sum(max(0.0, min(c.end, end) - max(c.start, start)) for c in done if c in useful)
        for done in workers.values()
    )
    units = [c for c in useful if c.kind == "unit" and c.round == round]
    last = max(unit.end for unit in units)
    return RoundTimes(
        round=round,
        seconds=end - start,
        computing=computing,
        begun_s=median(unit.start - start for unit in units),
        commit_s=seen.commits[round] - last,
        closing_s=end - last,
    )
