"""The chain's events as a coordinator's facts (scheduler/events.py).

A pure translation: one event of a job's log gives one fact or none. Units are named by id on the
chain and by round, slot and attempt in the scheduler; the claims of the same log connect the two.
"""

from collections.abc import Iterable

from node.chain import events as on_chain
from node.chain.events import Event
from node.ids import JobId, UnitId, unit_id
from node.ledger import JobView
from scheduler import events as facts
from scheduler.blob_ref import BLOB_BYTES_MAX, BlobRef
from scheduler.codec import decode
from scheduler.errors import JournalError
from scheduler.terms import Claim, Position, UnitRef, Wallet


class FactReader:
    """Translates one job's log, from its first event on."""

    def __init__(self, job_id: JobId) -> None:
        self._job_id = job_id
        self._units: dict[UnitId, UnitRef] = {}

    def read(self, event: Event) -> facts.ChainEvent | None:
        """The fact that an event is to the coordinator, or None if it is none."""
        at = Position(event.place.block, event.place.index)
        match event:
            case on_chain.RoundCommitted():
                return self._committed(at, event)
            case on_chain.RoundAnchored():
                size = min(event.checkpoint_size, BLOB_BYTES_MAX)
                blob = BlobRef(root=event.checkpoint_blob_root.hex(), size=size)
                return facts.RoundAnchoredOnChain(at, event.round, event.checkpoint, blob)
            case on_chain.AnchorsWithdrawn():
                return facts.AnchorsWithdrawnOnChain(at, event.round, event.head)
            case on_chain.RoundFinalized():
                # Nothing is said of its units any more.
                self._units = {k: u for k, u in self._units.items() if u.round > event.round}
                return facts.RoundFinalizedOnChain(at, event.round, event.checkpoint)
            case on_chain.JobCancelled() | on_chain.DataCharged():
                return facts.JobCancelled(at)
        unit = self._units.get(getattr(event, "unit_id", UnitId(b"")))
        return None if unit is None else _unit_fact(at, unit, event)

    def _committed(
        self, at: Position, event: on_chain.RoundCommitted
    ) -> facts.RoundCommittedOnChain:
        for claim in event.claims:
            name = unit_id(self._job_id, event.round, claim.slot, claim.attempt)
            self._units[name] = UnitRef(event.round, claim.slot, claim.attempt)
        claims = tuple(
            Claim(c.slot, c.attempt, Wallet(c.worker), c.result_root, c.commitment, c.signature)
            for c in event.claims
        )
        return facts.RoundCommittedOnChain(at, event.round, event.batch, claims)


def has_undone(job: JobView, head: int, records: Iterable[bytes]) -> bool:
    """Whether a coordination's journal counts with what the chain, up to `head`, no longer has.

    Of rounds that the job's log no longer has nothing is said here: what they came to is the
    checkpoint that the oldest round under way starts from.
    """
    reader = FactReader(JobId(job.job_id))
    read = (reader.read(event) for event in job.log)
    known = {fact.at: fact for fact in read if fact is not None}
    for record in records:
        try:
            event = decode(record).event
        except JournalError:
            continue  # Torn or damaged: the replay finds out.
        if isinstance(event, facts.CoordinationStarted):
            before = job.finalized.get(event.round - 1)
            if event.round and (before is None or before.checkpoint != event.checkpoint):
                return True
        at = getattr(event, "at", None)
        if at is None or at.block > head or _round_of(event, job) < job.log.first_round:
            continue
        if known.get(at) != event:
            return True
    return False


def _round_of(event: object, job: JobView) -> int:
    """The round that a fact is about; of what is about the whole job, the open one."""
    unit = getattr(event, "unit", None)
    return unit.round if isinstance(unit, UnitRef) else getattr(event, "round", job.open_round)


def _unit_fact(at: Position, unit: UnitRef, event: Event) -> facts.UnitEvent | None:
    match event:
        case on_chain.UnitDrawn():
            return facts.UnitDrawn(at, unit, Wallet(event.auditor), _ms(event.deadline))
        case on_chain.AuditCommitted() | on_chain.UnitOpened():
            return facts.AuditAdvanced(at, unit, _ms(event.deadline))
        case on_chain.UnitPassed():
            return facts.UnitPassed(at, unit, _ms(event.deadline))
        case on_chain.UnitVerified():
            return facts.UnitVerified(at, unit, _ms(event.deadline))
        case on_chain.UnitDisputed():
            return facts.UnitDisputed(at, unit)
        case on_chain.UnitFaulted():
            return facts.UnitFaulted(at, unit, Wallet(event.worker))
        case on_chain.UnitVoided():
            return facts.UnitVoided(at, unit)
    return None


def _ms(seconds: int) -> int:
    return seconds * 1000
