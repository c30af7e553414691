"""Commitments: what an account can open after a restart, and nobody else before."""

from pathlib import Path

import pytest

from node.commitments import Commitments, Roots
from node.ids import UnitId, commitment
from node.journal import Journal

ACCOUNT, OTHER = "0x" + "11" * 20, "0x" + "22" * 20
UNIT, ROOTS = UnitId(b"u" * 32), Roots(b"r" * 32, b"t" * 32)
JOB = b"j" * 32
PLACE = JOB, 3


def test_a_commitment_opens_with_its_salt(tmp_path: Path) -> None:
    """It is the formula of the chain over the kept roots and the derived salt."""
    with Journal(tmp_path / "journal") as journal:
        mine = Commitments(journal, ACCOUNT, b"k" * 32)
        made = mine.commit("worker", UNIT, ROOTS, *PLACE)
        assert made == commitment(UNIT, ACCOUNT, ROOTS.unit_root, mine.salt("worker", UNIT))


def test_roots_and_salts_survive_a_restart(tmp_path: Path) -> None:
    """Nothing but the key and the journal is needed."""
    with Journal(tmp_path / "journal") as journal:
        before = Commitments(journal, ACCOUNT, b"k" * 32)
        before.commit("auditor", UNIT, ROOTS, *PLACE)
        salt = before.salt("auditor", UNIT)
    with Journal(tmp_path / "journal") as journal:
        after = Commitments(journal, ACCOUNT, b"k" * 32)
        assert after.roots("auditor", UNIT) == ROOTS
        assert after.salt("auditor", UNIT) == salt


@pytest.mark.parametrize("place", [PLACE, (JOB,)], ids=["round", "job"])
def test_forgotten_roots_leave_nothing(tmp_path: Path, place: tuple[bytes, int]) -> None:
    """Of all roles and units of a round or a job, and of no other."""
    with Journal(tmp_path / "journal") as journal:
        mine = Commitments(journal, ACCOUNT, b"k" * 32)
        other = UnitId(b"o" * 32)
        mine.commit("worker", other, ROOTS, b"k" * 32, 3)
        kept = journal.keys("")
        for role in ("worker", "juror"):
            mine.commit(role, UNIT, ROOTS, *PLACE)
        mine.forget(JOB, 33)
        assert mine.roots("worker", UNIT) == mine.roots("auditor", UNIT) == ROOTS
        mine.forget(*place)
        assert mine.roots("worker", UNIT) is mine.roots("auditor", UNIT) is None
        assert journal.keys("") == kept


def test_salts_differ_by_key_unit_and_role(tmp_path: Path) -> None:
    """A salt that was shown tells nothing about another."""
    with Journal(tmp_path / "journal") as journal:
        one, two = (Commitments(journal, ACCOUNT, key * 32) for key in (b"k", b"l"))
        salts = {
            one.salt("worker", UNIT),
            one.salt("auditor", UNIT),
            one.salt("juror", UNIT),
            one.salt("worker", UnitId(b"v" * 32)),
            two.salt("worker", UNIT),
        }
    assert len(salts) == 5
    assert all(len(salt) == 32 for salt in salts)


def test_an_audit_never_takes_over_what_was_computed_for_pay(tmp_path: Path) -> None:
    """A unit that lost its race as work may come back as an audit: it is computed again."""
    with Journal(tmp_path / "journal") as journal:
        mine = Commitments(journal, ACCOUNT, b"k" * 32)
        mine.commit("worker", UNIT, ROOTS, *PLACE)
        assert mine.roots("worker", UNIT) == ROOTS
        assert mine.roots("auditor", UNIT) is None
        mine.commit("auditor", UNIT, Roots(b"x" * 32, b"y" * 32), *PLACE)
        assert mine.roots("juror", UNIT) == Roots(b"x" * 32, b"y" * 32)
        assert mine.roots("worker", UNIT) == ROOTS
