"""What a coordinating node owes, checked whenever it adopts a state or combines results."""

from typing import TYPE_CHECKING

from scheduler.commands import Combine
from scheduler.events import (
    CommitRefused,
    Event,
    ResultRefused,
    RoundCommittedOnChain,
    UnitFaulted,
    UnitVoided,
)
from scheduler.invariants import invariants
from scheduler.progress import progress
from scheduler.rows import DONE, LOCAL, ON_CHAIN, Slot, SlotStatus
from scheduler.state import State
from scheduler.terms import UnitRef, Wallet
from tests.simulation.laws import Law, require

if TYPE_CHECKING:
    from tests.simulation.host import Host

LOOK_CLOSER = 0.15
"""The share of states whose invariants are computed anew, but for thorough runs: they are dear."""


def check_adopted(host: "Host", old: dict[int, tuple[Slot, ...]], new: State, event: Event) -> None:
    """The state is sound, and no receipted claim left its slot without a reason."""
    if host.world.thorough or host.loop.random.random() < LOOK_CLOSER:
        wrong = invariants(new)
        require(not wrong, Law.PROMISE, "; ".join(wrong))
        progress(new, host.loop.now_ms)
    for unit, claim in sorted(host.receipts.items()):
        held = new.find(unit.round)
        if held is None or unit.round not in old or new.outcome is not None:
            continue
        before, after = old[unit.round][unit.slot], held.slots[unit.slot]
        if before.attempt != unit.attempt:
            continue
        if claim == promise(before) and claim != promise(after):
            reason = excuse(before, new, event)
            lost = f"the receipted commit of {claim[0]} to {unit} was lost by {event}"
            require(reason, Law.PROMISE, lost)
            del host.receipts[unit]


def check_combine(host: "Host", command: Combine) -> None:
    """Every slot once, in order, and no unit that is not settled as far as the node knows.

    Where rounds may run ahead, claimed.
    """
    assert host.state is not None
    job = host.job
    assert job is not None
    slots = [result.slot for result in command.results]
    every = list(range(host.world.scenario.slots))
    require(len(set(slots)) == len(slots), Law.SLOT_ONCE, f"{slots} are combined")
    require(slots == every, Law.SLOT_KEPT, f"{slots} are combined")
    held = host.state.find(command.round)
    assert held is not None
    settled = ON_CHAIN if host.world.scenario.rounds_ahead else DONE
    for slot in held.slots:
        ref = UnitRef(command.round, slot.index, slot.attempt)
        require(slot.status in settled, Law.SETTLED, f"{ref} is {slot.status} and combined")


def check_covered(state: State, wallet: Wallet) -> None:
    """A wallet that was given a unit has a bond for all that it computes or claims, once each."""
    units = [
        slot.index
        for slot in state.slots
        if wallet in {a.wallet for a in slot.assignments}
        or (slot.status in LOCAL and slot.filling is not None and slot.filling.wallet == wallet)
    ]
    covers = state.workers[wallet].covers
    require(len(units) <= covers, Law.LOCKED, f"{wallet} has {units}, its bond covers {covers}")


def promise(slot: Slot) -> tuple[Wallet, bytes] | None:
    """Whose claim fills the slot."""
    filling = slot.filling
    return (filling.wallet, filling.commitment) if filling is not None else None


def excuse(before: Slot, new: State, event: Event) -> str:
    """Why a receipted claim may leave its slot; empty if nothing explains it."""
    assert before.filling is not None
    worker = new.workers[before.filling.wallet]
    if isinstance(event, UnitFaulted | UnitVoided):
        return "a verdict"
    if isinstance(event, RoundCommittedOnChain):
        return "another claim is on the chain"
    if before.status in ON_CHAIN:
        return ""
    if not worker.active or (isinstance(event, CommitRefused) and event.slots):
        return "the chain refuses the claim"
    if before.status is SlotStatus.RECEIPTED and isinstance(event, ResultRefused):
        return "the result is missing or malformed"
    overdue = before.status is SlotStatus.RECEIPTED and new.clock_ms >= before.due_ms
    return "the result did not come" if overdue else ""
