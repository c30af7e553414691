"""What is told and heard of false checkpoints, within bounds, believed by nobody."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import cast

import pytest
import trio
import trio.testing

from node.alarms import HEARD_MAX, HEARD_PER_PEER_MAX, RECHECK_EVERY_S, Alarms
from node.chain import events as e
from node.chain.events import Place
from node.chain.types import JobTerms
from node.chain_watch import ChainWatch
from node.checkpoints import Checkpoints
from node.errors import PeerFault, PeerUnreachable
from node.final_rounds import Finalized
from node.ids import JobId
from node.ledger import JobView, Ledger
from node.messages import AlarmHeard, AskRound, RaiseAlarm, Refused
from scheduler.blob_ref import BlobRef
from scheduler.manifest import Manifest

pytestmark = pytest.mark.trio

JOB = JobId(b"j" * 32)
ROUNDS = 3
CHECKPOINT = b"c" * 32


class Watch:
    """A chain on which every round of one job is final."""

    def __init__(self) -> None:
        blob, self.ledger = BlobRef(root="cd" * 32, size=7), Ledger()
        terms = JobTerms(b"m" * 32, 100, b"b" * 32, rounds=9, slots=1, unit_wei=10, deadline=10**6)
        self.ledger.apply(
            e.JobFunded(Place(1, 0, b""), JOB, "0x" + "1" * 40, terms, 5, terms.unit_wei, 66)
        )
        self.job = self.ledger.jobs[JOB]
        for _ in range(ROUNDS):
            self.job.finalized.append(Finalized(CHECKPOINT, blob, 1))

    async def changed(self, timeout_s: float) -> None:
        await trio.sleep(timeout_s)


class Rechecks:
    """Rounds in `false` are false; of a known round nothing is rechecked."""

    def __init__(self, false: set[int], lost: bool = False) -> None:
        self.false, self.lost = false, lost
        self.at: list[tuple[int, float]] = []

    def can_recheck(self, _job: JobView, round: int) -> bool:
        return round not in {rechecked for rechecked, _ in self.at}

    async def recheck(self, _job: JobView, _manifest: Manifest, round: int) -> None:
        self.at.append((round, trio.current_time()))
        if self.lost:
            raise PeerUnreachable("nobody tells the results")
        if round in self.false:
            raise PeerFault("it does not follow")


class Node:
    """Alarms among peers of which one cannot be reached."""

    def __init__(self, rechecks: Rechecks, tell: Callable[..., Awaitable[None]]) -> None:
        self.punished: list[str] = []
        self.watch = Watch()
        self.alarms = Alarms(
            cast(ChainWatch, self.watch),
            {JOB: cast(Manifest, object())},
            cast(Checkpoints, rechecks),
            lambda: ["a", "gone", "b"],
            tell,
            lambda peer_id, _points, _reason: self.punished.append(peer_id),
        )


def alarm(round: int = 0, checkpoint: bytes = CHECKPOINT, job: bytes = JOB) -> RaiseAlarm:
    """An alarm about a round."""
    return RaiseAlarm(job_id=job.hex(), round=round, checkpoint=checkpoint.hex())


async def silent(_peer_id: str, _alarm: RaiseAlarm) -> None:
    """Nobody is told."""


@asynccontextmanager
async def running(node: Node) -> AsyncIterator[None]:
    """The alarms' task, for as long as the block."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(node.alarms.run)
        yield
        nursery.cancel_scope.cancel()


async def test_every_connected_peer_is_told_once(autojump_clock: trio.testing.MockClock) -> None:
    """One that cannot be reached keeps nobody else from hearing it."""
    told: list[str] = []

    async def tell(peer_id: str, message: RaiseAlarm) -> None:
        if peer_id == "gone":
            raise PeerUnreachable("no answer")
        assert message == alarm(1)
        told.append(peer_id)

    node = Node(Rechecks(set()), tell)
    async with running(node):
        node.alarms.spread(node.watch.job, 1)
        await trio.sleep(60)
    assert sorted(told) == ["a", "b"]


async def test_an_alarm_is_rechecked_and_a_false_one_is_punished(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """What is found false is the peer's merit, what is found right its fault."""
    rechecks = Rechecks({0})
    node = Node(rechecks, silent)
    async with running(node):
        assert await node.alarms.answer("honest", alarm(0)) == AlarmHeard()
        assert await node.alarms.answer("liar", alarm(1)) == AlarmHeard()
        await trio.sleep(60)
    assert [round for round, _ in rechecks.at] == [0, 1]
    assert rechecks.at[1][1] - rechecks.at[0][1] >= RECHECK_EVERY_S
    assert node.punished == ["liar"]


async def test_results_that_cannot_be_had_are_nobodys_fault(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """The alarm may be right; it is dropped."""
    node = Node(Rechecks({0}, lost=True), silent)
    async with running(node):
        await node.alarms.answer("peer", alarm(0))
        await trio.sleep(60)
    assert node.punished == []


@pytest.mark.parametrize(
    "about",
    [alarm(0, b"x" * 32), alarm(ROUNDS), alarm(2**32 - 1), alarm(job=b"k" * 32)],
    ids=["another checkpoint", "the open round", "no round", "no job"],
)
async def test_what_the_chain_does_not_have_costs_nothing(
    about: RaiseAlarm, autojump_clock: trio.testing.MockClock
) -> None:
    """Nothing is fetched, and the next alarm is looked into."""
    rechecks = Rechecks({1})
    node = Node(rechecks, silent)
    async with running(node):
        await node.alarms.answer("peer", about)
        await node.alarms.answer("peer", alarm(1))
        await trio.sleep(60)
    assert [round for round, _ in rechecks.at] == [1]


async def test_a_round_is_rechecked_once_however_many_cry(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Its outcome does not change."""
    rechecks = Rechecks({0})
    node = Node(rechecks, silent)
    async with running(node):
        for peer in range(10):
            await node.alarms.answer(str(peer), alarm(0))
        await trio.sleep(60)
    assert len(rechecks.at) == 1


async def test_alarms_that_wait_are_bounded() -> None:
    """In all and of one peer; other messages are a fault."""
    node = Node(Rechecks(set()), silent)
    for _ in range(HEARD_PER_PEER_MAX):
        assert await node.alarms.answer("one", alarm()) == AlarmHeard()
    assert isinstance(await node.alarms.answer("one", alarm()), Refused)
    for peer in range(HEARD_MAX - HEARD_PER_PEER_MAX):
        assert await node.alarms.answer(str(peer), alarm()) == AlarmHeard()
    assert isinstance(await node.alarms.answer("last", alarm()), Refused)
    with pytest.raises(PeerFault, match="AskRound"):
        await node.alarms.answer("two", AskRound(job_id=JOB.hex(), round=0))
