"""What the chain says, and it is right: claims, draws, verdicts, anchored rounds.

Events arrive once each and in order (coordinator.py drops repetitions by position), so everything
outside the table of moves is illegal (scheduler/legality.py has looked already). Claims that this
coordinator did not send are adopted: they belong to a predecessor whose lease ended in the middle
of the round. Their results are recovered.

Rounds may be anchored before they are final. A fault or a void behind an anchor cuts: its round
takes claims again, and what was computed after it is dissolved, here as on the chain.
"""

from dataclasses import replace
from typing import assert_never

from scheduler import custody
from scheduler.commands import Outcome
from scheduler.events import (
    AnchorsWithdrawnOnChain,
    AuditAdvanced,
    ChainEvent,
    JobCancelled,
    RoundAnchoredOnChain,
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
from scheduler.round import Round, fresh
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
                _round_committed(state, event, now_ms)
        case RoundAnchoredOnChain():
            if event.round == state.round:
                _round_anchored(state, event, now_ms)
        case AnchorsWithdrawnOnChain():
            _cut(state, event.round, event.head, now_ms)
        case RoundFinalizedOnChain():
            if event.round == state.oldest.number:
                _round_finalized(state, event, now_ms)
        case _:
            held = state.find(event.unit.round)
            if held is not None:
                _unit(state, held, event, now_ms)


def _round_committed(state: State, event: RoundCommittedOnChain, now_ms: int) -> None:
    return_ms = custody.returning_ms(state, now_ms)
    for claim in event.claims:
        state.put_slot(_claimed(state.slots[claim.slot], claim, event, return_ms))
    state.note_round(state.open, batches=event.batch + 1)
    state.note(setbacks=0, paused_until_ms=0)


def _claimed(slot: Slot, claim: Claim, event: RoundCommittedOnChain, return_ms: int) -> Slot:
    filling, moved = slot.filling, move(slot, event)
    if filling is None or not _same(filling, claim):
        filling = Filling(claim.worker, claim.result_root, claim.commitment, claim.signature)
    wait_ms = 0 if filling.stored else return_ms
    return Slot(
        slot.index,
        slot.attempt,
        moved,
        filling=filling,
        batch=event.batch,
        return_ms=wait_ms,
    )


def _same(filling: Filling, claim: Claim) -> bool:
    held = (filling.wallet, filling.result_root, filling.commitment)
    return held == (claim.worker, claim.result_root, claim.commitment)


def _unit(state: State, held: Round, event: UnitEvent, now_ms: int) -> None:
    slot = held.slots[event.unit.slot]
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
            state.note(totals=replace(totals, disputes=totals.disputes + 1))
            state.note_round(held, window_over=False)
            slot = replace(slot, due_ms=0, overdue=False)
        case UnitPassed() | UnitVerified():
            return_ms = custody.hurried_ms(slot, event.until_ms, now_ms)
            slot = replace(slot, due_ms=event.until_ms, overdue=False, return_ms=return_ms)
        case UnitFaulted():
            state.note(totals=replace(totals, faults=totals.faults + 1))
            faulted(state, event.worker, now_ms)
            return _reissue(state, held, slot, now_ms)
        case UnitVoided():
            state.note(totals=replace(totals, voids=totals.voids + 1))
            return _reissue(state, held, slot, now_ms)
        case _:
            assert_never(event)
    return state.put_slot(replace(slot, status=status), held)


def _reissue(state: State, held: Round, slot: Slot, now_ms: int) -> None:
    """Open the slot with the next attempt; a checkpoint from the old result is void."""
    state.put_slot(Slot(slot.index, slot.attempt + 1, since_ms=now_ms), held)
    state.note(totals=replace(state.totals, reissued=state.totals.reissued + 1))
    state.note_round(held, combined=None, window_over=False)
    _cut(state, held.number, state.round, now_ms)


def _round_anchored(state: State, event: RoundAnchoredOnChain, now_ms: int) -> None:
    """The next round begins; this one waits for its audits."""
    number = event.round + 1
    attempts = state.dissolved.get(number, (0,) * state.terms.slots)
    following = fresh(number, event.checkpoint, event.blob, attempts, now_ms)
    state.put_dissolved(number, None)
    state.put_rounds(*state.under_way(), following)
    state.note(setbacks=0, paused_until_ms=0)


def _cut(state: State, round: int, head: int, now_ms: int) -> None:
    """Dissolve the rounds after `round`, up to `head`, that are under way.

    Before the oldest: a coordinator that began later reads how often its round was dissolved.
    """
    dissolved = [held for held in state.under_way() if round < held.number <= head]
    if not dissolved:
        return
    kept = [held for held in state.under_way() if held.number <= round]
    claims = sum(slot.filling is not None for held in dissolved for slot in held.slots)
    for held in dissolved:
        state.put_dissolved(held.number, tuple(slot.attempt + 1 for slot in held.slots))
    if not kept:
        first = dissolved[0]
        attempts = state.dissolved[first.number]
        state.put_dissolved(first.number, None)
        kept = [fresh(first.number, first.checkpoint, first.blob, attempts, now_ms)]
    state.put_rounds(*kept)
    state.note(totals=replace(state.totals, dissolved=state.totals.dissolved + claims))


def _round_finalized(state: State, event: RoundFinalizedOnChain, now_ms: int) -> None:
    done = state.oldest
    combined = done.combined
    if combined is None:
        # Only the holder of the lease can finalize, and it was not this node.
        state.note(outcome=Outcome.LEASE_LOST)
        return
    if combined.checkpoint != event.checkpoint:
        state.note(outcome=Outcome.DIVERGED)
        return
    _credit(state, done)
    number = done.number + 1
    last = number >= state.terms.rounds
    if state.anchored:
        state.put_rounds(*state.under_way()[1:])
    else:
        known = state.dissolved.get(number, (0,) * state.terms.slots)
        attempts = () if last else known
        state.put_dissolved(number, None)
        state.put_rounds(fresh(number, combined.checkpoint, combined.blob, attempts, now_ms))
    ended = Outcome.CANCELLED if state.cancelled and state.oldest.batches == 0 else None
    outcome = Outcome.COMPLETED if last else ended
    state.note(setbacks=0, paused_until_ms=0, outcome=outcome)


def _credit(state: State, done: Round) -> None:
    """Count the round's units, for people."""
    for slot in done.slots:
        assert slot.filling is not None
        worker = worker_or_new(state, slot.filling.wallet)
        state.put_worker(replace(worker, settled=worker.settled + 1))
    verified = done.index.count[SlotStatus.VERIFIED]
    totals, units = state.totals, len(done.slots)
    counted = replace(
        totals,
        units=totals.units + units,
        verified=totals.verified + verified,
        passed=totals.passed + units - verified,
    )
    state.note(totals=counted)
