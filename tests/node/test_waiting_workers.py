"""Requests that wait: for how long, how many, and what ends the wait."""

import pytest
import trio
import trio.testing

from node.chain import events as e
from node.chain.events import Place
from node.journal import Journal
from node.messages import PullUnit, UnitAssigned, UnitDeclined
from node.pause_order import make_order
from node.wallet import Signer
from scheduler.commands import DeclineReason
from tests.node.coordinating import (
    JOB,
    SUBMITTER,
    WORKER,
    combined,
    coordination,
    patient,
    pause,
    paused,
    watch,
)


@pytest.mark.trio
async def test_answer_is_held_back_as_long_as_the_worker_waits(
    journal: Journal, autojump_clock: trio.testing.MockClock
) -> None:
    """Not at all without `wait_ms`; where nothing comes the refusal has its reason."""
    of = paused(journal)
    for wait_ms in (0, 7_000):
        started = trio.current_time()
        answer = await of.answer_in_time("worker", patient(wait_ms))
        assert isinstance(answer, UnitDeclined)
        assert answer.reason == DeclineReason.PAUSED
        assert trio.current_time() - started == pytest.approx(wait_ms / 1000)


@pytest.mark.trio
async def test_who_waits_gets_the_unit_at_once(
    journal: Journal, autojump_clock: trio.testing.MockClock
) -> None:
    """The order to go on, the end of a unit: what opens work ends the wait."""
    of = paused(journal)
    answers: list[object] = []

    async def ask() -> None:
        answers.append(await of.answer_in_time("worker", patient(20_000)))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        await trio.sleep(10)
        started = trio.current_time()
        of.answer("anyone", make_order(SUBMITTER, JOB, False, 2))
    assert isinstance(answers[0], UnitAssigned)
    assert trio.current_time() == started


@pytest.mark.trio
async def test_one_request_of_a_peer_waits_at_a_time(
    journal: Journal, autojump_clock: trio.testing.MockClock
) -> None:
    """A later one ends the wait of the earlier, which is refused; that of another peer waits on."""
    watching, other = watch(), Signer.random().address
    wallets = {"worker": WORKER.address, "other": other}
    of = coordination(journal, watching, wallet_of=wallets.get, connected=("worker", "other"))
    pause(of)
    ended: list[tuple[str, float]] = []

    async def ask(name: str, peer: str) -> None:
        assert isinstance(await of.answer_in_time(peer, patient(20_000)), UnitDeclined)
        ended.append((name, trio.current_time()))

    async with trio.open_nursery() as nursery:
        watching.ledger.apply(e.ActiveChanged(Place(1, 3, b""), other, True))
        for name, peer in (("first", "worker"), ("other", "other"), ("second", "worker")):
            nursery.start_soon(ask, name, peer)
            await trio.sleep(1)
    assert sorted(ended) == [("first", 2.0), ("other", 21.0), ("second", 22.0)]
    assert not of._waiting._waits


@pytest.mark.trio
async def test_refusal_that_stays_is_not_held_back(
    journal: Journal, autojump_clock: trio.testing.MockClock
) -> None:
    """Too little memory is no matter of time."""
    of = coordination(journal)
    small = PullUnit(job_id=JOB.hex(), memory_bytes=1, wait_ms=20_000)
    answer = await of.answer_in_time("worker", small)
    assert isinstance(answer, UnitDeclined)
    assert trio.current_time() == 0


@pytest.mark.trio
async def test_who_waits_hears_once_that_the_round_is_combined(
    journal: Journal, autojump_clock: trio.testing.MockClock
) -> None:
    """It then waits for the next round as for any unit."""
    of = combined(journal)
    news = await of.answer_in_time("worker", patient(20_000))
    assert isinstance(news, UnitDeclined)
    assert (news.combined, trio.current_time()) == (0, 0.0)
    again = patient(20_000).model_copy(update={"combined": 0})
    assert isinstance(await of.answer_in_time("worker", again), UnitDeclined)
    assert trio.current_time() == pytest.approx(20)
