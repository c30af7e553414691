"""A channel: whole messages to and from one peer over one stream, with bounds on memory and time.

What the stream below does badly, the channel does well (each was reproduced with py-libp2p 0.8.1):

- Reading. One task per channel reads the stream; nobody cancels a read half way. It stops reading
  when INBOX_BYTES wait to be received, so that a sender is slowed down by us instead of filling
  our memory.
- Writing. A message is written piece by piece, each no larger than what the peer has room for, so
  that a slow reader makes us wait here, for as long as `stall_s`, instead of losing the stream to
  the muxer's five seconds. A piece is never cancelled half way; a message that is, ends the
  stream, because the peer could not find the next frame.
- Ending. A stream that ended says nothing about what the peer has understood: protocols above
  acknowledge, then close. `aclose` sends the end of the stream and lets the reader go on discarding
  for `linger_s`, so that what we wrote last is not lost with a reset.

Knows no network library: `ByteStream` is all that it needs of one.
"""

from collections import deque
from types import TracebackType
from typing import Protocol

import trio

from node.errors import ChannelClosed, PeerFault
from node.frames import FrameDecoder, encode

INBOX_BYTES = 512 * 1024
FRAME_OVERHEAD_BYTES = 64
PIECE_BYTES = 60 * 1024
STALL_S = 60.0
LINGER_S = 5.0
GOODBYE_S = 2.0
_POLL_FIRST_S = 0.0005
_POLL_LAST_S = 0.01


class StreamBroken(Exception):
    """A byte stream was reset or its connection was lost."""


class ByteStream(Protocol):
    """A duplex stream of bytes. Every method raises StreamBroken once the stream is gone."""

    async def read(self) -> bytes:
        """Some bytes; b"" when the peer has ended its side and everything was read."""

    async def write(self, data: bytes) -> None:
        """Write it all. The caller shields this from cancellation."""

    def writable(self) -> int:
        """How many bytes the peer has room for now."""

    async def close_write(self) -> None:
        """Tell the peer that nothing follows."""

    async def dispose(self, *, clean: bool) -> None:
        """Free the stream; with a reset unless both sides have ended cleanly. Never raises."""


class Channel:
    """Messages of 1 byte to 1 MiB to and from `peer_id`, in order.

    The owner closes it, or uses it as an async context manager (an exception inside resets the
    stream). `run` has to run in some nursery for as long as the channel lives; the transport sees
    to that. One task may send while another receives.
    """

    def __init__(
        self,
        stream: ByteStream,
        peer_id: str,
        protocol: str,
        *,
        stall_s: float = STALL_S,
        linger_s: float = LINGER_S,
    ) -> None:
        self.peer_id = peer_id
        self.protocol = protocol
        self._stream = stream
        self._stall_s = stall_s
        self._linger_s = linger_s
        self._inbox: deque[bytes] = deque()
        self._inbox_bytes = 0
        self._arrived = trio.lowlevel.ParkingLot()
        self._drained = trio.lowlevel.ParkingLot()
        self._end: ChannelClosed | PeerFault | None = None
        self._send_lock = trio.Lock()
        self._closing = False
        self._broken = False
        self._released = trio.Event()
        self._reading = trio.CancelScope()
        self.finished = trio.Event()

    async def send(self, payload: bytes) -> None:
        """Write one message; returns when it is on its way, not when it has been read.

        Raises ChannelClosed when the channel has ended or the peer makes no room for `stall_s`.
        """
        frame = encode(payload)
        async with self._send_lock:
            self._check_open()
            await self._write(frame)

    async def receive(self) -> bytes:
        """The next message. ChannelClosed at the end, PeerFault if the peer broke the framing."""
        await trio.lowlevel.checkpoint()
        while not self._inbox:
            if self._end is not None:
                raise self._end.with_traceback(None)
            await self._arrived.park()
        payload = self._inbox.popleft()
        self._inbox_bytes -= len(payload) + FRAME_OVERHEAD_BYTES
        self._drained.unpark_all()
        return payload

    @property
    def has_ended(self) -> bool:
        """Whether nothing more can be received than what is here."""
        return self._end is not None

    async def ended(self) -> None:
        """Return when nothing more can be received than what is here: the peer has gone."""
        while not self.has_ended:
            await self._arrived.park()

    async def aclose(self) -> None:
        """Send the end of our side and let go. Never raises, never takes longer than GOODBYE_S."""
        if self._closing:
            return
        self._closing = True
        whole = not self._send_lock.locked() and not isinstance(self._end, PeerFault)
        with trio.CancelScope(shield=True, deadline=trio.current_time() + GOODBYE_S) as goodbye:
            try:
                if whole:
                    await self._stream.close_write()
            except StreamBroken:
                whole = False
        if goodbye.cancelled_caught or not whole:
            self._reading.cancel()
        else:
            self._reading.deadline = trio.current_time() + self._linger_s
        self._finish(ChannelClosed(f"the channel to peer {self.peer_id} was closed here"))
        self._released.set()
        self._drained.unpark_all()

    def abort(self, reason: str = "aborted") -> None:
        """Reset the stream; the peer sees it broken."""
        self._closing = True
        self._finish(ChannelClosed(f"the channel to peer {self.peer_id} was {reason}"))
        self._released.set()
        self._reading.cancel()

    async def run(self) -> None:
        """Read the stream until it ends and its owner has let go of it, then free it."""
        clean = False
        try:
            with self._reading:
                await self._read_all()
                await self._released.wait()
                clean = True
        finally:
            self._broken = True
            self._finish(ChannelClosed(f"the channel to peer {self.peer_id} was reset"))
            with trio.CancelScope(shield=True, deadline=trio.current_time() + GOODBYE_S):
                await self._stream.dispose(clean=clean)
            self.finished.set()

    async def __aenter__(self) -> "Channel":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            await self.aclose()
        else:
            self.abort("given up")

    async def _read_all(self) -> None:
        decoder = FrameDecoder()
        try:
            while data := await self._stream.read():
                if self._closing:
                    continue
                for payload in decoder.feed(data):
                    self._inbox.append(payload)
                    self._inbox_bytes += len(payload) + FRAME_OVERHEAD_BYTES
                self._arrived.unpark_all()
                if decoder.fault is not None:
                    raise decoder.fault
                while self._inbox_bytes > INBOX_BYTES and not self._closing:
                    await self._drained.park()
        except PeerFault as fault:
            self._finish(fault)
        except StreamBroken as error:
            self._finish(ChannelClosed(f"the stream to peer {self.peer_id} broke: {error}"))
            self._reading.cancel()
        else:
            part = " in the middle of a message" if decoder.pending_bytes else ""
            self._finish(ChannelClosed(f"peer {self.peer_id} closed the stream{part}"))

    async def _write(self, frame: bytes) -> None:
        sent = 0
        try:
            while sent < len(frame):
                room = await self._room()
                piece = frame[sent : sent + min(room, PIECE_BYTES)]
                # A cancelled write would desynchronise the connection for every stream on it.
                with trio.CancelScope(shield=True):
                    await self._stream.write(piece)
                sent += len(piece)
        except StreamBroken as error:
            self.abort("lost")
            raise ChannelClosed(f"the stream to peer {self.peer_id} broke: {error}") from None
        except trio.TooSlowError:
            self.abort(f"stalled for {self._stall_s:g} s")
            raise ChannelClosed(
                f"peer {self.peer_id} read nothing for {self._stall_s:g} s"
            ) from None
        except trio.Cancelled:
            if sent:
                self.abort("cancelled in the middle of a message")
            raise

    async def _room(self) -> int:
        """Wait until the peer has room. The muxer has no event for it, so this looks again."""
        if room := self._stream.writable():
            return room
        pause = _POLL_FIRST_S
        with trio.fail_after(self._stall_s):
            while not (room := self._stream.writable()):
                self._check_open()
                await trio.sleep(pause)
                pause = min(pause * 2, _POLL_LAST_S)
        return room

    def _check_open(self) -> None:
        # The peer may have ended its side and still read ours: only a broken stream stops us.
        if self._closing or self._broken:
            raise ChannelClosed(f"the channel to peer {self.peer_id} is closed")

    def _finish(self, end: ChannelClosed | PeerFault) -> None:
        if self._end is None:
            self._end = end
        self._arrived.unpark_all()
