"""What the chain says, and it is right: claims, draws, verdicts, anchored rounds.

Events arrive once each and in order (coordinator.py drops repetitions by position), so everything
outside the table of moves is illegal (scheduler/legality.py has looked already). Claims that this
coordinator did not send are adopted: they belong to a predecessor whose lease ended in the middle
of the round. Their results are recovered.
"""

from dataclasses import replace
from typing import assert_never

from scheduler.commands import Outcome
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
from scheduler.round import Round
from scheduler.rows import Filling, Slot, SlotStatus
from scheduler.standings import faulted, worker_or_new
from scheduler.state import State
from scheduler.terms import Claim
from scheduler.transitions import move


def apply(state: State, event: ChainEvent, now_ms: int) -> None:
    """Take in an event of the chain. A round that is over is history: no change."""
    match event:
        case JobCancelled():
            state.note(cancelled=True)
        case RoundCommittedOnChain():
            if event.round == state.round:
                _round_committed(state, event)
        case RoundFinalizedOnChain():
            if event.round == state.round:
                _round_finalized(state, event, now_ms)
        case _:
            if event.unit.round == state.round:
                _unit(state, event, now_ms)


def _round_committed(state: State, event: RoundCommittedOnChain) -> None:
    for claim in event.claims:
        state.put_slot(_claimed(state.slots[claim.slot], claim, event))
    state.note(batches=event.batch + 1, setbacks=0, paused_until_ms=0)


def _claimed(slot: Slot, claim: Claim, event: RoundCommittedOnChain) -> Slot:
    filling = slot.filling
    if filling is None or not _same(filling, claim):
        filling = Filling(claim.worker, claim.result_root, claim.commitment, claim.signature)
    return Slot(slot.index, slot.attempt, move(slot, event), filling=filling, batch=event.batch)


def _same(filling: Filling, claim: Claim) -> bool:
    held = (filling.wallet, filling.result_root, filling.commitment)
    return held == (claim.worker, claim.result_root, claim.commitment)


def _unit(state: State, event: UnitEvent, now_ms: int) -> None:
    slot = state.slots[event.unit.slot]
    status = move(slot, event)
    totals = state.totals
    match event:
        case UnitDrawn():
            first = slot.status is SlotStatus.COMMITTED
            state.note(totals=replace(totals, drawn=totals.drawn + first))
            slot = replace(slot, auditor=event.auditor, due_ms=event.due_ms, overdue=False)
        case AuditAdvanced():
            slot = replace(slot, due_ms=event.due_ms, overdue=False)
        case UnitDisputed():
            state.note(totals=replace(totals, disputes=totals.disputes + 1), window_over=False)
            slot = replace(slot, due_ms=0, overdue=False)
        case UnitPassed() | UnitVerified():
            slot = replace(slot, due_ms=event.until_ms, overdue=False)
        case UnitFaulted():
            state.note(totals=replace(totals, faults=totals.faults + 1))
            faulted(state, event.worker, now_ms)
            return _reissue(state, slot, now_ms)
        case UnitVoided():
            state.note(totals=replace(totals, voids=totals.voids + 1))
            return _reissue(state, slot, now_ms)
        case _:
            assert_never(event)
    return state.put_slot(replace(slot, status=status))


def _reissue(state: State, slot: Slot, now_ms: int) -> None:
    """Open the slot with the next attempt; a checkpoint from the old result is void."""
    state.put_slot(Slot(slot.index, slot.attempt + 1, since_ms=now_ms))
    totals = replace(state.totals, reissued=state.totals.reissued + 1)
    generation = state.open.generation + 1
    state.note(generation=generation, combined=None, window_over=False, totals=totals)


def _round_finalized(state: State, event: RoundFinalizedOnChain, now_ms: int) -> None:
    combined = state.open.combined
    if combined is None:
        # Only the holder of the lease can finalize, and it was not this node.
        state.note(outcome=Outcome.LEASE_LOST)
        return
    if combined.checkpoint != event.checkpoint:
        state.note(outcome=Outcome.DIVERGED)
        return
    _credit(state)
    number = state.round + 1
    last = number >= state.terms.rounds
    slots = [] if last else [Slot(i, since_ms=now_ms) for i in range(state.terms.slots)]
    state.begin(Round(number, combined.checkpoint, combined.blob, slots))
    ended = Outcome.CANCELLED if state.cancelled else None
    outcome = Outcome.COMPLETED if last else ended
    state.note(setbacks=0, paused_until_ms=0, outcome=outcome)


def _credit(state: State) -> None:
    """Count the round's units, for people."""
    for slot in state.slots:
        assert slot.filling is not None
        worker = worker_or_new(state, slot.filling.wallet)
        state.put_worker(replace(worker, settled=worker.settled + 1))
    verified = state.open.index.count[SlotStatus.VERIFIED]
    totals, units = state.totals, len(state.slots)
    counted = replace(
        totals,
        units=totals.units + units,
        verified=totals.verified + verified,
        passed=totals.passed + units - verified,
    )
    state.note(totals=counted)
