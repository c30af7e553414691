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
    handle: Handler, on_fault: Callable[[str, str], None]
) -> Callable[[Channel], Awaitable[None]]:
    """A stream handler that answers every request on a channel with `handle(peer_id, request)`."""

    async def serve_channel(channel: Channel) -> None:
        while True:
            try:
                payload = await channel.receive()
            except ChannelClosed:
                return
            try:
                answer = await handle(channel.peer_id, messages.decode(payload))
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


async def _answer(channel: Channel, answer: Message) -> bool:
    try:
        await channel.send(messages.encode(answer))
    except ChannelClosed:
        return False
    return True
