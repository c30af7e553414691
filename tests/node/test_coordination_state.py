"""A coordination's journal: records before receipts, restarts, and beginning anew."""

from typing import cast
from unittest.mock import Mock

import pytest

from node.chain import events as e
from node.chain.events import Place
from node.journal import Journal, JournalError
from node.messages import PullUnit, Receipt, UnitAssigned
from scheduler import coordinator, terms
from scheduler import events as facts
from scheduler.blob_ref import BlobRef
from scheduler.codec import Entry, decode, encode
from scheduler.events import UnitCommitted
from scheduler.terms import UnitRef
from tests.node.coordinating import COORDINATOR, JOB, commit, coordination, paused, pull, watch


def test_what_has_a_receipt_is_in_the_journal(journal: Journal) -> None:
    """A second coordination over the same journal knows the commit and repeats the receipt."""
    watching = watch()
    of = coordination(journal, watching)
    made = commit(cast(UnitAssigned, pull(of)))
    assert isinstance(of.answer("worker", made), Receipt)
    records = [decode(record.body).event for record in journal.read(f"coordination/{JOB.hex()}/1")]
    assert any(isinstance(event, UnitCommitted) for event in records)
    after = coordination(journal, watching)
    assert after.state.slots[made.unit.slot].filling is not None
    assert isinstance(after.answer("worker", made), Receipt)


def test_a_commit_that_cannot_be_journaled_is_not_taken(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The state goes back to what is durable: no receipt, and the same commit counts later."""
    of = coordination(journal)
    made = commit(cast(UnitAssigned, pull(of)))
    before = coordinator.digest(of.state)
    with monkeypatch.context() as full_disk:
        full_disk.setattr(journal, "append", Mock(side_effect=JournalError("no space left")))
        with pytest.raises(JournalError):
            of.answer("worker", made)
    assert coordinator.digest(of.state) == before
    assert isinstance(of.answer("worker", made), Receipt)


def test_a_later_lease_begins_anew(journal: Journal) -> None:
    """Between this node's two leases another held it: no claim signed for the first counts now."""
    watching = watch()
    of = coordination(journal, watching)
    of.answer("worker", commit(cast(UnitAssigned, pull(of))))
    job = watching.ledger.jobs[JOB]
    watching.ledger.apply(e.LeaseTaken(Place(2, 1, b""), JOB, COORDINATOR.address, 10**6, 3))
    assert job.lease_epoch == 3
    again = coordination(journal, watching)
    assert again.state.slots[0].filling is None
    assert journal.streams() == [f"coordination/{JOB.hex()}/3"]


def test_a_journal_behind_the_chain_is_begun_anew(journal: Journal) -> None:
    """Another node went on: the coordination starts at the open round's anchored checkpoint."""
    watching = watch()
    coordination(journal, watching)
    blob_root = b"q" * 32
    watching.ledger.apply(e.RoundFinalized(Place(2, 0, b""), JOB, 0, b"p" * 32, blob_root, 9, 1))
    of = coordination(journal, watching)
    assert (of.state.round, of.state.open.checkpoint) == (1, b"p" * 32)
    assert of.state.open.blob == BlobRef(root=blob_root.hex(), size=9)


def test_restarts_are_journaled_so_that_replays_agree(journal: Journal) -> None:
    """Two restarts lead to the state that one leads to, and to the one that is live."""
    watching = watch()
    of = coordination(journal, watching)
    made = commit(cast(UnitAssigned, pull(of)))
    of.answer("worker", made)
    watching.ledger.head_time_s += 50
    live = coordination(journal, watching)
    watching.ledger.head_time_s += 50
    records = [record.body for record in journal.read(f"coordination/{JOB.hex()}/1")]
    assert coordinator.digest(coordinator.replay(records).state) == coordinator.digest(live.state)
    again = coordination(journal, watching)
    assert again.state.slots[made.unit.slot].filling is not None
    assert isinstance(again.answer("worker", made), Receipt)


def test_a_torn_last_record_is_removed(journal: Journal) -> None:
    """What follows is appended after whole records only."""
    watching = watch()
    of = coordination(journal, watching)
    of.answer("worker", commit(cast(UnitAssigned, pull(of))))
    stream = f"coordination/{JOB.hex()}/1"
    whole = [record.body for record in journal.read(stream)]
    journal.append(stream, whole[-1][:-5])
    resumed = coordination(journal, watching)
    resumed.answer("worker", PullUnit(job_id=JOB.hex(), memory_bytes=1000))
    records = [record.body for record in journal.read(stream)]
    assert records[: len(whole)] == whole
    assert not coordinator.replay(records).torn


def test_no_request_that_is_declined_writes_a_record_each_time(journal: Journal) -> None:
    """Whatever memory it offers: each record costs the coordinator a sync of its disk."""
    of = paused(journal)
    for memory_bytes in (1, 1000):
        pull(of, memory_bytes=memory_bytes)
    before = len(list(journal.read(f"coordination/{JOB.hex()}/1")))
    for memory_bytes in (2, 1000, 999, 1001) * 3:
        pull(of, memory_bytes=memory_bytes)
    assert len(list(journal.read(f"coordination/{JOB.hex()}/1"))) == before


@pytest.mark.parametrize(("head", "records"), [(3, 2), (10, 1)])
def test_a_journal_with_events_that_the_chain_undid_is_begun_anew(
    journal: Journal, head: int, records: int
) -> None:
    """Only what the ledger has read up to: an endpoint that lags has undone nothing."""
    watching = watch()
    coordination(journal, watching)
    stream = f"coordination/{JOB.hex()}/1"
    drawn = facts.UnitDrawn(terms.Position(5, 0), UnitRef(0, 0, 0), terms.Wallet("0x"), 10**6)
    journal.append(stream, encode(Entry(100_000, 0, drawn)))
    watching.ledger.head = head
    again = coordination(journal, watching)
    kept = [decode(record.body).event for record in journal.read(stream)]
    assert (drawn in kept) == (records == 2)
    assert again.state.outcome is None
    assert again._machine.succeeds_another == (records == 1)
