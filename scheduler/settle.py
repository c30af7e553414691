"""What follows from time and facts, without any further event.

`settle` runs before and after every event: time passed, then something happened, then its
consequences. It brings the state to a fixed point: settling twice is settling once.
"""

from dataclasses import replace

from scheduler.commands import Outcome
from scheduler.local import emptied, without_result
from scheduler.standings import failed
from scheduler.state import (
    Slot,
    SlotStatus,
    State,
    find_worker,
    is_live,
    with_slot,
)
from scheduler.terms import ASSIGNMENTS_MAX, Wallet

WAITING = frozenset({SlotStatus.RECEIPTED, SlotStatus.STORED})


def settle(state: State, now_ms: int) -> State:
    """The state at `now_ms`."""
    if state.outcome is not None:
        return state
    for slot in state.slots:
        state = _without_unbonded(state, slot)
    for slot in state.slots:
        state = _without_overdue(state, slot, now_ms)
    if state.paused_until_ms and now_ms >= state.paused_until_ms:
        state = replace(state, paused_until_ms=0)
    return _ended(_submitted(state, now_ms))


def _without_unbonded(state: State, slot: Slot) -> State:
    """The chain refuses a claim without an active bond, so such a claim must not wait for it."""
    if slot.status in WAITING and slot.filling and not _bonded(state, slot.filling.wallet):
        return with_slot(state, emptied(slot))
    kept = tuple(a for a in slot.assignments if _bonded(state, a.wallet))
    return state if kept == slot.assignments else with_slot(state, replace(slot, assignments=kept))


def _bonded(state: State, wallet: Wallet) -> bool:
    worker = find_worker(state, wallet)
    return worker is not None and worker.active


def _without_overdue(state: State, slot: Slot, now_ms: int) -> State:
    if slot.assignments:
        return _lapsed(state, slot, now_ms)
    if slot.status is SlotStatus.RECEIPTED and now_ms >= slot.due_ms:
        return without_result(state, slot, now_ms, malformed=False)
    if slot.status is SlotStatus.DRAWN and now_ms >= slot.due_ms:
        return with_slot(state, replace(slot, overdue=True))
    return state


def _lapsed(state: State, slot: Slot, now_ms: int) -> State:
    kept = tuple(a for a in slot.assignments if is_live(state, a, now_ms))
    gone = tuple(a for a in slot.assignments if a not in kept)
    if not gone:
        return state
    lapsed = (*slot.lapsed, *gone)[-ASSIGNMENTS_MAX:]
    state = with_slot(state, replace(slot, assignments=kept, lapsed=lapsed))
    for assignment in gone:
        state = failed(state, assignment.wallet, now_ms)
    return state


def _submitted(state: State, now_ms: int) -> State:
    """Send the stored results to the chain: all open slots together, or what has waited long."""
    statuses = {slot.status for slot in state.slots}
    stored = [slot for slot in state.slots if slot.status is SlotStatus.STORED]
    if not stored or SlotStatus.SUBMITTED in statuses or state.paused_until_ms:
        return state
    complete = not statuses & {SlotStatus.OPEN, SlotStatus.RECEIPTED}
    if not complete and now_ms < min(slot.due_ms for slot in stored):
        return state
    for slot in stored:
        state = with_slot(state, replace(slot, status=SlotStatus.SUBMITTED))
    return state


def _ended(state: State) -> State:
    """A cancelled job ends unless the chain holds claims of the open round: those may be earned."""
    if state.cancelled and state.batches == 0:
        return replace(state, outcome=Outcome.CANCELLED)
    return state
