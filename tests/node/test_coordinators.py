"""node/coordinators.py between real hosts: what a coordinator holds back for whom."""

import secrets
from collections.abc import Sequence
from types import SimpleNamespace
from typing import cast

import pytest
import trio

from node import rpc
from node.chain_watch import ChainWatch
from node.coordination import Coordination
from node.coordinators import Coordinators
from node.errors import PeerUnreachable
from node.ids import JobId
from node.ledger import JobView
from node.messages import (
    JOB_PROTOCOL,
    WORK_PROTOCOL,
    AskRound,
    Message,
    PullUnit,
    RoundResults,
    UnitDeclined,
)
from node.pause_order import Orders
from node.peers import PeerBook
from node.round_memory import RoundMemory
from node.transport import Channel, Transport
from scheduler.blob_ref import BlobRef

JOB = JobId(b"j" * 32)
PULL = PullUnit(job_id=JOB.hex(), memory_bytes=1, wait_ms=20_000)
WAITS = PULL.model_copy(update={"memory_bytes": 2})
DECLINED = UnitDeclined(reason="nothing", retry_after_ms=1)


def coordinators(transport: Transport, own: object = None, peer_of: str = "") -> Coordinators:
    """With one coordination of its own, or one that `peer_of` coordinates."""
    made = Coordinators(
        transport,
        cast(ChainWatch, None),
        cast(PeerBook, SimpleNamespace(addresses_of=lambda _peer: ())),
        {JOB: cast(Coordination, own)} if own else {},
        cast(RoundMemory, None),
        lambda _peer: None,
        cast(Orders, None),
    )
    made.peer_of = lambda _job: peer_of  # type: ignore[method-assign]
    return made


@pytest.mark.trio
@pytest.mark.parametrize("protocol", [WORK_PROTOCOL, JOB_PROTOCOL])
async def test_no_request_outlives_who_asked(protocol: str) -> None:
    """Whichever protocol it came by: the unit would be given to nobody."""
    asked, left = trio.Event(), trio.Event()

    async def answer_in_time(_peer: str, _message: Message) -> Message:
        try:
            asked.set()
            await trio.sleep_forever()
        finally:
            left.set()

    async with Transport(secrets.token_bytes(32)) as a, Transport(secrets.token_bytes(32)) as b:
        own = SimpleNamespace(answer_in_time=answer_in_time)
        coordinators(a, own).serve(lambda *_: None)
        channel = await b.open(a.peer_id, protocol, a.addresses)
        async with trio.open_nursery() as nursery:

            async def ask() -> None:
                with pytest.raises(PeerUnreachable):
                    await rpc.ask(channel, PULL, UnitDeclined)

            nursery.start_soon(ask)
            await asked.wait()
            await channel.aclose()
        with trio.fail_after(10):
            await left.wait()


@pytest.mark.trio
async def test_stream_that_the_coordinator_closed_is_opened_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It closes what asks nothing for long, as a worker does that computes."""
    monkeypatch.setattr(rpc, "IDLE_S", 0.1)

    async def answer_in_time(_peer: str, _message: Message) -> Message:
        return DECLINED

    job = cast(JobView, SimpleNamespace(job_id=JOB))
    async with Transport(secrets.token_bytes(32)) as a, Transport(secrets.token_bytes(32)) as b:
        coordinators(a, SimpleNamespace(answer_in_time=answer_in_time)).serve(lambda *_: None)
        asking = coordinators(b, peer_of=a.peer_id)
        await (await b.open(a.peer_id, WORK_PROTOCOL, a.addresses)).aclose()
        assert await asking.ask(job, PULL) == DECLINED
        with trio.fail_after(10):
            await asking._channels[a.peer_id].ended()
        assert await asking.ask(job, PULL) == DECLINED


@pytest.mark.trio
async def test_a_question_about_a_round_takes_the_stream_for_work_if_nobody_waits_on_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Opening a stream takes longer than the answer; but no answer may wait for a unit."""
    results = RoundResults(round=0, aggregate=BlobRef.of(b"aggregate"), results=())
    waiting = trio.Event()

    async def answer_in_time(_peer: str, message: Message) -> Message:
        if isinstance(message, AskRound):
            return results
        if message == WAITS:
            waiting.set()
            await trio.sleep_forever()
        return DECLINED

    job, ask = cast(JobView, SimpleNamespace(job_id=JOB)), AskRound(job_id=JOB.hex(), round=0)
    opened: list[str] = []
    async with Transport(secrets.token_bytes(32)) as a, Transport(secrets.token_bytes(32)) as b:
        coordinators(a, SimpleNamespace(answer_in_time=answer_in_time)).serve(lambda *_: None)
        asking, open_stream = coordinators(b, peer_of=a.peer_id), b.open
        await (await b.open(a.peer_id, WORK_PROTOCOL, a.addresses)).aclose()

        async def count(peer_id: str, protocol: str, addresses: Sequence[str]) -> Channel:
            opened.append(protocol)
            return await open_stream(peer_id, protocol, addresses)

        monkeypatch.setattr(b, "open", count)
        assert await asking.ask(job, PULL) == DECLINED
        assert await asking.ask_round(a.peer_id, ask) == results
        assert opened == [WORK_PROTOCOL]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(asking.ask, job, WAITS)
            await waiting.wait()
            assert await asking.ask_round(a.peer_id, ask) == results
            assert opened == [WORK_PROTOCOL, JOB_PROTOCOL]
            nursery.cancel_scope.cancel()
