"""A libp2p stream, seen as the byte stream that a channel needs."""

import contextlib
from typing import Any, cast

from libp2p.abc import INetStream
from libp2p.stream_muxer.exceptions import MuxedStreamEOF
from libp2p.stream_muxer.yamux import yamux

from node.channel import ByteStream, StreamBroken
from node.transport.limits import Traffic

READ_BYTES = 64 * 1024


class Stream(ByteStream):
    """Counts what it carries; every failure of the library is a StreamBroken."""

    def __init__(self, stream: INetStream, traffic: Traffic) -> None:
        self._net, self._traffic = stream, traffic
        self._muxed = cast(yamux.YamuxStream, cast(Any, stream).muxed_stream)

    async def read(self) -> bytes:
        try:
            data = await self._muxed.read(READ_BYTES)
            self._traffic.received += len(data)
            return data
        except MuxedStreamEOF as end:
            # The muxer says the same of a lost connection as of a clean end (weakness 7).
            if self._muxed.reset_received or self._muxed.conn.event_shutting_down.is_set():
                raise StreamBroken("the connection was lost") from end
            return b""
        except Exception as error:
            raise StreamBroken(str(error) or type(error).__name__) from error

    async def write(self, data: bytes) -> None:
        try:
            await self._muxed.write(data)
            self._traffic.sent += len(data)
        except Exception as error:
            raise StreamBroken(str(error) or type(error).__name__) from error

    def writable(self) -> int:
        if self._muxed.closed or self._muxed.send_closed:
            raise StreamBroken("the stream was reset or its connection was lost")
        return self._muxed.send_window

    async def close_write(self) -> None:
        try:
            await self._muxed.close()
        except Exception as error:
            raise StreamBroken(str(error) or type(error).__name__) from error

    async def dispose(self, *, clean: bool) -> None:
        with contextlib.suppress(Exception):
            await (self._net.close() if clean else self._net.reset())
