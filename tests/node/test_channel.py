"""node/channel.py over streams in memory: order, bounds, endings, cancellation."""

import contextlib
from collections.abc import AsyncIterator

import pytest
import trio
import trio.testing

from node.channel import INBOX_BYTES, Channel, StreamBroken
from node.errors import ChannelClosed, PeerFault
from node.frames import encode


class Wire:
    """One end of a stream in memory that has room for `window` unread bytes."""

    def __init__(self, window: int = 256 * 1024) -> None:
        self.window = window
        self.unread = bytearray()
        self.ended = self.broken = False
        self.disposed: list[bool] = []
        self.other: Wire = self
        self._arrived = trio.lowlevel.ParkingLot()

    async def read(self) -> bytes:
        while not self.unread and not self.ended and not self.broken:
            await self._arrived.park()
        if self.broken:
            raise StreamBroken("reset")
        data = bytes(self.unread[:65536])
        del self.unread[:65536]
        return data

    async def write(self, data: bytes) -> None:
        if self.broken:
            raise StreamBroken("reset")
        assert len(data) <= self.writable(), "the channel overran the window"
        self.other.arrive(data)
        await trio.lowlevel.checkpoint()

    def writable(self) -> int:
        if self.broken:
            raise StreamBroken("reset")
        return self.other.window - len(self.other.unread)

    async def close_write(self) -> None:
        if self.broken:
            raise StreamBroken("reset")
        self.other.ended = True
        self.other.arrive(b"")

    async def dispose(self, *, clean: bool) -> None:
        self.disposed.append(clean)
        if not clean:
            self.break_both()

    def arrive(self, data: bytes) -> None:
        self.unread += data
        self._arrived.unpark_all()

    def break_both(self) -> None:
        for end in (self, self.other):
            end.broken = True
            end._arrived.unpark_all()


def wires(window: int = 256 * 1024) -> tuple[Wire, Wire]:
    a, b = Wire(window), Wire(window)
    a.other, b.other = b, a
    return a, b


@contextlib.asynccontextmanager
async def channels(window: int = 256 * 1024) -> AsyncIterator[tuple[Channel, Channel]]:
    """Two channels that talk to each other, with 20 s of patience."""
    a, b = (Channel(end, "peer", "/test/0", stall_s=20.0) for end in wires(window))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(a.run)
        nursery.start_soon(b.run)
        yield a, b
        nursery.cancel_scope.cancel()


@pytest.mark.trio
async def test_messages_arrive_whole_and_in_order() -> None:
    """Through a window much smaller than a message."""
    async with channels(window=1000) as (a, b), trio.open_nursery() as nursery:
        sent = [bytes([i]) * (i * 3000 + 1) for i in range(10)]

        async def send_all() -> None:
            for message in sent:
                await a.send(message)

        nursery.start_soon(send_all)
        assert [await b.receive() for _ in sent] == sent


@pytest.mark.trio
async def test_unread_messages_are_bounded(autojump_clock: trio.testing.MockClock) -> None:
    """Nobody receives: the reader stops, the sender waits and finally gives up."""
    sent: list[bytes] = []

    async def send_for_ever(channel: Channel) -> None:
        while True:
            await channel.send(bytes(50_000))
            sent.append(b"")

    async with channels() as (a, b):
        with pytest.raises(ChannelClosed, match="read nothing for 20 s"):
            await send_for_ever(a)
        assert len(sent) * 50_000 <= INBOX_BYTES + 2 * 256 * 1024 + 2 * 50_000
        assert b._inbox_bytes <= INBOX_BYTES + 2 * 65536


@pytest.mark.trio
async def test_stalled_sender_goes_on_when_the_reader_does(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """A pause shorter than the patience loses nothing."""
    async with channels() as (a, b), trio.open_nursery() as nursery:

        async def read_late() -> None:
            await trio.sleep(19)
            assert [len(await b.receive()) for _ in range(40)] == [100_000] * 40

        nursery.start_soon(read_late)
        for _ in range(40):
            await a.send(bytes(100_000))


@pytest.mark.trio
async def test_clean_end_comes_after_every_message() -> None:
    """What was sent before closing is received, then the end is reported again and again."""
    async with channels() as (a, b):
        await a.send(b"last words")
        await a.aclose()
        await a.aclose()
        assert await b.receive() == b"last words"
        for _ in range(2):
            with pytest.raises(ChannelClosed, match="peer peer closed the stream"):
                await b.receive()
        with pytest.raises(ChannelClosed):
            await a.send(b"more")


@pytest.mark.trio
async def test_peer_that_ended_its_side_can_still_be_answered() -> None:
    """Half-closed is not closed: the answer to the last request arrives."""
    a, b = wires()
    there = Channel(b, "peer", "/test/0")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(there.run)
        a.other.arrive(encode(b"request"))
        await a.close_write()
        assert await there.receive() == b"request"
        with pytest.raises(ChannelClosed):
            await there.receive()
        await there.send(b"answer")
        assert bytes(a.unread) == encode(b"answer")
        await there.aclose()
    assert b.disposed == [True]


@pytest.mark.trio
async def test_closing_waits_for_a_peer_that_still_talks_only_so_long(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """After our end the rest is discarded; a peer that never ends is reset after the linger."""
    a, b = wires()
    channel = Channel(a, "peer", "/test/0", linger_s=3.0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(channel.run)
        await channel.aclose()
        b.other.arrive(encode(b"ignored"))
    assert trio.current_time() >= 3.0
    assert a.disposed == [False]


@pytest.mark.trio
async def test_reset_by_peer_fails_both_directions() -> None:
    """A broken stream is an error for sender and receiver alike."""
    a, b = wires()
    channel = Channel(a, "peer", "/test/0")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(channel.run)
        await trio.testing.wait_all_tasks_blocked()
        b.break_both()
        with pytest.raises(ChannelClosed, match="broke"):
            await channel.receive()
        with pytest.raises(ChannelClosed):
            await channel.send(b"x")
    assert a.disposed == [False]


@pytest.mark.trio
async def test_end_inside_a_message_is_reported() -> None:
    """A truncated message is never delivered."""
    a, b = wires()
    channel = Channel(a, "peer", "/test/0")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(channel.run)
        a.arrive(encode(b"whole") + encode(b"cut short")[:-2])
        await b.close_write()
        assert await channel.receive() == b"whole"
        with pytest.raises(ChannelClosed, match="in the middle of a message"):
            await channel.receive()
        await channel.aclose()


@pytest.mark.trio
async def test_malformed_frame_is_the_peers_fault() -> None:
    """Whole messages first, then the fault; closing then resets the stream."""
    a, _ = wires()
    channel = Channel(a, "peer", "/test/0")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(channel.run)
        a.arrive(encode(b"fine") + b"\xff\xff\xff\xff")
        assert await channel.receive() == b"fine"
        with pytest.raises(PeerFault, match="4294967295"):
            await channel.receive()
        await channel.aclose()
    assert a.disposed == [False]


@pytest.mark.trio
async def test_cancelled_before_the_first_byte_keeps_the_channel(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Nothing was written, so nothing is lost."""
    a, b = wires(window=0)
    channel = Channel(a, "peer", "/test/0")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(channel.run)
        with trio.move_on_after(5):
            await channel.send(b"never")
        b.window = 1000
        await channel.send(b"now")
        assert bytes(b.unread) == encode(b"now")
        nursery.cancel_scope.cancel()


@pytest.mark.trio
async def test_cancelled_inside_a_message_resets(autojump_clock: trio.testing.MockClock) -> None:
    """The peer could not find the next frame, so there is none."""
    a, _ = wires(window=100)
    channel = Channel(a, "peer", "/test/0")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(channel.run)
        with trio.move_on_after(5):
            await channel.send(bytes(5000))
        with pytest.raises(ChannelClosed):
            await channel.send(b"x")
    assert a.disposed == [False]


@pytest.mark.trio
async def test_error_inside_the_context_resets() -> None:
    """The peer sees that its partner failed, not that it ended."""
    a, _ = wires()
    channel = Channel(a, "peer", "/test/0")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(channel.run)
        with pytest.raises(KeyError):
            async with channel:
                raise KeyError
    assert a.disposed == [False]
