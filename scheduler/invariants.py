"""What must hold after every event: the oracle of the tests."""

from scheduler.round import Round, SlotIndex
from scheduler.rows import EMPTY, LOCAL, ON_CHAIN, WAITING, Slot, SlotStatus
from scheduler.standing import of_round
from scheduler.state import CrowdIndex, State
from scheduler.terms import HOLDERS_MAX, PEERS_MAX, WORKERS_MAX


def invariants(state: State) -> list[str]:
    """What is wrong with this state; empty for every state that events can reach."""
    wrong = [fault for held in state.under_way() for fault in _of_round(state, held)]
    if len(state.anchored) > state.terms.rounds_ahead:
        wrong.append(f"{len(state.anchored)} rounds are anchored")
    if [held.number for held in state.under_way()] != [
        state.oldest.number + ahead for ahead in range(len(state.anchored) + 1)
    ]:
        wrong.append("rounds are out of order")
    if not all(0 < number - state.round <= state.terms.rounds_ahead for number in state.dissolved):
        wrong.append(f"rounds {sorted(state.dissolved)} are remembered as dissolved")
    if len(state.peers) > PEERS_MAX or len(state.workers) > WORKERS_MAX:
        wrong.append(f"{len(state.peers)} peers and {len(state.workers)} wallets are too many")
    return wrong + _of_indexes(state)


def _of_round(state: State, held: Round) -> list[str]:
    wrong = [fault for slot in held.slots for fault in _of_slot(state, slot)]
    if held.window_over and not held.all_done():
        wrong.append("the challenge window is over although units are open")
    if [slot.index for slot in held.slots] != list(range(len(held.slots))):
        wrong.append("slots are out of order")
    if held is not state.open and not all(slot.status in ON_CHAIN for slot in held.slots):
        wrong.append(f"round {held.number} is anchored with open slots")
    return wrong


def _of_slot(state: State, slot: Slot) -> list[str]:
    wrong = []
    filled = slot.filling is not None
    checked = slot.filling is not None and slot.filling.stored
    if filled != (slot.status not in EMPTY):
        wrong.append(f"is {slot.status} but filled={filled}")
    if (slot.batch is not None) != (slot.status in ON_CHAIN):
        wrong.append(f"is {slot.status} in batch {slot.batch}")
    if slot.assignments and slot.status not in EMPTY:
        wrong.append(f"is {slot.status} and still assigned")
    if len({a.wallet for a in slot.assignments}) != len(slot.assignments):
        wrong.append("is assigned twice to one wallet")
    if len(slot.assignments) > state.terms.policy.copies_max:
        wrong.append(f"has {len(slot.assignments)} assignments")
    if slot.status in LOCAL and slot.filling and slot.filling.blob is None:
        wrong.append(f"is {slot.status} without a result blob")
    if slot.status in LOCAL - {SlotStatus.RECEIPTED} and not checked:
        wrong.append(f"is {slot.status} but its result is not here")
    if slot.return_ms and (checked or slot.status not in ON_CHAIN):
        wrong.append(f"is {slot.status} and waits for holders to come back")
    if slot.asks and slot.status is not SlotStatus.STORED:
        wrong.append(f"is {slot.status} and still asks for holders")
    if slot.filling and len(slot.filling.holders) != len(slot.filling.holdings):
        wrong.append("counts a holder twice")
    if slot.filling and len(slot.filling.holdings) > HOLDERS_MAX:
        wrong.append(f"has {len(slot.filling.holdings)} holders")
    if state.outcome is None and not _are_bonded(state, slot):
        wrong.append(f"is {slot.status} with a wallet that has no bond")
    return [f"slot {slot.index} {fault}" for fault in wrong]


def _are_bonded(state: State, slot: Slot) -> bool:
    """Those whose work would be for nothing without a bond have one."""
    named = {assignment.wallet for assignment in slot.assignments}
    if slot.filling is not None and slot.status in WAITING:
        named.add(slot.filling.wallet)
    return all(wallet in state.workers and state.workers[wallet].active for wallet in named)


def _of_indexes(state: State) -> list[str]:
    """Indexes kept row by row are those that the rows give when they are read all at once."""
    wrong = []
    pairs: list[tuple[SlotIndex | CrowdIndex, SlotIndex | CrowdIndex]] = [
        (held.index, SlotIndex(held.slots)) for held in state.under_way()
    ]
    for kept, made in (*pairs, (state.crowd, CrowdIndex(state))):
        for name in type(made).__slots__:
            if name != "touched" and getattr(kept, name) != getattr(made, name):
                wrong.append(f"the index {name} does not follow from the rows")
    if state.during.standing != of_round(state):
        wrong.append("the noted commands of the round are not those that stand")
    return wrong
