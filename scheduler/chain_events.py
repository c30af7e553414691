"""What the chain says, and it is right: claims, draws, verdicts, anchored rounds.

Events arrive once each and in order (coordinator.py drops repetitions by position), so everything
outside the table of moves is illegal. Claims that this coordinator did not send are adopted: they
belong to a predecessor whose lease ended in the middle of the round. Their results are recovered.
"""

from dataclasses import replace
from typing import assert_never

from scheduler.commands import Outcome
from scheduler.errors import IllegalEvent
from scheduler.events import (
    AuditAdvanced,
    ChainEvent,
    JobCancelled,
    RoundCommittedOnChain,
    RoundFinalizedOnChain,
    UnitDisputed,
    UnitDrawn,
    UnitEvent,
    UnitFaulted,
    UnitPassed,
    UnitVerified,
    UnitVoided,
)
from scheduler.standings import faulted, worker_or_new
from scheduler.state import (
    DONE,
    Filling,
    Slot,
    SlotStatus,
    State,
    with_slot,
    with_worker,
)
from scheduler.terms import Claim, UnitRef
from scheduler.transitions import move


def apply(state: State, event: ChainEvent, now_ms: int) -> State:
    """The state after an event of the chain. A round that is over is history: no change."""
    match event:
        case JobCancelled():
            return replace(state, cancelled=True)
        case RoundCommittedOnChain():
            return _round_committed(state, event) if _open(state, event.round) else state
        case RoundFinalizedOnChain():
            return _round_finalized(state, event) if _open(state, event.round) else state
        case _:
            if not _open(state, event.unit.round):
                return state
            return _unit(state, event, now_ms)


def _open(state: State, round: int) -> bool:
    if round > state.round:
        raise IllegalEvent(f"the chain is at round {round}, this coordination at {state.round}")
    return round == state.round


def _round_committed(state: State, event: RoundCommittedOnChain) -> State:
    if event.batch != state.batches:
        raise IllegalEvent(
            f"batch {event.batch} of round {event.round}, but batch {state.batches} is due"
        )
    for claim in event.claims:
        slot = _slot(state, UnitRef(event.round, claim.slot, claim.attempt))
        state = with_slot(state, _claimed(slot, claim, event))
    return replace(state, batches=state.batches + 1, setbacks=0, paused_until_ms=0)


def _claimed(slot: Slot, claim: Claim, event: RoundCommittedOnChain) -> Slot:
    filling = slot.filling
    if filling is None or not _same(filling, claim):
        filling = Filling(claim.worker, claim.result_root, claim.commitment, claim.signature)
    return Slot(slot.index, slot.attempt, move(slot, event), filling=filling, batch=event.batch)


def _same(filling: Filling, claim: Claim) -> bool:
    held = (filling.wallet, filling.result_root, filling.commitment)
    return held == (claim.worker, claim.result_root, claim.commitment)


def _slot(state: State, unit: UnitRef) -> Slot:
    if not 0 <= unit.slot < len(state.slots):
        raise IllegalEvent(f"unit {unit}: the round has {len(state.slots)} slots")
    slot = state.slots[unit.slot]
    if slot.attempt != unit.attempt:
        raise IllegalEvent(f"unit {unit}, but attempt {slot.attempt} of the slot is open")
    return slot


def _unit(state: State, event: UnitEvent, now_ms: int) -> State:
    slot = _slot(state, event.unit)
    status = move(slot, event)
    totals = state.totals
    match event:
        case UnitDrawn():
            first = slot.status is SlotStatus.COMMITTED
            state = replace(state, totals=replace(totals, drawn=totals.drawn + first))
            slot = replace(slot, auditor=event.auditor, due_ms=event.due_ms, overdue=False)
        case AuditAdvanced():
            slot = replace(slot, due_ms=event.due_ms, overdue=False)
        case UnitDisputed():
            totals = replace(totals, disputes=totals.disputes + 1)
            state = replace(state, totals=totals, window_over=False)
            slot = replace(slot, due_ms=0, overdue=False)
        case UnitPassed() | UnitVerified():
            slot = replace(slot, due_ms=event.until_ms, overdue=False)
        case UnitFaulted():
            totals = replace(totals, faults=totals.faults + 1)
            state = faulted(replace(state, totals=totals), event.worker, now_ms)
            return _reissued(state, slot)
        case UnitVoided():
            totals = replace(totals, voids=totals.voids + 1)
            return _reissued(replace(state, totals=totals), slot)
        case _:
            assert_never(event)
    return with_slot(state, replace(slot, status=status))


def _reissued(state: State, slot: Slot) -> State:
    """The slot is open again with the next attempt; a checkpoint from the old result is void."""
    state = with_slot(state, Slot(slot.index, slot.attempt + 1))
    return replace(
        state,
        generation=state.generation + 1,
        combined=None,
        window_over=False,
        totals=replace(state.totals, reissued=state.totals.reissued + 1),
    )


def _round_finalized(state: State, event: RoundFinalizedOnChain) -> State:
    unsettled = [slot.index for slot in state.slots if slot.status not in DONE]
    if unsettled:
        raise IllegalEvent(f"round {event.round} was finalized with slots {unsettled} unsettled")
    combined = state.combined
    if combined is None:
        # Only the holder of the lease can finalize, and it was not this node.
        return replace(state, outcome=Outcome.LEASE_LOST)
    if combined.checkpoint != event.checkpoint:
        return replace(state, outcome=Outcome.DIVERGED)
    state = _credited(state)
    last = state.round + 1 >= state.terms.rounds
    ended = Outcome.CANCELLED if state.cancelled else None
    return replace(
        state,
        round=state.round + 1,
        checkpoint=combined.checkpoint,
        blob=combined.blob,
        slots=() if last else tuple(Slot(index) for index in range(state.terms.slots)),
        batches=0,
        generation=0,
        combined=None,
        window_over=False,
        setbacks=0,
        paused_until_ms=0,
        outcome=Outcome.COMPLETED if last else ended,
    )


def _credited(state: State) -> State:
    """Count the round's units, for people."""
    for slot in state.slots:
        assert slot.filling is not None
        worker = worker_or_new(state, slot.filling.wallet)
        state = with_worker(state, replace(worker, settled=worker.settled + 1))
    verified = sum(slot.status is SlotStatus.VERIFIED for slot in state.slots)
    totals = state.totals
    totals = replace(
        totals,
        units=totals.units + len(state.slots),
        verified=totals.verified + verified,
        passed=totals.passed + len(state.slots) - verified,
    )
    return replace(state, totals=totals)
