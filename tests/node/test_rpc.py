"""node/rpc.py between real hosts: an answer that is held back, and who goes before it comes."""

import secrets

import pytest
import trio
import trio.testing

from node import rpc
from node.errors import PeerFault, PeerUnreachable
from node.messages import Message, PullUnit, Refused, UnitDeclined
from node.transport import Transport

PROTOCOL = "/test/rpc/0"
PULL = PullUnit(job_id="ab" * 32, memory_bytes=1, wait_ms=20_000)


@pytest.mark.trio
async def test_held_answer_comes_and_the_next_request_is_served() -> None:
    """A fault of the peer ends the channel as it does without holding."""
    go_on = trio.Event()
    faults: list[str] = []

    async def handle(peer_id: str, message: Message) -> Message:
        if isinstance(message, Refused):
            raise PeerFault("that was no request")
        await go_on.wait()
        return UnitDeclined(reason="nothing", retry_after_ms=1)

    async with Transport(secrets.token_bytes(32)) as a, Transport(secrets.token_bytes(32)) as b:
        handler = rpc.serve(handle, lambda _peer, reason: faults.append(reason), holds=True)
        a.serve(PROTOCOL, handler)
        async with await b.open(a.peer_id, PROTOCOL, a.addresses) as channel:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(rpc.ask, channel, PULL, UnitDeclined)
                await trio.testing.wait_all_tasks_blocked()
                go_on.set()
            await rpc.ask(channel, PULL, UnitDeclined)
            with pytest.raises(PeerFault, match="that was no request"):
                await rpc.ask(channel, Refused(reason="?"), UnitDeclined)
        assert faults == ["that was no request"]


@pytest.mark.trio
async def test_stream_that_asks_nothing_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes no place that all peers share; one whose answer is due is not idle."""
    monkeypatch.setattr(rpc, "IDLE_S", 0.1)
    go_on = trio.Event()

    async def handle(peer_id: str, message: Message) -> Message:
        await go_on.wait()
        return UnitDeclined(reason="nothing", retry_after_ms=1)

    async with Transport(secrets.token_bytes(32)) as a, Transport(secrets.token_bytes(32)) as b:
        a.serve(PROTOCOL, rpc.serve(handle, lambda *_: None, holds=True))
        idle = await b.open(a.peer_id, PROTOCOL, a.addresses)
        asking = await b.open(a.peer_id, PROTOCOL, a.addresses)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(rpc.ask, asking, PULL, UnitDeclined)
            with trio.fail_after(10):
                await idle.ended()
            assert not asking.has_ended
            go_on.set()
        await idle.aclose()
        await asking.aclose()


@pytest.mark.trio
async def test_nothing_is_held_for_who_has_gone() -> None:
    """The handler is cancelled, so that no unit is given to a peer that does not hear of it."""
    asked, left = trio.Event(), trio.Event()

    async def handle(peer_id: str, message: Message) -> Message:
        try:
            asked.set()
            await trio.sleep_forever()
        finally:
            left.set()

    async with Transport(secrets.token_bytes(32)) as a, Transport(secrets.token_bytes(32)) as b:
        a.serve(PROTOCOL, rpc.serve(handle, lambda *_: None, holds=True))
        channel = await b.open(a.peer_id, PROTOCOL, a.addresses)
        async with trio.open_nursery() as nursery:

            async def ask() -> None:
                with pytest.raises(PeerUnreachable):
                    await rpc.ask(channel, PULL, UnitDeclined)

            nursery.start_soon(ask)
            await asked.wait()
            assert not left.is_set()
            await channel.aclose()
        with trio.fail_after(10):
            await left.wait()
