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
from scheduler.rows import DONE, ON_CHAIN, Slot, SlotStatus
from scheduler.state import State
from scheduler.terms import UnitRef, Wallet

if TYPE_CHECKING:
    from tests.simulation.host import Host


def check_adopted(host: "Host", old: tuple[Slot, ...], new: State, event: Event) -> None:
    """The state is sound, and no receipted claim left its slot without a reason."""
    assert invariants(new) == []
    progress(new, host.loop.now_ms)
    for unit, claim in sorted(host.receipts.items()):
        if unit.round != new.round or new.outcome is not None:
            continue
        before, after = old[unit.slot], new.slots[unit.slot]
        if claim == promise(before) and claim != promise(after):
            reason = excuse(before, new, event)
            assert reason, f"the receipted commit of {claim[0]} to {unit} was lost by {event}"
            del host.receipts[unit]


def check_combine(host: "Host", command: Combine) -> None:
    """Every slot once, in order, and no unit that is not settled as far as the node knows."""
    assert host.state is not None
    assert [result.slot for result in command.results] == list(range(host.ledger.slots))
    for slot in host.state.slots:
        ref = UnitRef(command.round, slot.index, slot.attempt)
        assert host.ledger.status_at(ref, host.state.chain_at) in ("passed", "verified")
        assert slot.status in DONE


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
