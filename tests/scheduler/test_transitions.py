"""The table of moves: every pair of status and event, legal or not."""

from collections.abc import Callable

import pytest

from scheduler.errors import IllegalEvent
from scheduler.events import (
    AuditAdvanced,
    CommitRefused,
    Event,
    HoldingRefused,
    ResultFault,
    ResultHeld,
    ResultRefused,
    ResultStored,
    RoundCommittedOnChain,
    UnitCommitted,
    UnitDisputed,
    UnitDrawn,
    UnitFaulted,
    UnitPassed,
    UnitVerified,
    UnitVoided,
)
from scheduler.rows import SlotStatus
from scheduler.terms import Claim, Holding
from scheduler.transitions import SLOT_MOVES
from tests.scheduler.machine import AUDITOR, Machine, blob, commit, peer, root, wallet

SLOT = 0


def claim_of_another(machine: Machine) -> RoundCommittedOnChain:
    unit = machine.unit(SLOT)
    claim = Claim(SLOT, unit.attempt, wallet("b"), root("b", unit), b"b", b"signed")
    return RoundCommittedOnChain(machine.at(), unit.round, machine.state.open.batches, (claim,))


def of_unit(kind: Callable[..., Event], *rest: object) -> Callable[[Machine], Event]:
    return lambda machine: kind(machine.at(), machine.unit(SLOT), *rest)


MAKE: dict[type, Callable[[Machine], Event]] = {
    UnitCommitted: lambda machine: commit("a", machine.unit(SLOT)),
    ResultStored: lambda m: ResultStored(m.unit(SLOT), blob("a", m.unit(SLOT))),
    ResultRefused: lambda m: ResultRefused(
        m.unit(SLOT), blob("a", m.unit(SLOT)), peer("a"), ResultFault.UNAVAILABLE
    ),
    # Of one that was not asked, or a third holder: the slot stays as it is.
    ResultHeld: lambda m: ResultHeld(
        m.unit(SLOT), blob("a", m.unit(SLOT)), Holding(wallet("a"), b"held")
    ),
    HoldingRefused: lambda m: HoldingRefused(
        m.unit(SLOT), blob("a", m.unit(SLOT)), wallet("stranger")
    ),
    CommitRefused: lambda machine: CommitRefused(machine.state.round, "reverted"),
    RoundCommittedOnChain: claim_of_another,
    UnitDrawn: of_unit(UnitDrawn, AUDITOR, 9_999_999),
    AuditAdvanced: of_unit(AuditAdvanced, 9_999_999),
    UnitPassed: of_unit(UnitPassed, 0),
    UnitVerified: of_unit(UnitVerified, 0),
    UnitDisputed: of_unit(UnitDisputed),
    UnitFaulted: of_unit(UnitFaulted, wallet("a")),
    UnitVoided: of_unit(UnitVoided),
}
CHAIN = {
    RoundCommittedOnChain,
    UnitDrawn,
    AuditAdvanced,
    UnitPassed,
    UnitVerified,
    UnitDisputed,
    UnitFaulted,
    UnitVoided,
}
PAIRS = [(status, kind) for kind in MAKE for status in SlotStatus]
LEGAL = [(status, kind) for status, kind in PAIRS if status in SLOT_MOVES[kind]]
ILLEGAL = [(status, kind) for status, kind in PAIRS if status not in SLOT_MOVES[kind]]


N, R, S, F, U, C, D, X, P, V = SlotStatus
FROM_THE_CONTRACT: dict[type, dict[SlotStatus, SlotStatus]] = {
    UnitCommitted: {N: R},
    ResultStored: {R: S, C: C, D: D, X: X, P: P, V: V},
    ResultRefused: {R: N, C: C, D: D, X: X, P: P, V: V},
    ResultHeld: {S: S},
    HoldingRefused: {S: S},
    CommitRefused: {U: F},
    RoundCommittedOnChain: {N: C, R: C, S: C, F: C, U: C},
    UnitDrawn: {C: D, D: D},
    AuditAdvanced: {D: D, X: X},
    UnitPassed: {C: P, D: P},
    UnitVerified: {D: V, X: V},
    UnitDisputed: {D: X, P: X, V: X},
    UnitFaulted: {D: N, X: N},
    UnitVoided: {X: N},
}
"""Written down a second time, from contracts/ledger, so that the table cannot vouch for itself."""


def test_table_is_that_of_the_contract() -> None:
    """No move more and none less."""
    assert {kind: dict(moves) for kind, moves in SLOT_MOVES.items()} == FROM_THE_CONTRACT


def machine_with(status: SlotStatus, kind: type) -> Machine:
    """Slot 0 at this status by peer a; slot 1 not ready for the chain until slot 0 is."""
    machine = Machine(slots=2)
    machine.bring(status)
    if kind is ResultStored and status is SlotStatus.RECEIPTED:
        # Else it would be filled at once: there would be nobody else to hold it.
        machine.proven("keeper")
    if kind is UnitCommitted and status is SlotStatus.OPEN:
        machine.join("a")
        machine.request("a")
    return machine


def names(value: object) -> str:
    return value.__name__ if isinstance(value, type) else str(value)


def test_table_covers_every_event_about_a_slot() -> None:
    """Whoever adds an event about slots adds its moves, and a way to try them here."""
    assert set(SLOT_MOVES) == set(MAKE)


@pytest.mark.parametrize(("status", "kind"), LEGAL, ids=names)
def test_legal_event_moves_slot_as_the_table_says(status: SlotStatus, kind: type) -> None:
    """And no other slot moves with it."""
    machine = machine_with(status, kind)
    attempt = machine.slot(SLOT).attempt
    other = machine.slot(1).status
    machine.feed(MAKE[kind](machine))
    expected = SLOT_MOVES[kind][status]
    assert machine.slot(SLOT).status is expected
    assert machine.slot(SLOT).attempt == attempt + (kind in {UnitFaulted, UnitVoided})
    if kind is not CommitRefused:
        assert machine.slot(1).status is other


@pytest.mark.parametrize(("status", "kind"), ILLEGAL, ids=names)
def test_illegal_event_changes_nothing(status: SlotStatus, kind: type) -> None:
    """The chain's is an error; a report that came too late and a peer out of turn are not."""
    machine = machine_with(status, kind)
    before = machine.digest()
    event = MAKE[kind](machine)
    if kind in CHAIN:
        with pytest.raises(IllegalEvent, match=kind.__name__):
            machine.feed(event)
    else:
        machine.feed(event)
    assert machine.digest() == before
