"""Which events cannot follow: looked at before anything is changed.

An event of this node or of the chain about what never was is IllegalEvent, a mistake of whoever
drives the machine. Peers cause no such errors: what they say out of turn is answered with a
refusal (scheduler/assignment.py). A report on what was replaced meanwhile is ignored.

Passing time moves no slot into or out of a status that decides here, so it does not matter that
time is settled after this check.
"""

from collections.abc import Iterable

from scheduler.errors import IllegalEvent
from scheduler.events import (
    ChallengeWindowOver,
    CombineFailed,
    CombineFinished,
    CommitRefused,
    CoordinationStarted,
    Event,
    FinalizeRefused,
    HoldingRefused,
    ResultHeld,
    ResultRefused,
    ResultStored,
    RoundCommittedOnChain,
    RoundFinalizedOnChain,
    UnitEvent,
)
from scheduler.rows import DONE, Combined, Slot, SlotStatus
from scheduler.state import State
from scheduler.terms import UnitRef
from scheduler.transitions import move

Report = CommitRefused | CombineFinished | CombineFailed | ChallengeWindowOver | FinalizeRefused


def check(state: State, event: Event) -> None:
    """IllegalEvent if the event cannot follow; the state is only read."""
    match event:
        case CoordinationStarted():
            raise IllegalEvent("the coordination has started already")
        case ResultStored() | ResultRefused() | ResultHeld() | HoldingRefused():
            _check_reported_unit(state, event.unit)
        case CombineFinished():
            if _is_open(state, event.round):
                _check_combined(state, event)
        case CommitRefused() | CombineFailed() | ChallengeWindowOver() | FinalizeRefused():
            _is_open(state, event.round)
        case RoundCommittedOnChain():
            if _is_open(state, event.round):
                _check_claims(state, event)
        case RoundFinalizedOnChain():
            if _is_open(state, event.round):
                _check_settled(state.slots, event.round)
        case _:
            if isinstance(event, UnitEvent) and _is_open(state, event.unit.round):
                move(slot_on_chain(state, event.unit), event)


def slot_on_chain(state: State, unit: UnitRef) -> Slot:
    """The slot of a unit of the open round that the chain speaks of."""
    if not 0 <= unit.slot < len(state.slots):
        raise IllegalEvent(f"unit {unit}: the round has {len(state.slots)} slots")
    slot = state.slots[unit.slot]
    if slot.attempt != unit.attempt:
        raise IllegalEvent(f"unit {unit}, but attempt {slot.attempt} of the slot is open")
    return slot


def _is_open(state: State, round: int) -> bool:
    """Whether an event is about the open round; an earlier one is history."""
    if round > state.round:
        raise IllegalEvent(f"an event of round {round}, but round {state.round} is open")
    return round == state.round


def _check_reported_unit(state: State, unit: UnitRef) -> None:
    if not _is_open(state, unit.round):
        return
    if not 0 <= unit.slot < len(state.slots):
        raise IllegalEvent(f"a report on unit {unit}: the round has {len(state.slots)} slots")
    attempt = state.slots[unit.slot].attempt
    if unit.attempt > attempt:
        raise IllegalEvent(f"a report on unit {unit}, but attempt {attempt} is open")


def _check_combined(state: State, event: CombineFinished) -> None:
    held = state.open
    if event.generation < held.generation:
        return
    settled = held.index.done + held.index.count[SlotStatus.DISPUTED] == len(held.slots)
    if event.generation > held.generation or not settled:
        raise IllegalEvent(
            f"results of round {event.round}, generation {event.generation} were combined, "
            f"but generation {held.generation} is not settled"
        )
    combined = Combined(event.checkpoint, event.blob, event.aggregate)
    if held.combined not in (None, combined):
        raise IllegalEvent(f"two checkpoints from the same results of round {event.round}")


def _check_claims(state: State, event: RoundCommittedOnChain) -> None:
    if event.batch != state.open.batches:
        raise IllegalEvent(
            f"batch {event.batch} of round {event.round}, but batch {state.open.batches} is due"
        )
    seen: set[int] = set()
    for claim in event.claims:
        move(slot_on_chain(state, UnitRef(event.round, claim.slot, claim.attempt)), event)
        if claim.slot in seen:
            raise IllegalEvent(f"batch {event.batch} claims slot {claim.slot} twice")
        seen.add(claim.slot)


def _check_settled(slots: Iterable[Slot], round: int) -> None:
    unsettled = [slot.index for slot in slots if slot.status not in DONE]
    if unsettled:
        raise IllegalEvent(f"round {round} was finalized with slots {unsettled} unsettled")
