"""Holding strangers' jobs: what is malformed is refused for good, what kills the worker waits."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import pytest
import trio
import trio.testing

from node.blobs import BlobStore
from node.bundle import Bundle
from node.chain import AsyncChain
from node.chain import events as e
from node.chain.events import Place
from node.chain.types import JobTerms
from node.chain_watch import ChainWatch
from node.compute import Compute, ComputeTimeout
from node.errors import NodeError, PeerFault
from node.ids import JobId
from node.jobs import LOST_FIRST_S, JobKeeper
from node.journal import Journal
from node.ledger import JobView
from node.messages import OfferJob
from scheduler.blob_ref import BlobRef

pytestmark = pytest.mark.trio

JOB = JobId(b"j" * 32)
US = "0x" + "1" * 40


class Worker:
    """A compute worker that ends every load with `error`, if there is one."""

    loads = 0
    error: NodeError | None = None

    async def load(self, _manifest: BlobRef) -> None:
        self.loads += 1
        if self.error is not None:
            raise self.error


class World:
    """A keeper whose peer has the blobs of `bundle`; the escrow pays `unit_wei` a unit."""

    def __init__(self, folder: Path, journal: Journal, bundle: Bundle, unit_wei: int) -> None:
        theirs, self.store = BlobStore(folder / "theirs"), BlobStore(folder / "ours")
        manifest, self.manifest = bundle.put(theirs), bundle.manifest
        watch = ChainWatch(cast(AsyncChain, None), 0, 1.0)
        terms = JobTerms(
            self.manifest.digest(),
            manifest.size,
            bytes.fromhex(manifest.root),
            rounds=self.manifest.rounds,
            slots=self.manifest.slots,
            unit_wei=unit_wei,
            deadline=10**6,
        )
        watch.ledger.apply(e.JobFunded(Place(1, 0, b""), JOB, US, terms, 5, 66))
        self.job: JobView = watch.ledger.jobs[JOB]

        async def fetch(ref: BlobRef, _sources: object) -> None:
            self.store.put(theirs.read(ref))

        self.worker, self.fetch = Worker(), fetch
        self.keeper = JobKeeper(watch, self.store, journal, cast(Compute, self.worker), fetch, US)


Make = Callable[..., World]


@pytest.fixture
def world(tmp_path: Path, tiny: Bundle) -> Iterator[Make]:
    with Journal(tmp_path / "journal") as journal:
        yield lambda short_wei=0: World(tmp_path, journal, tiny, tiny.manifest.unit_wei - short_wei)


async def test_a_good_job_is_held(world: Make) -> None:
    """Its blobs are here and the worker has checked it."""
    made = world()
    assert await made.keeper.hold(made.job, ["peer"]) == made.manifest
    assert all(made.store.has(ref) for ref in made.manifest.blobs())


async def test_a_malformed_job_is_refused_for_good_and_leaves_nothing(world: Make) -> None:
    """Bytes under an address do not change, so neither does the verdict."""
    made = world()
    made.worker.error = PeerFault("the job is malformed")
    for _ in range(2):
        with pytest.raises(PeerFault, match="malformed"):
            await made.keeper.hold(made.job, ["peer"])
    assert made.worker.loads == 1
    assert not any(made.store.has(ref) for ref in made.manifest.blobs())


async def test_a_refused_job_takes_no_blob_of_others_with_it(world: Make) -> None:
    """A stranger's manifest may name what a node needs for something else."""
    made = world()
    (ref, *_) = made.manifest.blobs()
    await made.fetch(ref, ())
    made.worker.error = PeerFault("the job is malformed")
    with pytest.raises(PeerFault):
        await made.keeper.hold(made.job, ["peer"])
    assert made.store.has(ref)


async def test_a_job_that_eats_the_worker_is_not_tried_again_soon(
    world: Make, autojump_clock: trio.testing.MockClock
) -> None:
    """Else one funded job, offered again and again, would take the device from all others."""
    made = world()
    made.worker.error = ComputeTimeout("it did not finish")
    with pytest.raises(ComputeTimeout):
        await made.keeper.hold(made.job, ["peer"])
    with pytest.raises(NodeError, match="tried again"):
        await made.keeper.answer_offer(
            "peer", OfferJob(job_id=JOB.hex(), manifest=made.job.manifest)
        )
    assert made.worker.loads == 1
    await trio.sleep(LOST_FIRST_S + 1)
    made.worker.error = None
    await made.keeper.hold(made.job, ["peer"])


async def test_a_job_that_pays_less_than_it_says_is_refused(world: Make) -> None:
    """The manifest's price is what a node decides by, the escrow's what it gets."""
    made = world(short_wei=1)
    with pytest.raises(PeerFault, match="the escrow pays"):
        await made.keeper.hold(made.job, ["peer"])
