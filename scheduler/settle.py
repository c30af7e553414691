"""What follows from time and facts, without any further event.

`settle` runs before and after every event: time passed, then something happened, then its
consequences. It brings the state to a fixed point: settling twice is settling once. Whatever time
does is a change of facts, so that an event without effect may be left out of the journal.
"""

from dataclasses import replace

from scheduler import custody
from scheduler.commands import Outcome
from scheduler.local import without_result
from scheduler.round import Round
from scheduler.rows import Slot, SlotStatus, UnavailableCause
from scheduler.standings import failed
from scheduler.state import State
from scheduler.terms import ASSIGNMENTS_MAX

_BEFORE = (SlotStatus.OPEN, SlotStatus.RECEIPTED, SlotStatus.STORED)
"""Slots that the others wait for before the batch is sent."""


def settle(state: State, now_ms: int) -> None:
    """Bring the state to `now_ms`. Each step takes a slot or wallet out of what is due."""
    if state.outcome is not None:
        return
    for held in state.under_way():
        while (index := held.index.due.due(now_ms)) is not None:
            _overdue(state, held, held.slots[index], now_ms)
    while (wallet := state.crowd.quarantined.due(now_ms)) is not None:
        state.put_worker(replace(state.workers[wallet], quarantined_until_ms=0))
    while (wallet := state.crowd.resting.due(now_ms)) is not None:
        state.put_worker(replace(state.workers[wallet], ask_after_ms=0))
    if state.paused_until_ms and now_ms >= state.paused_until_ms:
        state.note(paused_until_ms=0)
    custody.settle(state, now_ms)
    _submit(state, now_ms)
    # A cancelled job ends unless the chain holds claims of an open round: those may be earned.
    if state.cancelled and state.oldest.batches == 0:
        state.note(outcome=Outcome.CANCELLED)


def _overdue(state: State, held: Round, slot: Slot, now_ms: int) -> None:
    if 0 < slot.return_ms <= now_ms:
        custody.not_returned(state, held, slot, now_ms)
    elif slot.assignments:
        _lapse(state, slot, now_ms)
    elif slot.status is SlotStatus.RECEIPTED:
        without_result(state, slot, now_ms, UnavailableCause.OVERDUE)
    elif slot.status is SlotStatus.STORED:
        custody.overdue(state, slot, now_ms)
    else:
        state.put_slot(replace(slot, overdue=True), held)


def _lapse(state: State, slot: Slot, now_ms: int) -> None:
    kept = tuple(a for a in slot.assignments if now_ms < a.until_ms)
    gone = tuple(a for a in slot.assignments if a not in kept)
    lapsed = (*slot.lapsed, *gone)[-ASSIGNMENTS_MAX:]
    since_ms = slot.since_ms if kept else now_ms
    state.put_slot(replace(slot, assignments=kept, lapsed=lapsed, since_ms=since_ms))
    for assignment in gone:
        failed(state, assignment.wallet, now_ms)


def _submit(state: State, now_ms: int) -> None:
    """Send filled slots to the chain: all of the round together, or what has waited long."""
    index = state.open.index
    if not index.filled or index.count[SlotStatus.SUBMITTED] or state.paused_until_ms:
        return
    if too_late_to_begin(state, now_ms):
        return
    complete = not any(index.count[status] for status in _BEFORE)
    is_late = index.filled.due(now_ms) is not None or closing(state, now_ms)
    if complete or is_late or _is_short(state):
        for at in sorted(index.filled):
            state.put_slot(replace(state.slots[at], status=SlotStatus.SUBMITTED))


def _is_short(state: State) -> bool:
    """Whether nothing more can come before the chain has what there is.

    Nobody computes, and the bonds of those who could cover no unit until some of theirs are final.
    """
    index, crowd = state.open.index, state.crowd
    under_way = index.count[SlotStatus.RECEIPTED] or index.count[SlotStatus.STORED]
    is_short = crowd.short.first() is not None and crowd.idle.first() is None
    return is_short and not under_way and index.computed.first() is None


def too_late_to_begin(state: State, now_ms: int) -> bool:
    """Whether the open round has no claim on the chain and can have none any more.

    Only where older rounds are still being finished: else the job is over then.
    """
    ended = state.cancelled or 0 < state.terms.deadline_ms <= now_ms
    return bool(ended and state.anchored and state.open.batches == 0)


def closing(state: State, now_ms: int) -> bool:
    """Whether the deadline is so near that only what is on the chain will be paid."""
    terms = state.terms
    near_ms = terms.deadline_ms - terms.policy.deadline_margin_ms
    return terms.deadline_ms > 0 and now_ms >= near_ms
