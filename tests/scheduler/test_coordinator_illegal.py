"""Events that cannot be, and events that come too late."""

from dataclasses import replace

import pytest

from scheduler.errors import IllegalEvent
from scheduler.events import (
    ChallengeWindowOver,
    CombineFailed,
    CombineFinished,
    CommitRefused,
    FinalizeRefused,
    ResultFault,
    ResultRefused,
    ResultStored,
    RoundCommittedOnChain,
    RoundFinalizedOnChain,
    UnitDrawn,
)
from scheduler.terms import UnitRef
from tests.scheduler.machine import (
    AUDITOR,
    BLOB,
    Machine,
    blob,
    peer,
)

NEXT = b"c" * 32


# --- Illegal events ---


def settled_machine() -> Machine:
    machine = Machine()
    machine.settled("a", "b")
    return machine


ILLEGAL = {
    "started twice": lambda m: m.begun,
    "stored in a later round": lambda m: ResultStored(UnitRef(1, 0, 0), BLOB),
    "stored in a later attempt": lambda m: ResultStored(UnitRef(0, 0, 1), BLOB),
    "stored in no slot": lambda m: ResultStored(UnitRef(0, 2, 0), BLOB),
    "refused in a later round": lambda m: ResultRefused(
        UnitRef(1, 0, 0), BLOB, peer("a"), ResultFault.MALFORMED
    ),
    "commit refused in a later round": lambda m: CommitRefused(1, ""),
    "combined in a later round": lambda m: CombineFinished(1, 0, NEXT, BLOB, BLOB),
    "combined in a later generation": lambda m: CombineFinished(0, 1, NEXT, BLOB, BLOB),
    "combination failed in a later round": lambda m: CombineFailed(1, 0, ""),
    "window over in a later round": lambda m: ChallengeWindowOver(1),
    "finalize refused in a later round": lambda m: FinalizeRefused(1, ""),
    "finalized in a later round": lambda m: RoundFinalizedOnChain(m.at(), 1, NEXT),
    "committed in a later round": lambda m: RoundCommittedOnChain(m.at(), 1, 0, ()),
    "committed batch out of order": lambda m: RoundCommittedOnChain(m.at(), 0, 2, ()),
    "drawn in a later round": lambda m: UnitDrawn(m.at(), UnitRef(1, 0, 0), AUDITOR, 0),
    "drawn in another attempt": lambda m: UnitDrawn(m.at(), UnitRef(0, 0, 1), AUDITOR, 0),
    "drawn in no slot": lambda m: UnitDrawn(m.at(), UnitRef(0, 2, 0), AUDITOR, 0),
}


@pytest.mark.parametrize("name", ILLEGAL)
def test_event_that_cannot_be_is_illegal_and_changes_nothing(name: str) -> None:
    """About what never was: an error of the node, not of a peer."""
    machine = settled_machine()
    before, event = machine.digest(), ILLEGAL[name](machine)
    with pytest.raises(IllegalEvent):
        machine.feed(event)
    assert machine.digest() == before


def test_batch_with_one_wrong_claim_is_refused_whole() -> None:
    """The right claims before it change nothing; nor does a slot that is claimed twice."""
    machine = Machine()
    machine.submitted("a", "b")
    right = machine.slot(0).claim
    for wrong in (replace(machine.slot(1).claim, attempt=1), right):
        before = machine.digest()
        with pytest.raises(IllegalEvent):
            machine.feed(RoundCommittedOnChain(machine.at(), 0, 0, (right, wrong)))
        assert machine.digest() == before


def test_combination_of_unsettled_units_is_illegal() -> None:
    """Nobody asked for it."""
    machine = Machine()
    machine.committed("a", "b")
    machine.passed(0)
    with pytest.raises(IllegalEvent, match="not settled"):
        machine.combined()


def test_second_checkpoint_from_the_same_results_is_illegal() -> None:
    """The same one is only a repetition."""
    machine = settled_machine()
    machine.combined(NEXT)
    before = machine.digest()
    machine.combined(NEXT)
    assert machine.digest() == before
    with pytest.raises(IllegalEvent, match="two checkpoints"):
        machine.combined(b"x" * 32)


def test_finalization_with_unsettled_slots_is_illegal() -> None:
    """The ledger would not do that."""
    machine = Machine()
    machine.committed("a", "b")
    machine.passed(0)
    with pytest.raises(IllegalEvent, match=r"slots \[1\] unsettled"):
        machine.finalized()


def test_reports_on_an_earlier_round_are_ignored() -> None:
    """Commands overlap with events; what is over is over."""
    machine = Machine()
    machine.settled("a", "b")
    machine.combined()
    machine.feed(ChallengeWindowOver(0))
    machine.finalized()
    before = machine.digest()
    unit = UnitRef(0, 0, 0)
    for event in (
        ResultStored(unit, blob("a", unit)),
        ResultRefused(unit, blob("a", unit), peer("a"), ResultFault.MALFORMED),
        CommitRefused(0, ""),
        CombineFinished(0, 0, NEXT, BLOB, BLOB),
        CombineFailed(0, 0, ""),
        ChallengeWindowOver(0),
        FinalizeRefused(0, ""),
    ):
        machine.feed(event)
    assert machine.digest() == before
