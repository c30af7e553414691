"""A job's history: every unit that was ever on chain, and every wei that a round paid."""

from node.chain import events as e
from node.chain.types import Claim, PassReason
from node.unit_history import JobHistory, history_of
from tests.node.test_ledger import (
    AUDITOR,
    HOLDER,
    JOB,
    SUBMITTER,
    WORKER,
    Chain,
    committed,
    name,
)

ROOT, OTHER = b"o" * 32, b"x" * 32


def audited(chain: Chain, slot: int, attempt: int = 0, seen: bytes = ROOT) -> None:
    """Draw, audit, open and reveal a unit whose worker has ROOT."""
    unit = name(slot, attempt)
    chain.happen(e.UnitDrawn, unit, AUDITOR, JOB, 0, slot, attempt, WORKER, 100)
    chain.happen(e.AuditCommitted, unit, AUDITOR, 120)
    chain.happen(e.UnitOpened, unit, ROOT, 130)
    chain.happen(e.AuditRevealed, unit, AUDITOR, seen)


def final(chain: Chain, *rewards: tuple[str, int]) -> JobHistory:
    """Finalise round 0 with this receipt; the history."""
    total = sum(wei for _, wei in rewards)
    chain.happen(e.RoundFinalized, JOB, 0, b"c" * 32, b"p" * 32, 77, total)
    accounts, amounts = zip(*rewards, strict=True)
    chain.happen(e.RoundRewards, JOB, 0, accounts, amounts)
    return history_of(chain.ledger.jobs[JOB])


def test_every_wei_of_a_round_belongs_to_a_unit() -> None:
    """A unit's price to its worker, an audit's to the auditor that agreed."""
    chain = committed()
    audited(chain, 0)
    chain.happen(e.UnitVerified, name(0), JOB, 140)
    chain.happen(e.UnitPassed, name(1), JOB, PassReason.NOT_DRAWN, 90)
    first, second = (history := final(chain, (WORKER, 20), (AUDITOR, 5))).units
    assert (first.worker, first.coordinator, first.audited_by) == (WORKER, HOLDER, AUDITOR)
    assert (first.verdict, first.paid) == ("verified", {WORKER: 10, AUDITOR: 5})
    assert (second.verdict, second.audited_by) == ("passed (not drawn)", "")
    assert second.paid == {WORKER: 10}
    assert [(r.round, r.total_wei, r.unexplained) for r in history.rounds] == [(0, 25, {})]


def test_leaves_that_do_not_follow_from_the_units_are_named() -> None:
    """Too much, too little, and to somebody who did nothing."""
    chain = committed()
    for slot in (0, 1):
        chain.happen(e.UnitPassed, name(slot), JOB, PassReason.NOT_DRAWN, 90)
    (paid,) = final(chain, (WORKER, 19), (HOLDER, 3)).rounds
    assert paid.unexplained == {WORKER: -1, HOLDER: 3}


def test_a_convicted_unit_and_the_one_in_its_place_are_both_told() -> None:
    """The slash stands with the first attempt, the pay with the second."""
    chain = committed()
    audited(chain, 0, seen=OTHER)
    chain.happen(e.UnitDisputed, name(0), JOB, AUDITOR)
    chain.happen(e.JurorsDrawn, name(0), (HOLDER, SUBMITTER), 200, 230)
    chain.happen(e.UnitFaulted, name(0), JOB, WORKER, 75)
    chain.happen(e.UnitPassed, name(1), JOB, PassReason.NOT_DRAWN, 90)
    again = (Claim(0, 1, HOLDER, b"r" * 32, b"c" * 32, b"s" * 65),)
    chain.happen(e.RoundCommitted, JOB, 0, 1, b"x" * 32, 12, again)
    chain.happen(e.UnitPassed, name(0, 1), JOB, PassReason.NOBODY_ELIGIBLE, 90)
    history = final(chain, (HOLDER, 10), (WORKER, 10))
    lie, redone, _ = history.units
    assert (lie.verdict, lie.disputed_by, lie.jurors) == ("faulted", AUDITOR, (HOLDER, SUBMITTER))
    assert (lie.slashed, lie.paid, lie.audit_root) == ({WORKER: 75}, {}, OTHER)
    assert (redone.attempt, redone.verdict) == (1, "passed (nobody eligible)")
    assert redone.paid == {HOLDER: 10}
    assert history.rounds[0].unexplained == {}


def test_a_unit_whose_data_was_unavailable_says_so() -> None:
    """Void, with nobody slashed, and not as any other void."""
    chain = committed()
    audited(chain, 0, seen=OTHER)
    chain.happen(e.UnitDisputed, name(0), JOB, AUDITOR)
    chain.happen(e.InputUnavailable, name(0), JOB)
    chain.happen(e.UnitVoided, name(0), JOB)
    chain.happen(e.UnitDisputed, name(1), JOB, AUDITOR)
    chain.happen(e.UnitVoided, name(1), JOB)
    first, second = history_of(chain.ledger.jobs[JOB]).units
    assert (first.verdict, first.slashed, first.accepted) == ("input unavailable", {}, False)
    assert second.verdict == "voided"


def test_an_auditor_that_was_wrong_is_not_paid() -> None:
    """Nor is one that was replaced before it showed a root."""
    chain = committed()
    audited(chain, 0, seen=OTHER)
    chain.happen(e.UnitDisputed, name(0), JOB, AUDITOR)
    chain.happen(e.AuditorFaulted, name(0), AUDITOR, 75)
    chain.happen(e.UnitVerified, name(0), JOB, 0)
    chain.happen(e.UnitDrawn, name(1), AUDITOR, JOB, 0, 1, 0, WORKER, 100)
    chain.happen(e.UnitPassed, name(1), JOB, PassReason.AUDITORS_OVERDUE, 90)
    first, second = (history := final(chain, (WORKER, 20))).units
    assert (first.paid, first.slashed) == ({WORKER: 10}, {AUDITOR: 75})
    assert (second.paid, second.audited_by) == ({WORKER: 10}, "")
    assert history.rounds[0].unexplained == {}


def test_a_coordinator_that_changed_is_named_by_its_own_units() -> None:
    """Whoever held the lease when the batch was committed; an open unit has no verdict yet."""
    chain = committed((0,))
    chain.happen(e.LeaseTaken, JOB, SUBMITTER, 90, 2)
    claim = (Claim(1, 0, WORKER, b"r" * 32, b"c" * 32, b"s" * 65),)
    chain.happen(e.RoundCommitted, JOB, 0, 1, b"x" * 32, 12, claim)
    first, second = history_of(chain.ledger.jobs[JOB]).units
    assert (first.coordinator, second.coordinator) == (HOLDER, SUBMITTER)
    assert (first.verdict, first.decided_block, first.paid) == ("open", 0, {})
