"""What a run cost: every second that a unit was computed, and whether anybody was paid for it.

    executed    own units and recomputations: what was finished, lost in a kill, done twice
    finalised   of these, the computations whose result the chain accepted
    audits      recomputations by the drawn auditor and the committee: what verification costs
    goodput     finalised / executed

Seconds are those of the wall while the compute worker had a unit, so peers that share a core
share its seconds too; a unit that was cut off counts until its daemon was killed.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.churn.network import Network, units_file
from node.blobs import BlobStore
from node.chain import events as on_chain
from node.chain.types import Claim
from node.ledger import JobView
from scheduler.manifest import Manifest


@dataclass(frozen=True, slots=True)
class Execution:
    """One computation of a unit by a wallet; unfinished if it was cut off."""

    wallet: str
    kind: str
    round: int
    slot: int
    seconds: float
    finished: bool


@dataclass(frozen=True, slots=True)
class Cost:
    """Unit-seconds of a run, and how many units they were."""

    executed_s: float
    finalised_s: float
    audits_s: float
    units: int
    cut_off: int
    repeated: int

    @property
    def goodput(self) -> float:
        """The share of the executed unit-seconds that was accepted."""
        return self.finalised_s / self.executed_s if self.executed_s else 0.0


def read_units(path: Path, wallet: str) -> Iterator[Execution]:
    """The computations of one home, in order, from its record."""
    lines = path.read_text().splitlines() if path.exists() else []
    begun: dict[str, object] = {}
    for line in map(json.loads, lines):
        if begun:
            seconds = float(line["at"]) - float(str(begun["at"]))
            finished = line["event"] == "end"
            place = int(str(begun["round"])), int(str(begun["slot"]))
            yield Execution(wallet, str(begun["kind"]), *place, seconds, finished)
        begun = line if line["event"] == "start" else {}


def measure(network: Network, job: JobView) -> tuple[Cost, list[str]]:
    """The cost of a job that is over, and what of it was for nothing, a line each."""
    names = {network.address(home): home.path.name for home in network.homes}
    executions = [
        execution
        for home in network.homes
        for execution in read_units(units_file(home), network.address(home))
    ]
    accepted, owed = accepted_claims(job), owed_audits(job)
    lost = [
        f"{names[e.wallet]}: round {e.round}, slot {e.slot}, {e.kind}, {e.seconds:.1f} s, "
        + ("repeated" if e.finished else "cut off")
        for e in unpaid(executions, accepted, owed)
    ]
    return cost_of(executions, accepted, owed), lost


def cost_of(
    executions: Sequence[Execution],
    accepted: dict[tuple[int, int], str],
    owed: set[tuple[str, int, int]],
) -> Cost:
    """Add up: of an accepted unit the last finished computation by its worker is the paid one."""
    audits, work, paid = _split(executions, accepted, owed)
    return Cost(
        executed_s=sum(e.seconds for e in work),
        finalised_s=sum(e.seconds for e in paid),
        audits_s=sum(e.seconds for e in audits),
        units=len(paid),
        cut_off=sum(not e.finished for e in work),
        repeated=sum(e.finished for e in work) - len(paid),
    )


def unpaid(
    executions: Sequence[Execution],
    accepted: dict[tuple[int, int], str],
    owed: set[tuple[str, int, int]],
) -> list[Execution]:
    """The computations that came to nothing, in the order of their slots."""
    _, work, paid = _split(executions, accepted, owed)
    lost = [e for e in work if not any(e is other for other in paid)]
    return sorted(lost, key=lambda e: (e.round, e.slot))


def _split(
    executions: Sequence[Execution],
    accepted: dict[tuple[int, int], str],
    owed: set[tuple[str, int, int]],
) -> tuple[list[Execution], list[Execution], list[Execution]]:
    """The audits that were owed, all other computations, and of these the paid ones."""
    audits = [e for e in executions if e.kind == "audit" and (e.wallet, e.round, e.slot) in owed]
    work = [e for e in executions if e not in audits]
    paid = {
        (e.round, e.slot): e
        for e in work
        if e.kind == "unit" and e.finished and accepted.get((e.round, e.slot)) == e.wallet
    }
    return audits, work, list(paid.values())


def accepted_claims(job: JobView) -> dict[tuple[int, int], str]:
    """The worker of the last attempt at each slot: the accepted one of a round that is final."""
    last: dict[tuple[int, int], Claim] = {}
    for event in job.log:
        if isinstance(event, on_chain.RoundCommitted):
            for claim in event.claims:
                last[event.round, claim.slot] = claim
    return {place: claim.worker for place, claim in last.items()}


def owed_audits(job: JobView) -> set[tuple[str, int, int]]:
    """Which wallets were drawn to recompute which slots: as auditors or as jurors."""
    places = {e.unit_id: (e.round, e.slot) for e in job.log if isinstance(e, on_chain.UnitDrawn)}
    drawn = {(e.auditor, *places[e.unit_id]) for e in job.log if isinstance(e, on_chain.UnitDrawn)}
    juries = [e for e in job.log if isinstance(e, on_chain.JurorsDrawn)]
    return drawn | {
        (juror, *places[e.unit_id]) for e in juries for juror in e.jurors if e.unit_id in places
    }


def data_shares(network: Network, manifest: Manifest) -> list[float]:
    """Which share of the chunks of the training data each node holds; 1.0 is all of it."""
    shares = []
    for home in network.homes:
        store, train = BlobStore(home.store), manifest.train
        held = sum(store.has_chunks(train, [index]) for index in range(train.chunk_count))
        shares.append(held / train.chunk_count)
    return shares
