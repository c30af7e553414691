"""A receipted unit that is left out can be proved, and nothing else is."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from node.chain import events as e
from node.chain.events import Place
from node.chain.types import Claim, JobTerms
from node.errors import PeerFault
from node.ids import JobId
from node.journal import Journal
from node.ledger import JobView, Ledger
from node.receipts import Receipts, SignedReceipt, left_out
from node.wallet import Signer
from scheduler.terms import UnitRef

JOB = JobId(b"j" * 32)
COORDINATOR, OTHER = Signer.random(), Signer.random()
UNIT = UnitRef(0, 0, 0)
MINE, THEIRS = b"m" * 32, b"t" * 32


def receipt(signer: Signer = COORDINATOR, commitment: bytes = MINE) -> SignedReceipt:
    """A coordinator's word for a commitment."""
    unsigned = SignedReceipt(JOB, UNIT, b"r" * 32, commitment, b"")
    return replace(unsigned, signature=signer.sign_text(unsigned.text))


def job(commitment: bytes | None, holder: Signer = COORDINATOR, final: int = 0) -> JobView:
    """A job in which a coordinator put this claim on chain; so many rounds are final."""
    ledger, place = Ledger(), Place(1, 0, b"")
    terms = JobTerms(b"m" * 32, 100, b"b" * 32, rounds=3, slots=1, unit_wei=10, deadline=10**6)
    ledger.apply(e.JobFunded(place, JOB, OTHER.address, terms, 5, terms.unit_wei, 66))
    ledger.apply(e.LeaseTaken(place, JOB, holder.address, 1, 99))
    if commitment is not None:
        claim = Claim(0, 0, OTHER.address, b"r" * 32, commitment, b"s" * 65)
        ledger.apply(e.RoundCommitted(place, JOB, 0, 0, b"c" * 32, 9, (claim,)))
    for round in range(final):
        ledger.apply(e.RoundFinalized(place, JOB, round, b"c" * 32, b"b" * 32, 7, 1))
    return ledger.jobs[JOB]


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    """A new journal."""
    with Journal(tmp_path / "journal") as opened:
        yield opened


def test_another_claim_of_the_same_coordinator_is_the_proof() -> None:
    """The very claim, no claim yet, a successor's claim, another's signature prove nothing."""
    assert left_out(receipt(), job(THEIRS))
    assert not left_out(receipt(), job(MINE))
    assert not left_out(receipt(), job(None))
    assert not left_out(receipt(), job(THEIRS, holder=OTHER))
    assert not left_out(receipt(OTHER), job(THEIRS))
    assert not left_out(replace(receipt(), signature=b"s" * 65), job(THEIRS))
    assert not left_out(replace(receipt(), result_root=b"x" * 32), job(THEIRS))
    assert not left_out(replace(receipt(), job_id=b"k" * 32), job(THEIRS))


def test_a_receipt_that_the_coordinator_did_not_sign_is_a_fault(journal: Journal) -> None:
    """Nor is one for another commitment taken."""
    receipts = Receipts(journal)
    for wrong in (receipt(OTHER), replace(receipt(), commitment=THEIRS)):
        with pytest.raises(PeerFault, match="is not signed by"):
            receipts.take(wrong, COORDINATOR.address)
    assert journal.keys("") == []


def test_what_was_left_out_is_found_once_and_kept_as_evidence(journal: Journal) -> None:
    """After a restart too: receipts are in the journal."""
    Receipts(journal).take(receipt(), COORDINATOR.address)
    receipts = Receipts(journal)
    assert receipts.examine(job(None)) == []
    assert receipts.examine(job(THEIRS, final=1)) == [receipt()]
    assert receipts.examine(job(THEIRS, final=1)) == []
    assert [key.partition("/")[0] for key in journal.keys("")] == ["left_out"]


@pytest.mark.parametrize("seen", [job(MINE), job(MINE, final=1), job(THEIRS, final=2)])
def test_what_the_chain_settled_or_forgot_is_forgotten(journal: Journal, seen: JobView) -> None:
    """An honoured receipt is of no use, and what can no longer be compared neither."""
    receipts = Receipts(journal)
    receipts.take(receipt(), COORDINATOR.address)
    assert receipts.examine(seen) == []
    assert journal.keys("") == []
