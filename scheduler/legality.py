"""Which events cannot follow: looked at before anything is changed.

An event of this node or of the chain about what never was is IllegalEvent, a mistake of whoever
drives the machine. Peers cause no such errors: what they say out of turn is answered with a
refusal (scheduler/assignment.py). A report on what was replaced meanwhile is ignored.

Passing time moves no slot into or out of a status that decides here, so it does not matter that
time is settled after this check.
"""

from scheduler.errors import IllegalEvent
from scheduler.events import (
    AnchorRefused,
    AnchorsWithdrawnOnChain,
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
    RoundAnchoredOnChain,
    RoundCommittedOnChain,
    RoundFinalizedOnChain,
    UnitEvent,
)
from scheduler.round import Round
from scheduler.rows import DONE, ON_CHAIN, Combined, Slot, SlotStatus
from scheduler.state import State
from scheduler.terms import UnitRef
from scheduler.transitions import move

Report = (
    CommitRefused
    | CombineFinished
    | CombineFailed
    | ChallengeWindowOver
    | FinalizeRefused
    | AnchorRefused
)


def check(state: State, event: Event) -> None:
    """IllegalEvent if the event cannot follow; the state is only read."""
    match event:
        case CoordinationStarted():
            raise IllegalEvent("the coordination has started already")
        case ResultStored() | ResultRefused() | ResultHeld() | HoldingRefused():
            _check_reported_unit(state, event.unit)
        case CombineFinished():
            held = _reported(state, event.round)
            if held is not None:
                _check_combined(state, held, event)
        case (
            CommitRefused()
            | CombineFailed()
            | ChallengeWindowOver()
            | FinalizeRefused()
            | AnchorRefused()
        ):
            _reported(state, event.round)
        case RoundCommittedOnChain():
            if _under_way(state, event.round) is not None:
                _check_claims(state, event)
        case RoundAnchoredOnChain():
            if _under_way(state, event.round) is not None:
                _check_anchored(state, event)
        case AnchorsWithdrawnOnChain():
            # The fault before it in the log may have cut already.
            cut = event.round == state.round
            if event.round >= event.head or (event.head > state.round and not cut):
                raise IllegalEvent(
                    f"anchors of rounds {event.round} to {event.head} were withdrawn, but round "
                    f"{state.round} is open"
                )
        case RoundFinalizedOnChain():
            held = _under_way(state, event.round)
            if held is not None:
                _check_settled(state, held)
        case _:
            if isinstance(event, UnitEvent) and _under_way(state, event.unit.round) is not None:
                move(slot_on_chain(state, event.unit), event)


def slot_on_chain(state: State, unit: UnitRef) -> Slot:
    """The slot of a unit of a round under way that the chain speaks of."""
    held = state.find(unit.round)
    assert held is not None, f"round {unit.round} is not under way"
    if not 0 <= unit.slot < len(held.slots):
        raise IllegalEvent(f"unit {unit}: the round has {len(held.slots)} slots")
    slot = held.slots[unit.slot]
    if slot.attempt != unit.attempt:
        raise IllegalEvent(f"unit {unit}, but attempt {slot.attempt} of the slot is open")
    return slot


def _under_way(state: State, round: int) -> Round | None:
    """The round that an event is about, if it is under way; an earlier one is history."""
    if round > state.round:
        raise IllegalEvent(f"an event of round {round}, but round {state.round} is open")
    return state.find(round)


def _reported(state: State, round: int) -> Round | None:
    """The same for a report of this node, which may be about a round that was dissolved."""
    return None if round in state.dissolved else _under_way(state, round)


def _check_reported_unit(state: State, unit: UnitRef) -> None:
    held = _reported(state, unit.round)
    if held is None:
        return
    if not 0 <= unit.slot < len(held.slots):
        raise IllegalEvent(f"a report on unit {unit}: the round has {len(held.slots)} slots")
    attempt = held.slots[unit.slot].attempt
    if unit.attempt > attempt:
        raise IllegalEvent(f"a report on unit {unit}, but attempt {attempt} is open")


def _check_combined(state: State, held: Round, event: CombineFinished) -> None:
    if event.generation < held.generation:
        return
    settled = held.index.done + held.index.count[SlotStatus.DISPUTED] == len(held.slots)
    if state.terms.rounds_ahead:
        settled = held.all_here()
    if event.generation > held.generation or not settled:
        raise IllegalEvent(
            f"results of round {event.round}, generation {event.generation} were combined, "
            f"but generation {held.generation} is not settled"
        )
    combined = Combined(event.checkpoint, event.blob, event.aggregate)
    if held.combined not in (None, combined):
        raise IllegalEvent(f"two checkpoints from the same results of round {event.round}")


def _check_claims(state: State, event: RoundCommittedOnChain) -> None:
    if event.round != state.round:
        raise IllegalEvent(f"claims to round {event.round}, which is anchored")
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


def _check_anchored(state: State, event: RoundAnchoredOnChain) -> None:
    number, terms = event.round, state.terms
    if number != state.round:
        raise IllegalEvent(f"round {number} was anchored twice")
    unclaimed = [slot.index for slot in state.slots if slot.status not in ON_CHAIN]
    if unclaimed:
        raise IllegalEvent(f"round {number} was anchored with slots {unclaimed} unclaimed")
    if len(state.anchored) >= terms.rounds_ahead or number + 1 >= terms.rounds:
        raise IllegalEvent(f"round {number} was anchored, {len(state.anchored)} are already")


def _check_settled(state: State, held: Round) -> None:
    if held is not state.oldest:
        raise IllegalEvent(f"round {held.number} was finalized before round {state.oldest.number}")
    unsettled = [slot.index for slot in held.slots if slot.status not in DONE]
    if unsettled:
        raise IllegalEvent(f"round {held.number} was finalized with slots {unsettled} unsettled")
