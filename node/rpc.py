"""Requests and responses over a channel: the only way that nodes talk control.

The server side answers one request at a time, in order, and never lets a peer's fault out of the
connection: a `PeerFault` is answered with `Refused`, reported to `on_fault` and ends the channel.
The client side has a deadline on every answer.
"""

import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

import trio

from node import messages
from node.channel import Channel
from node.errors import ChannelClosed, NodeError, PeerFault, PeerUnreachable
from node.messages import Message, Refused

log = logging.getLogger(__name__)

IDLE_S = 120.0
"""A stream that asks nothing for so long is closed: whoever has more to ask opens another."""

M = TypeVar("M", bound=Message)
Handler = Callable[[str, Message], Awaitable[Message]]


async def ask(channel: Channel, request: Message, kind: type[M], timeout_s: float = 30.0) -> M:
    """The peer's answer of this kind; PeerUnreachable when it is silent, PeerFault otherwise."""
    return messages.expect(await ask_any(channel, request, timeout_s), kind)


async def ask_any(channel: Channel, request: Message, timeout_s: float = 30.0) -> Message:
    """The peer's answer, of whatever kind."""
    try:
        with trio.fail_after(timeout_s):
            await channel.send(messages.encode(request))
            return messages.decode(await channel.receive())
    except trio.TooSlowError:
        raise PeerUnreachable(f"peer {channel.peer_id} did not answer in {timeout_s:g} s") from None
    except ChannelClosed as error:
        raise PeerUnreachable(f"peer {channel.peer_id} closed the stream: {error}") from None


def serve(
    handle: Handler, on_fault: Callable[[str, str], None], *, holds: bool = False
) -> Callable[[Channel], Awaitable[None]]:
    """A stream handler that answers every request on a channel with `handle(peer_id, request)`.

    `holds`: it may hold an answer back, and is cancelled when the peer that asked has gone.
    """

    async def serve_channel(channel: Channel) -> None:
        while True:
            try:
                with trio.move_on_after(IDLE_S) as idle:
                    payload = await channel.receive()
            except ChannelClosed:
                return
            if idle.cancelled_caught:
                return
            try:
                request = messages.decode(payload)
                if holds:
                    held = await _while_open(channel, handle, request)
                    if held is None:
                        return
                    answer = held
                else:
                    answer = await handle(channel.peer_id, request)
            except PeerFault as fault:
                on_fault(channel.peer_id, str(fault))
                await _answer(channel, Refused(reason=str(fault)[:400]))
                return
            except NodeError as error:
                log.warning("a request of peer %s failed: %s", channel.peer_id, error)
                answer = Refused(reason=str(error)[:400])
            if not await _answer(channel, answer):
                return

    return serve_channel


async def _while_open(channel: Channel, handle: Handler, request: Message) -> Message | None:
    """The answer, None if the peer went before there was one. NodeError as `handle` raises it."""
    answer: Message | None = None
    failure: NodeError | None = None
    async with trio.open_nursery() as nursery:

        async def leave() -> None:
            await channel.ended()
            nursery.cancel_scope.cancel()

        nursery.start_soon(leave)
        try:
            answer = await handle(channel.peer_id, request)
        except NodeError as error:
            # Outside the nursery it must not be a group.
            failure = error
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure
    return answer


async def _answer(channel: Channel, answer: Message) -> bool:
    try:
        await channel.send(messages.encode(answer))
    except ChannelClosed:
        return False
    return True
