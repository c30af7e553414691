"""Holding strangers' jobs: what is malformed is refused for good, what kills the worker waits."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import cast

import pytest
import trio
import trio.testing

from engine.ops import ARITHMETIC_VERSION
from node.blobs import BlobStore
from node.bundle import Bundle
from node.chain import AsyncChain
from node.chain import events as e
from node.chain.events import Place
from node.chain.types import ZERO_ADDRESS, JobTerms
from node.chain_watch import ChainWatch
from node.compute import Compute, ComputeTimeout
from node.errors import NodeError, PeerFault
from node.ids import JobId
from node.jobs import LOST_FIRST_S, JobKeeper
from node.journal import Journal
from node.ledger import JobView
from node.messages import JobHeld, OfferJob
from node.parameters import Versions
from scheduler.blob_ref import BlobRef

pytestmark = pytest.mark.trio

JOB = JobId(b"j" * 32)
US = "0x" + "1" * 40
USDX = "0x" + "5" * 40


class Worker:
    """A compute worker that ends every load with `error`, if there is one, after `meanwhile`."""

    loads = 0
    error: NodeError | None = None
    meanwhile: Callable[[], object] | None = None

    async def load(self, _manifest: BlobRef) -> None:
        self.loads += 1
        if self.meanwhile is not None:
            self.meanwhile()
        if self.error is not None:
            raise self.error


class World:
    """A keeper whose peer has the blobs of `bundle`; the escrow pays `unit_wei` a unit."""

    def __init__(
        self, folder: Path, journal: Journal, bundle: Bundle, unit_wei: int, more_flops: int
    ) -> None:
        theirs, self.store = BlobStore(folder / "theirs"), BlobStore(folder / "ours")
        manifest, self.manifest = bundle.put(theirs), bundle.manifest
        self.watch = watch = ChainWatch(cast(AsyncChain, None), 0, 1.0)
        terms = JobTerms(
            self.manifest.digest(),
            manifest.size,
            bytes.fromhex(manifest.root),
            rounds=self.manifest.rounds,
            slots=self.manifest.slots,
            unit_wei=unit_wei,
            deadline=10**6,
            unit_flops=self.manifest.unit_flops + more_flops,
        )
        watch.ledger.apply(e.JobFunded(Place(1, 0, b""), JOB, US, terms, 5, terms.unit_wei, 66))
        self.job: JobView = watch.ledger.jobs[JOB]

        self.chunks_fetched = Counter[BlobRef]()

        async def fetch(
            ref: BlobRef, _sources: object, chunks: Collection[int] | None = None
        ) -> None:
            with self.store.begin(ref, theirs.chunk_hashes(ref), chunks) as partial:
                for index in partial.missing():
                    partial.write_chunk(index, theirs.chunk(ref, index))
                    self.chunks_fetched[ref] += 1
                partial.finish()

        self.worker, self.fetch = Worker(), fetch
        self.keeper = JobKeeper(watch, self.store, journal, cast(Compute, self.worker), fetch, US)

    def works_for(self, token: str, *accepted: str) -> JobKeeper:
        """A keeper that holds the job, which pays in `token`, and accepts these."""
        self.job.token = token
        compute, journal = cast(Compute, self.worker), cast(Journal, None)
        keeper = JobKeeper(self.watch, self.store, journal, compute, self.fetch, US, accepted)
        keeper.held[JOB] = self.manifest
        return keeper

    def again(self, journal: Journal) -> None:
        """The keeper of a node that was killed and has started again."""
        compute = cast(Compute, self.worker)
        self.keeper = JobKeeper(self.watch, self.store, journal, compute, self.fetch, US)
        self.keeper.recover()


Make = Callable[..., World]


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal(tmp_path / "journal") as journal:
        yield journal


@pytest.fixture
def world(tmp_path: Path, tiny: Bundle, journal: Journal) -> Make:
    def make(short_wei: int = 0, bundle: Bundle = tiny, more_flops: int = 0) -> World:
        return World(tmp_path, journal, bundle, bundle.manifest.unit_wei - short_wei, more_flops)

    return make


async def test_a_good_job_is_held(world: Make) -> None:
    """Its blobs are here and the worker has checked it."""
    made = world()
    assert await made.keeper.hold(made.job, ["peer"]) == made.manifest
    assert all(made.store.has(ref) for ref in made.manifest.blobs())


async def test_only_the_windows_of_a_unit_are_fetched(
    world: Make, wide: Bundle, journal: Journal
) -> None:
    """The header to hold the job; for a unit what its rows lie in, once; the rest for an offer."""
    made = world(bundle=wide)
    train = made.manifest.train
    await made.keeper.hold(made.job, ["peer"])
    assert made.chunks_fetched[train] == 1
    for _ in range(2):
        await made.keeper.fetch_windows(made.job, 1, 2, ["peer"])
        assert made.chunks_fetched[train] == 2
        assert made.store.has_chunks(train, {0, 5})
        assert not made.store.has_chunks(train, {1})
    made.again(journal)
    assert made.job.job_id in made.keeper.held
    await made.keeper.fetch_windows(made.job, 0, 0, ["peer"])
    assert made.chunks_fetched[train] == 2
    offer = OfferJob(job_id=JOB.hex(), manifest=made.job.manifest)
    assert isinstance(await made.keeper.answer_offer("peer", offer), JobHeld)
    assert made.chunks_fetched[train] == train.chunk_count == 7
    assert made.store.has(train)
    await made.keeper.fetch_windows(made.job, 1, 0, ["peer"])
    assert made.chunks_fetched[train] == 7


async def test_a_job_without_the_header_of_its_data_is_not_held_after_a_restart(
    world: Make, wide: Bundle, journal: Journal
) -> None:
    """It is fetched again, not worked on blindly."""
    made = world(bundle=wide)
    await made.keeper.hold(made.job, ["peer"])
    made.store.remove(made.manifest.train)
    made.again(journal)
    assert made.keeper.held == {}
    await made.keeper.hold(made.job, ["peer"])
    assert made.chunks_fetched[made.manifest.train] == 2


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


OTHER = JobId(b"o" * 32)


async def test_what_was_removed_while_a_job_was_checked_is_fetched_again(world: Make) -> None:
    """A job is not held without its data, whoever removed it."""
    made = world()
    made.worker.meanwhile = lambda: made.store.remove(made.manifest.state)
    with pytest.raises(NodeError, match="removed meanwhile"):
        await made.keeper.hold(made.job, ["peer"])
    assert made.keeper.manifest_of(made.job) is None
    assert (made.keeper.held, made.keeper.arriving) == ({}, {})
    made.worker.meanwhile = None
    await made.keeper.hold(made.job, ["peer"])
    assert made.store.has(made.manifest.state)


async def test_a_refused_job_takes_no_blob_of_one_that_is_arriving(world: Make) -> None:
    """The other one found it here and does not fetch it again."""
    made = world()
    made.worker.error = PeerFault("the job is malformed")
    made.worker.meanwhile = lambda: made.keeper.arriving.update({OTHER: made.manifest})
    with pytest.raises(PeerFault, match="malformed"):
        await made.keeper.hold(made.job, ["peer"])
    assert all(made.store.has(ref) for ref in made.manifest.blobs())


async def test_what_came_of_a_job_that_is_not_held_is_known(world: Make, journal: Journal) -> None:
    """Also after a restart, also when some of it came later; not what was here before."""
    made = world()
    (before, *_), late = made.manifest.blobs(), made.manifest.state
    await made.fetch(before, ())
    made.worker.error = ComputeTimeout("it did not finish")
    with pytest.raises(ComputeTimeout):
        await made.keeper.hold(made.job, ["peer"])
    made.again(journal)
    with pytest.raises(ComputeTimeout):
        await made.keeper.hold(made.job, ["peer"])
    assert before not in made.keeper.begun(made.job)
    assert late in made.keeper.begun(made.job)
    made.again(journal)
    made.worker.error = PeerFault("the job is malformed")
    with pytest.raises(PeerFault):
        await made.keeper.hold(made.job, ["peer"])
    assert (made.store.has(before), made.store.has(late)) == (True, False)
    assert made.keeper.begun(made.job) == []


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


async def test_a_job_that_states_other_flops_than_it_has_is_refused(world: Make) -> None:
    """Emission counts what the escrow was told: nobody works where that is not the exact cost."""
    made = world(more_flops=1)
    flops = made.manifest.unit_flops
    with pytest.raises(PeerFault, match=f"counts {flops + 1} FLOPs a unit, .* says {flops}"):
        await made.keeper.hold(made.job, ["peer"])
    assert not made.keeper.held


async def test_a_job_that_pays_less_than_it_says_is_refused(world: Make) -> None:
    """The manifest's price is what a node decides by, the escrow's what it gets."""
    made = world(short_wei=1)
    with pytest.raises(PeerFault, match="the escrow pays"):
        await made.keeper.hold(made.job, ["peer"])


async def test_work_is_done_for_what_is_accepted_alone(
    world: Make, caplog: pytest.LogCaptureFixture
) -> None:
    """AIN always, other tokens where the settings name them; why not is logged once."""
    caplog.set_level("INFO")
    made = world()
    assert made.works_for(ZERO_ADDRESS).workable() == [made.job]
    assert made.works_for(USDX, USDX).workable() == [made.job]
    assert not caplog.messages
    keeper = made.works_for(USDX, "0x" + "6" * 40)
    assert [keeper.workable(), keeper.workable()] == [[], []]
    assert "accepted_tokens does not name" in keeper.why_idle()
    (told,) = caplog.messages
    assert f"it pays in {USDX}, which" in told
    assert made.works_for(USDX, USDX).why_idle() == "idle: no funded job is held here"


async def test_a_job_of_a_version_that_was_not_accepted_at_its_funding_is_refused(
    world: Make,
) -> None:
    """Whatever was voted since; so all nodes agree on which jobs are worked on."""
    made = world()
    made.job.versions = Versions(1 << ARITHMETIC_VERSION, 1 << made.manifest.version + 1)
    with pytest.raises(PeerFault, match="manifest version is 2, the network accepts 3"):
        await made.keeper.hold(made.job, ["peer"])
