"""node/own_results.py: what a node computed for pay it computes once, whatever happens to it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from node.blobs import BlobStore
from node.commitments import Commitments
from node.compute_messages import UnitDone
from node.contributor import Contributor
from node.errors import NodeError, PeerUnreachable
from node.journal import Journal
from node.ledger import JobView
from node.own_results import OwnResult, OwnResults
from scheduler.manifest import Manifest
from scheduler.terms import UnitRef

JOB, OTHER = b"j" * 32, b"o" * 32
UNIT = UnitRef(3, 1, 0)
PARENT, ROOT, TRACE = b"p" * 32, b"r" * 32, b"t" * 32


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal(tmp_path / "journal") as opened:
        yield opened


@pytest.fixture
def store(tmp_path: Path) -> BlobStore:
    return BlobStore(tmp_path / "store")


def result(store: BlobStore, unit: UnitRef = UNIT) -> OwnResult:
    return OwnResult(unit, PARENT, ROOT, TRACE, store.put(str(unit).encode()))


def test_a_result_is_found_again_as_long_as_its_blob_is_here(
    journal: Journal, store: BlobStore
) -> None:
    """By another process too; of another attempt or job there is none."""
    OwnResults(journal, store).keep(JOB, result(store))
    own = OwnResults(journal, store)
    assert own.find(JOB, UNIT) == result(store)
    assert own.units(JOB, 3) == [UNIT]
    assert own.find(JOB, UnitRef(3, 1, 1)) is None
    assert (own.find(OTHER, UNIT), own.units(OTHER, 3), own.units(JOB, 2)) == (None, [], [])
    store.remove(result(store).blob)
    assert (own.find(JOB, UNIT), own.units(JOB, 3)) == (None, [])


def test_results_of_final_rounds_are_forgotten(journal: Journal, store: BlobStore) -> None:
    """And only those; rounds are compared as numbers."""
    own = OwnResults(journal, store)
    for round in (8, 9, 10, 11):
        own.keep(JOB, result(store, UnitRef(round, 0, 0)))
    own.forget_before(JOB, 10)
    assert [own.units(JOB, round) for round in (8, 9)] == [[], []]
    assert [len(own.units(JOB, round)) for round in (10, 11)] == [1, 1]


class Computing:
    """What computes a unit and rechecks what it starts from, and counts both."""

    def __init__(self, store: BlobStore) -> None:
        self.store, self.count, self.rechecks = store, 0, 0
        self.doubt: NodeError | None = None

    async def run_own(
        self, job: JobView, manifest: Manifest, unit: UnitRef, keep: Callable[[UnitDone], None]
    ) -> None:
        self.count += 1
        done = SimpleNamespace(
            result_root=ROOT, trace_root=TRACE, result=result(self.store, unit).blob
        )
        keep(cast(UnitDone, done))
        await self.recheck(job, manifest, unit)

    async def recheck(self, _job: JobView, _manifest: Manifest, _unit: UnitRef) -> None:
        self.rechecks += 1
        if self.doubt is not None:
            raise self.doubt


@pytest.mark.trio
async def test_a_unit_is_computed_once_from_one_checkpoint(
    journal: Journal, store: BlobStore
) -> None:
    """The commitment is the same; from another checkpoint it is another unit. One whose start could
    not be rechecked is not lost: the recheck alone is made up for.
    """
    computing = Computing(store)
    contributor = Contributor.__new__(Contributor)
    contributor._own = OwnResults(journal, store)
    contributor._duties = cast(Any, SimpleNamespace(recompute=computing))
    contributor._jobs = cast(Any, SimpleNamespace(held={JOB: None}))
    contributor._custody = cast(Any, SimpleNamespace(sign=lambda *_: b"h" * 65))
    contributor._commitments = Commitments(journal, "0x" + "1" * 40, b"s" * 32)
    parents = {3: PARENT}
    facts = {"parent": parents.get, "open_round": 3, "head_round": 3, "units": {}}
    job = cast(JobView, SimpleNamespace(job_id=JOB, **facts))
    computing.doubt = PeerUnreachable("nobody tells the results of the round before")
    with pytest.raises(PeerUnreachable):
        await contributor._compute_unit(job, UNIT)
    computing.doubt = None
    first = await contributor._compute_unit(job, UNIT)
    assert [key.slot for key in contributor._at_hand(job)] == [1]
    assert await contributor._compute_unit(job, UNIT) == first
    assert (computing.count, computing.rechecks) == (1, 3)
    parents[3] = b"q" * 32
    assert (await contributor._compute_unit(job, UNIT)).parent == b"q" * 32
    assert computing.count == 2
    job.units[UNIT] = cast(Any, None)
    assert contributor._at_hand(job) == ()
