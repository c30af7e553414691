"""node/last_rounds.py: who keeps a job's last checkpoint, and what becomes of it."""

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
import trio
import trio.testing

from node.blobs import BlobStore
from node.chain import AsyncChain
from node.chain import events as e
from node.chain.events import Place
from node.chain.types import Claim, JobTerms
from node.chain_watch import ChainWatch
from node.checkpoints import Checkpoints
from node.compute import Compute
from node.errors import NodeError, PeerUnreachable
from node.ids import JobId
from node.jobs import JobKeeper
from node.journal import Journal
from node.last_rounds import GIVE_UP_S, KEEPERS_MAX, RETRY_FIRST_S, LastRounds
from node.ledger import JobView
from node.messages import RoundResults
from node.round_memory import Refutation, RoundMemory
from scheduler.blob_ref import BlobRef
from scheduler.manifest import Manifest

pytestmark = pytest.mark.trio

JOB = JobId(b"j" * 32)
WORKERS = tuple(f"0x{number:040x}" for number in range(1, 13))
STRANGER = "0x" + "f" * 40
BLOB = BlobRef(root="ab" * 32, size=7)
TOLD = RoundResults(round=1, aggregate=BLOB, results=(), metrics={"loss": -1.0})


class Peers:
    """Checkpoints that are fetched from somewhere, a device, and what was asked of them."""

    def __init__(self, memory: RoundMemory) -> None:
        self.memory, self.fetched, self.problem = memory, 0, cast(NodeError | None, None)
        self.wrong: Refutation | None = None

    def refuted(self, _job: JobView) -> Refutation | None:
        return self.wrong

    async def get(
        self, _job: JobView, _manifest: Manifest, round: int, *, rebuild: bool
    ) -> BlobRef:
        assert (round, rebuild) == (2, False)
        if self.problem is not None:
            raise self.problem
        self.fetched += 1
        return BLOB

    async def learn(self, job: JobView, _manifest: Manifest, round: int) -> RoundResults:
        assert round == 1
        self.memory.keep(job.job_id, TOLD)
        return TOLD

    async def evaluate(self, _manifest: BlobRef, _checkpoint: BlobRef) -> dict[str, float]:
        return {"loss": 0.5}


class Jobs:
    """One job that is held."""

    def __init__(self) -> None:
        self.held = {JOB: cast(Manifest, type("Held", (), {"train": BLOB}))}


class Node:
    """A node with the wallet `wallet`, after a job of two rounds; `offered`: it took the offer."""

    def __init__(self, journal: Journal, wallet: str, *, offered: bool = False) -> None:
        self.watch = ChainWatch(cast(AsyncChain, None), 0, 1.0)
        self.ledger = self.watch.ledger
        self.ledger.head_time_s = 1_000
        terms = JobTerms(b"m" * 32, 1, b"b" * 32, rounds=2, slots=12, unit_wei=1, deadline=10**6)
        self.ledger.apply(
            e.JobFunded(Place(1, 0, b""), JOB, STRANGER, terms, 5, terms.unit_wei, 66)
        )
        claims = tuple(Claim(s, 0, w, b"r" * 32, b"c" * 32, b"s") for s, w in enumerate(WORKERS))
        for round in (0, 1):
            made_by = claims if round else claims[:1]
            place = Place(10 * (round + 1), 0, b"")
            self.ledger.apply(e.RoundCommitted(place, JOB, round, 0, b"w" * 32, 3, made_by))
            final = (JOB, round, b"c" * 32, b"b" * 32, 7, 20)
            self.ledger.apply(e.RoundFinalized(Place(10 * (round + 1), 1, b""), *final))
        self.memory = RoundMemory(journal)
        self.peers = Peers(self.memory)
        store = type("Store", (), {"has": lambda _self, _ref: offered})()
        self.last = LastRounds(
            wallet,
            self.watch,
            cast(JobKeeper, Jobs()),
            cast(Checkpoints, self.peers),
            cast(Compute, self.peers),
            cast(BlobStore, store),
            journal,
            self.memory,
        )

    def complete(self) -> None:
        self.ledger.apply(e.JobCompleted(Place(30, 0, b""), JOB))

    async def run_for(self, seconds: float) -> None:
        with trio.move_on_after(seconds):
            await self.last.run()


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal(tmp_path / "journal") as opened:
        yield opened


async def test_the_offers_taker_keeps_what_the_job_was_for(
    journal: Journal, autojump_clock: trio.testing.MockClock
) -> None:
    """Once, after the last round; the evaluation that it tells is its own. A restart knows."""
    node = Node(journal, STRANGER, offered=True)
    await node.run_for(60)
    assert node.peers.fetched == 0
    node.complete()
    await node.run_for(60)
    assert node.peers.fetched == 1
    told = node.memory.recall(JOB, 1)
    assert told is not None
    assert (told.aggregate, told.metrics) == (BLOB, {"loss": 0.5})
    again = Node(journal, STRANGER, offered=True)
    again.complete()
    await again.run_for(60)
    assert again.peers.fetched == 0


async def test_so_many_of_the_last_rounds_workers_keep_it(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """However many there were; who did nothing in it and did not take the offer does not."""
    keepers = []
    for wallet in (*WORKERS, STRANGER):
        with Journal(tmp_path / wallet) as journal:
            node = Node(journal, wallet)
            node.complete()
            await node.run_for(20)
            keepers += [wallet] * node.peers.fetched
    assert len(keepers) == KEEPERS_MAX
    assert STRANGER not in keepers


async def test_what_nobody_has_is_asked_for_again_and_given_up(
    journal: Journal, autojump_clock: trio.testing.MockClock
) -> None:
    """With pauses that grow; after a day of the chain's time no more."""
    node = Node(journal, STRANGER, offered=True)
    node.complete()
    node.peers.problem = PeerUnreachable("nobody has it")
    await node.run_for(RETRY_FIRST_S / 2)
    node.peers.problem = None
    await node.run_for(RETRY_FIRST_S / 4)
    assert node.peers.fetched == 0
    node.ledger.head_time_s += GIVE_UP_S
    await node.run_for(60)
    assert node.peers.fetched == 0
    node.ledger.head_time_s -= 1
    await node.run_for(60)
    assert node.peers.fetched == 1


async def test_a_checkpoint_that_was_found_wrong_is_not_kept(
    journal: Journal, autojump_clock: trio.testing.MockClock
) -> None:
    """Nobody is told that this is what the job was for. One that was withdrawn is no obstacle."""
    node = Node(journal, STRANGER, offered=True)
    wrong = Refutation(1, b"c" * 32, "it does not follow")
    node.memory.refute(JOB, wrong)
    node.peers.wrong = wrong
    node.complete()
    await node.run_for(60)
    assert node.peers.fetched == 0
    node.peers.wrong = None
    await node.run_for(60)
    assert node.peers.fetched == 1
