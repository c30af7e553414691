"""node/openings.py: a worker tells newcomers what the contract lets be known, and no more often."""

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import trio
import trio.testing

from node.chain import AsyncChain
from node.chain_watch import ChainWatch
from node.commitments import Commitments, Roots
from node.errors import PeerFault
from node.ids import JobId, UnitId, unit_id
from node.journal import Journal
from node.messages import AskJob, AskOpening, Message, Refused, UnitKey, UnitOpening
from node.openings import (
    LOOK_EVERY_S,
    NOT_FINAL,
    NOT_OPENABLE,
    NOT_OURS,
    PEER_EVERY_S,
    REMEMBERED_MAX,
    TOO_OFTEN,
    Openings,
)

pytestmark = pytest.mark.trio

JOB = JobId(b"j" * 32)
UNIT = unit_id(JOB, 1, 0, 0)


class World:
    """A worker with one unit in round 1, whose openness is `openable`."""

    def __init__(self, journal: Journal) -> None:
        self.commitments = Commitments(journal, "0x" + "12" * 20, b"k" * 32)
        self.commitments.commit("worker", UNIT, Roots(b"r" * 32, b"t" * 32), JOB, 1)
        self.job = SimpleNamespace(open_round=2)
        self.openable, self.looks = True, list[tuple[object, ...]]()
        bonds = SimpleNamespace(is_openable=self.is_openable)
        chain = SimpleNamespace(sync=SimpleNamespace(first_bonds=bonds), read=self.read)
        watch = SimpleNamespace(ledger=SimpleNamespace(jobs={JOB: self.job}))
        self.openings = Openings(cast(ChainWatch, watch), cast(AsyncChain, chain), self.commitments)

    def is_openable(self, *asked: object) -> bool:
        self.looks.append(asked)
        return self.openable

    async def read(self, function: Callable[..., Any], *arguments: object) -> Any:
        return function(*arguments)

    async def ask(self, peer: str = "peer", round: int = 1, attempt: int = 0) -> Message:
        key = UnitKey(round=round, slot=0, attempt=attempt)
        return await self.openings.answer(peer, AskOpening(job_id=JOB.hex(), unit=key))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with Journal(tmp_path / "journal") as journal:
        yield World(journal)


async def test_an_openable_unit_is_opened_and_looked_up_once(world: World) -> None:
    """Root and salt are those of the worker's commitment; the second time costs no look."""
    salt = world.commitments.salt("worker", UnitId(UNIT))
    expected = UnitOpening(trace_root=(b"t" * 32).hex(), salt=salt.hex())
    assert await world.ask() == expected
    assert await world.ask("another") == expected
    assert world.looks == [(JOB, 1, 0, 0)]


async def test_what_is_not_ours_or_not_final_costs_no_look(world: World) -> None:
    """Strangers' units, other attempts, and units of a round that is open still."""
    assert await world.ask(attempt=1) == Refused(reason=NOT_OURS)
    world.job.open_round = 1
    assert await world.ask() == Refused(reason=NOT_FINAL)
    assert world.looks == []


async def test_a_unit_that_somebody_must_find_blindly_stays_closed(
    world: World, autojump_clock: trio.testing.MockClock
) -> None:
    """A refusal is not remembered: later the same unit may be opened."""
    world.openable = False
    assert await world.ask() == Refused(reason=NOT_OPENABLE)
    await trio.sleep(PEER_EVERY_S)
    world.openable = True
    assert isinstance(await world.ask(), UnitOpening)


async def test_looks_are_rationed_by_peer_and_in_all(
    world: World, autojump_clock: trio.testing.MockClock
) -> None:
    """Nobody has this node ask its endpoint as often as it likes."""
    world.openable = False
    assert await world.ask() == Refused(reason=NOT_OPENABLE)
    assert await world.ask("another") == Refused(reason=TOO_OFTEN)
    await trio.sleep(LOOK_EVERY_S)
    assert await world.ask() == Refused(reason=TOO_OFTEN)
    assert await world.ask("another") == Refused(reason=NOT_OPENABLE)
    assert len(world.looks) == 2


async def test_what_is_remembered_of_peers_is_bounded(
    world: World, autojump_clock: trio.testing.MockClock
) -> None:
    """However many ask."""
    world.openable = False
    for index in range(REMEMBERED_MAX + 5):
        await trio.sleep(LOOK_EVERY_S)
        assert await world.ask(f"peer {index}") == Refused(reason=NOT_OPENABLE)
    assert len(world.openings._looked) == REMEMBERED_MAX


async def test_another_question_is_the_peers_fault(world: World) -> None:
    """The protocol has one."""
    with pytest.raises(PeerFault, match="AskJob"):
        await world.openings.answer("peer", AskJob(job_id=JOB.hex()))
