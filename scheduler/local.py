"""What this node reports about its own work and about time.

A report on something that was replaced meanwhile (another round, attempt, blob or generation) is
ignored: commands overlap with events. A report on something that never was is a mistake of the
caller: IllegalEvent.
"""

from dataclasses import replace
from typing import assert_never

from scheduler.commands import Outcome
from scheduler.deadlines import backoff_ms
from scheduler.errors import IllegalEvent
from scheduler.events import (
    BondChanged,
    ChallengeWindowOver,
    CombineFailed,
    CombineFinished,
    CommitRefused,
    FinalizeRefused,
    JobExpired,
    LeaseLost,
    NodeEvent,
    NodeRestarted,
    ResultFault,
    ResultRefused,
    ResultStored,
    Tick,
)
from scheduler.standings import bonded, failed
from scheduler.state import (
    DONE,
    LOCAL,
    Combined,
    Slot,
    SlotStatus,
    State,
    find_peer,
    find_worker,
    with_slot,
    with_worker,
)
from scheduler.terms import PeerId, UnitRef
from scheduler.transitions import move


def apply(state: State, event: NodeEvent, now_ms: int) -> State:
    """The state after a report of this node."""
    match event:
        case ResultStored():
            return _stored(state, event, now_ms)
        case ResultRefused():
            return _refused(state, event, now_ms)
        case CommitRefused():
            return _commit_refused(state, event, now_ms)
        case CombineFinished():
            return _combined(state, event)
        case CombineFailed():
            current = _current(state, event.round) and event.generation == state.generation
            return _paused(state, now_ms) if current and state.combined is None else state
        case ChallengeWindowOver():
            awaited = _current(state, event.round) and all(s.status in DONE for s in state.slots)
            return replace(state, window_over=True) if awaited else state
        case FinalizeRefused():
            if not _current(state, event.round) or not state.window_over:
                return state
            return _paused(replace(state, window_over=False), now_ms)
        case BondChanged():
            known = find_worker(state, event.wallet) is not None
            return bonded(state, event.wallet, event.active) if known else state
        case LeaseLost():
            return replace(state, outcome=Outcome.LEASE_LOST)
        case JobExpired():
            return replace(state, outcome=Outcome.EXPIRED)
        case NodeRestarted():
            return _restarted(state, now_ms)
        case Tick():
            return state
        case _:
            assert_never(event)


def _current(state: State, round: int) -> bool:
    """Whether a report is about the open round; one about a later round is illegal."""
    if round > state.round:
        raise IllegalEvent(f"a report on round {round}, but round {state.round} is open")
    return round == state.round


def _slot_of(state: State, unit: UnitRef) -> Slot | None:
    """The slot that a report is about; None when the unit was replaced meanwhile."""
    if not _current(state, unit.round):
        return None
    if not 0 <= unit.slot < len(state.slots):
        raise IllegalEvent(f"a report on unit {unit}: the round has {len(state.slots)} slots")
    slot = state.slots[unit.slot]
    if unit.attempt > slot.attempt:
        raise IllegalEvent(f"a report on unit {unit}, but attempt {slot.attempt} is open")
    return slot if unit.attempt == slot.attempt else None


def _stored(state: State, event: ResultStored, now_ms: int) -> State:
    slot = _slot_of(state, event.unit)
    if slot is None or slot.filling is None or slot.filling.stored:
        return state
    if slot.filling.blob not in (None, event.blob):
        return state
    status = move(slot, event)
    filling = replace(slot.filling, blob=event.blob, stored=True)
    due_ms = slot.due_ms
    if status is SlotStatus.STORED:
        terms = state.terms
        due_ms = now_ms + terms.policy.straggler_timeouts * terms.unit_timeout_ms
    state = with_slot(state, replace(slot, status=status, filling=filling, due_ms=due_ms))
    worker = find_worker(state, filling.wallet)
    if worker is None:
        return state
    return with_worker(state, replace(worker, failures=0, stored=worker.stored + 1))


def _refused(state: State, event: ResultRefused, now_ms: int) -> State:
    slot = _slot_of(state, event.unit)
    if slot is None or slot.filling is None or slot.filling.stored:
        return state
    if (slot.filling.blob, slot.filling.peer) != (event.blob, event.peer):
        return state
    malformed = event.fault is ResultFault.MALFORMED
    if move(slot, event) is SlotStatus.OPEN:
        if not malformed and _away(state, event.peer):
            # It may come back with its result; the fetch's time limit decides.
            return state
        return without_result(state, slot, now_ms, malformed)
    filling = replace(slot.filling, blob=None, peer=None)
    return with_slot(state, replace(slot, filling=filling))


def _away(state: State, peer: PeerId) -> bool:
    row = find_peer(state, peer)
    return row is not None and row.vanished_ms is not None


def without_result(state: State, slot: Slot, now_ms: int, malformed: bool) -> State:
    """Open a receipted slot again: its result is missing or malformed, which its worker answers."""
    assert slot.filling is not None
    wallet = slot.filling.wallet
    state = with_slot(state, emptied(slot))
    totals = state.totals
    totals = replace(totals, refused_results=totals.refused_results + 1)
    return failed(replace(state, totals=totals), wallet, now_ms, grave=malformed)


def emptied(slot: Slot) -> Slot:
    """The slot open again, at the same attempt; others that still compute it may fill it."""
    return Slot(slot.index, slot.attempt, lapsed=slot.lapsed)


def _commit_refused(state: State, event: CommitRefused, now_ms: int) -> State:
    submitted = [slot for slot in state.slots if slot.status is SlotStatus.SUBMITTED]
    if not _current(state, event.round) or not submitted:
        return state
    for slot in submitted:
        stored = replace(slot, status=move(slot, event), due_ms=now_ms)
        blamed = slot.index in event.slots
        state = with_slot(state, emptied(slot) if blamed else stored)
        if blamed and slot.filling is not None:
            # Or it could give such a claim again and again, and the round would never be taken.
            state = failed(state, slot.filling.wallet, now_ms, grave=True)
    return _paused(state, now_ms)


def _combined(state: State, event: CombineFinished) -> State:
    if not _current(state, event.round) or event.generation < state.generation:
        return state
    settled = all(s.status in DONE or s.status is SlotStatus.DISPUTED for s in state.slots)
    if event.generation > state.generation or not settled:
        raise IllegalEvent(
            f"results of round {event.round}, generation {event.generation} were combined, "
            f"but generation {state.generation} is not settled"
        )
    combined = Combined(event.checkpoint, event.blob, event.aggregate)
    if state.combined not in (None, combined):
        raise IllegalEvent(f"two checkpoints from the same results of round {event.round}")
    return replace(state, combined=combined, metrics=event.metrics, setbacks=0, paused_until_ms=0)


def _paused(state: State, now_ms: int) -> State:
    policy = state.terms.policy
    pause_ms = backoff_ms(policy.chain_retry_ms, state.setbacks, policy.chain_retry_max_ms)
    return replace(state, setbacks=state.setbacks + 1, paused_until_ms=now_ms + pause_ms)


def _restarted(state: State, now_ms: int) -> State:
    """Every peer is away since now, and time limits move by the pause: it was this node's fault."""
    pause_ms = now_ms - state.clock_ms
    peers = tuple(replace(peer, vanished_ms=now_ms) for peer in state.peers)
    return replace(
        state,
        peers=peers,
        slots=tuple(_postponed(slot, pause_ms) for slot in state.slots),
    )


def _postponed(slot: Slot, pause_ms: int) -> Slot:
    assignments = tuple(replace(a, deadline_ms=a.deadline_ms + pause_ms) for a in slot.assignments)
    due_ms = slot.due_ms + pause_ms if slot.status in LOCAL else slot.due_ms
    return replace(slot, assignments=assignments, due_ms=due_ms)
