"""What this node reports about its own work and about time.

A report on something that was replaced meanwhile (another round, attempt, blob or generation) is
ignored: commands overlap with events. One on something that never was is illegal and does not come
here (scheduler/legality.py).
"""

from dataclasses import replace
from typing import assert_never

from scheduler import custody
from scheduler.commands import Outcome
from scheduler.deadlines import backoff_ms
from scheduler.events import (
    AnchorRefused,
    BondChanged,
    ChallengeWindowOver,
    CombineFailed,
    CombineFinished,
    CommitRefused,
    FinalizeRefused,
    HoldingRefused,
    JobExpired,
    LeaseLost,
    NodeEvent,
    NodeRestarted,
    PauseOrdered,
    ResultFault,
    ResultHeld,
    ResultRefused,
    ResultStored,
    Tick,
)
from scheduler.round import Round
from scheduler.rows import LOCAL, ON_CHAIN, Combined, Slot, SlotStatus, UnavailableCause
from scheduler.standings import bonded, emptied, failed
from scheduler.state import State
from scheduler.terms import UnitRef
from scheduler.transitions import move


def apply(state: State, event: NodeEvent, now_ms: int) -> None:
    """Take in a report of this node."""
    match event:
        case ResultStored():
            _stored(state, event, now_ms)
        case ResultRefused():
            _refused(state, event, now_ms)
        case ResultHeld():
            custody.held(state, event)
        case HoldingRefused():
            custody.refused(state, event, now_ms)
        case CommitRefused():
            _commit_refused(state, event, now_ms)
        case CombineFinished():
            _combined(state, event)
        case CombineFailed():
            held = state.find(event.round)
            current = held is not None and event.generation == held.generation
            if current and held is not None and held.combined is None:
                _pause(state, now_ms)
        case ChallengeWindowOver():
            if event.round == state.oldest.number and state.oldest.all_done():
                state.note_round(state.oldest, window_over=True)
        case FinalizeRefused():
            if event.round == state.oldest.number and state.oldest.window_over:
                state.note_round(state.oldest, window_over=False)
                _pause(state, now_ms)
        case AnchorRefused():
            held = state.find(event.round)
            if held is not None and held.combined is not None:
                _pause(state, now_ms)
        case BondChanged():
            if event.wallet in state.workers:
                bonded(state, event.wallet, event.active, now_ms, event.covers)
        case PauseOrdered():
            if event.serial > state.order_serial:
                state.note(on_hold=event.paused, order_serial=event.serial)
        case LeaseLost():
            state.note(outcome=Outcome.LEASE_LOST)
        case JobExpired():
            state.note(outcome=Outcome.EXPIRED)
        case NodeRestarted():
            _restarted(state, now_ms)
        case Tick():
            pass
        case _:
            assert_never(event)


def _slot_of(state: State, unit: UnitRef) -> tuple[Round, Slot] | None:
    """The slot that a report is about, and its round, if its result is still awaited."""
    held = state.find(unit.round)
    if held is None or unit.attempt != held.slots[unit.slot].attempt:
        return None
    slot = held.slots[unit.slot]
    return (held, slot) if slot.filling is not None and not slot.here else None


def _stored(state: State, event: ResultStored, now_ms: int) -> None:
    found = _slot_of(state, event.unit)
    if found is None:
        return
    held, slot = found
    assert slot.filling is not None
    offered = slot.filling.blob
    if offered != event.blob and slot.status not in ON_CHAIN:
        return
    status = move(slot, event)
    # The chain's claim has the result's root, not its blob: one of that root is the result,
    # whatever its worker offered meanwhile.
    peer = slot.filling.peer if offered == event.blob else None
    filling = replace(slot.filling, blob=event.blob, peer=peer, stored=True)
    filling = custody.signed(filling, event.holding)
    due_ms = slot.due_ms
    if status is SlotStatus.STORED:
        due_ms = now_ms + state.terms.policy.holders_timeout_ms + state.terms.transfer_ms
    if event.recomputed:
        custody.unavailable(state, held, slot, UnavailableCause.LOST, now_ms)
    filled = replace(slot, status=status, filling=filling, due_ms=due_ms, return_ms=0)
    state.put_slot(filled, held)
    worker = state.workers.get(filling.wallet)
    if worker is not None and offered in (None, event.blob):
        state.put_worker(replace(worker, failures=0, stored=worker.stored + 1))


def _refused(state: State, event: ResultRefused, now_ms: int) -> None:
    found = _slot_of(state, event.unit)
    if found is None:
        return
    held, slot = found
    assert slot.filling is not None
    if (slot.filling.blob, slot.filling.peer) != (event.blob, event.peer):
        return
    if event.fault is ResultFault.OURS:
        if slot.status is SlotStatus.RECEIPTED:
            due_ms = now_ms + state.terms.policy.fetch_timeout_ms
            state.put_slot(replace(slot, due_ms=due_ms), held)
        return
    malformed = event.fault is ResultFault.MALFORMED
    cause = None if malformed else UnavailableCause.REFUSED
    if move(slot, event) is not SlotStatus.OPEN:
        filling = replace(slot.filling, blob=None, peer=None)
        state.put_slot(replace(slot, filling=filling), held)
        if malformed:
            failed(state, filling.wallet, now_ms, grave=True)
    elif event.fault is not ResultFault.SILENT:
        without_result(state, slot, now_ms, cause)
    # Else it may come back with its result; the fetch's time limit decides.


def without_result(state: State, slot: Slot, now_ms: int, cause: UnavailableCause | None) -> None:
    """Open a receipted slot again: its result is unavailable or, without a cause, malformed.

    Its worker answers for that.
    """
    assert slot.filling is not None
    if cause is not None:
        custody.unavailable(state, state.open, slot, cause, now_ms)
    state.put_slot(emptied(slot, now_ms))
    refused_results = state.totals.refused_results + 1
    state.note(totals=replace(state.totals, refused_results=refused_results))
    failed(state, slot.filling.wallet, now_ms, grave=cause is None)


def _commit_refused(state: State, event: CommitRefused, now_ms: int) -> None:
    submitted = [slot for slot in state.slots if slot.status is SlotStatus.SUBMITTED]
    if event.round != state.round or not submitted:
        return
    for slot in submitted:
        assert slot.filling is not None
        worker = state.workers.get(slot.filling.wallet)
        blamed = slot.index in event.slots
        if blamed or worker is None or not worker.active:
            state.put_slot(emptied(slot, now_ms))
        else:
            state.put_slot(replace(slot, status=move(slot, event), due_ms=now_ms))
        if blamed:
            # Or it could give such a claim again and again, and the round would never be taken.
            failed(state, slot.filling.wallet, now_ms, grave=True)
    _pause(state, now_ms)


def _combined(state: State, event: CombineFinished) -> None:
    held = state.find(event.round)
    if held is None or event.generation < held.generation:
        return
    combined = Combined(event.checkpoint, event.blob, event.aggregate)
    state.note_round(held, combined=combined)
    state.note(metrics=event.metrics, setbacks=0, paused_until_ms=0)


def _pause(state: State, now_ms: int) -> None:
    policy = state.terms.policy
    pause_ms = backoff_ms(policy.chain_retry_ms, state.setbacks, policy.chain_retry_max_ms)
    state.note(setbacks=state.setbacks + 1, paused_until_ms=now_ms + pause_ms)


def _restarted(state: State, now_ms: int) -> None:
    """Every peer is away since now, and time limits move by the pause: it was this node's fault."""
    pause_ms = now_ms - state.clock_ms
    for peer in sorted(state.peers):
        state.put_peer(replace(state.peers[peer], vanished_ms=now_ms))
    grace_ms = now_ms + state.terms.policy.reconnect_grace_ms
    for held in state.under_way():
        for slot in [slot for slot in held.slots if slot.return_ms]:
            return_ms = custody.resumed_ms(slot, pause_ms, now_ms)
            state.put_slot(replace(slot, return_ms=return_ms), held)
    for slot in tuple(state.slots):
        assignments = tuple(
            replace(a, deadline_ms=a.deadline_ms + pause_ms, grace_ms=grace_ms)
            for a in slot.assignments
        )
        asks = tuple(replace(ask, until_ms=ask.until_ms + pause_ms) for ask in slot.asks)
        due_ms = slot.due_ms + pause_ms if slot.status in LOCAL else slot.due_ms
        state.put_slot(replace(slot, assignments=assignments, due_ms=due_ms, asks=asks))
