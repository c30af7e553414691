"""What an account can have back: locks of its units that can be faulted no more."""

import pytest

from node import owed
from node.chain import events as e
from node.chain.events import Place
from node.chain.types import Claim, JobTerms, Parameter
from node.ids import JobId, unit_id
from node.ledger import Ledger

JOB = JobId(b"j" * 32)
TERMS = JobTerms(b"m" * 32, 100, b"b" * 32, rounds=2, slots=2, unit_wei=10, deadline=1000)
US, OTHER = "0x1", "0x2"
UNTIL_S = 140
UNIT = unit_id(JOB, 0, 0, 0)


class Fold:
    """A ledger with one job and a verified unit of ours."""

    def __init__(self, bond_wei: int) -> None:
        self.ledger, self._index = Ledger(), 0
        self.happen(e.ParameterChanged, Parameter.AUDIT_FLOOR_BPS, 0, 500)
        self.happen(e.ParameterChanged, Parameter.LOCK_FACTOR_BPS, 0, 10_000)
        self.happen(e.Bonded, US, bond_wei, bond_wei)
        self.happen(e.JobFunded, JOB, OTHER, TERMS, 5, TERMS.unit_wei, 66)
        self.happen(e.LeaseTaken, JOB, OTHER, 50, 1)
        claims = tuple(
            Claim(slot, 0, who, b"r" * 32, b"c" * 32, b"s" * 65)
            for slot, who in ((0, US), (1, OTHER))
        )
        self.happen(e.RoundCommitted, JOB, 0, 0, b"x" * 32, 9, claims)
        self.happen(e.BondLocked, US, 200, 200)
        for slot in range(2):
            self.happen(e.UnitVerified, unit_id(JOB, 0, slot, 0), JOB, UNTIL_S)

    def happen(self, kind: type[e.Event], *values: object) -> None:
        self._index += 1
        self.ledger.apply(kind(Place(7, self._index, b""), *values))

    def releases(self, now_s: int) -> list[bytes]:
        return [unit.unit_id for unit in owed.releases(self.ledger, US, now_s)]


@pytest.mark.parametrize(("bond_wei", "patience_s"), [(1_000, owed.RELEASE_AFTER_S), (399, 0)])
def test_a_lock_is_asked_back_after_its_window(bond_wei: int, patience_s: int) -> None:
    """With patience: the round's end frees it at no cost; at once if nothing else is covered."""
    fold = Fold(bond_wei)
    assert fold.releases(UNTIL_S + patience_s) == []
    assert fold.releases(UNTIL_S + patience_s + 1) == [UNIT]
    fold.happen(e.LockReleased, UNIT, US, 200)
    assert fold.releases(10**6) == []


def test_the_next_worker_of_a_batch_waits_longer() -> None:
    """The first one's call has freed what is theirs together."""
    fold = Fold(1_000)
    fold.happen(e.Bonded, OTHER, 1_000, 1_000)
    due = UNTIL_S + owed.RELEASE_AFTER_S + owed.RELEASE_STEP_S
    assert owed.releases(fold.ledger, OTHER, due) == []
    assert [unit.worker for unit in owed.releases(fold.ledger, OTHER, due + 1)] == [OTHER]


def test_a_draw_that_is_left_alone_is_captured_by_others_in_time() -> None:
    """Not at once, for its coordinator sees to it; by all before the chain forgets the block."""
    fold = Fold(1_000)
    claims = (Claim(0, 1, US, b"r" * 32, b"c" * 32, b"s" * 65),)
    fold.happen(e.RoundCommitted, JOB, 0, 1, b"x" * 32, 9, claims)
    unit = unit_id(JOB, 0, 0, 1)
    accounts = [f"0x{n}" for n in range(100)]
    seen = set()
    for fold.ledger.head in range(9, 9 + 256):
        due = {a for a in accounts if [u.unit_id for u in owed.captures(fold.ledger, a)] == [unit]}
        assert not due or fold.ledger.head > 9 + owed.CAPTURE_AFTER_BLOCKS
        seen.add(len(due))
    assert len(due) == 100
    assert len(seen) > 10, "not all together"
    fold.happen(e.DrawCaptured, JOB, 0, 1, b"s" * 32, False)
    assert owed.captures(fold.ledger, US) == []


def test_a_final_round_has_freed_its_locks() -> None:
    """There is nothing to ask for."""
    fold = Fold(1_000)
    fold.happen(e.RoundFinalized, JOB, 0, b"c" * 32, b"b" * 32, 1, 30)
    assert fold.releases(10**6) == []


def test_what_may_be_faulted_yet_is_not_asked_for() -> None:
    """The chain would refuse it."""
    fold = Fold(1_000)
    fold.happen(e.UnitDisputed, UNIT, JOB, OTHER)
    assert fold.releases(10**6) == []
