"""node/newcomer_audits.py: what a newcomer has begun survives the process that began it."""

from pathlib import Path

from node.chain.types import ClaimedUnit, Opening
from node.ids import JobId, unit_id
from node.journal import Journal
from node.newcomer_audits import NewcomerAudit, NewcomerAudits

JOB = JobId(b"j" * 32)


def audit(slot: int = 3, deadline_s: int = 1_000) -> NewcomerAudit:
    claim = ClaimedUnit(slot, 1, "0x" + "12" * 20, b"r" * 32, b"c" * 32)
    return NewcomerAudit(JOB, 5, 2, claim, (b"p" * 32, b"q" * 32), deadline_s, b"u" * 32)


def test_audits_are_read_back_as_they_were_written(tmp_path: Path) -> None:
    """Each stage of one, by another process; the most urgent first."""
    opened = audit().committed().opened(Opening(b"t" * 32, b"s" * 32))
    later, sooner = audit(slot=4, deadline_s=2_000), audit(slot=5, deadline_s=10)
    with Journal(tmp_path / "journal") as journal:
        audits = NewcomerAudits(journal)
        audits.keep(audit())
        audits.keep(opened)
        for each in (later, sooner):
            audits.keep(each)
    with Journal(tmp_path / "journal") as journal:
        assert NewcomerAudits(journal).all() == [sooner, opened, later]


def test_an_audit_that_is_over_is_gone(tmp_path: Path) -> None:
    """It is known by its unit."""
    with Journal(tmp_path / "journal") as journal:
        audits = NewcomerAudits(journal)
        audits.keep(audit())
        assert audit().unit_id == unit_id(JOB, 5, 3, 1)
        assert audits.has(audit().unit_id)
        audits.forget(audit())
        assert not audits.has(audit().unit_id)
        assert audits.all() == []
