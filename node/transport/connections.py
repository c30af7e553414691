"""What a connection passes through before its streams: admission, whole reads and writes, bounds.

Numbers are those of the weaknesses in node/transport/__init__.py.
"""

import contextlib
import logging
import socket
from collections import Counter
from typing import Any, cast

import trio
from libp2p.abc import IMuxedConn, IRawConnection, ISecureConn
from libp2p.network.connection.raw_connection import RawConnection
from libp2p.network.swarm import Swarm
from libp2p.peer.id import ID
from libp2p.security.noise.transport import Transport as Noise
from libp2p.stream_muxer.yamux import yamux
from multiaddr import Multiaddr  # type: ignore[import-untyped]

from node.transport.limits import Limits, Traffic, count_down, shielded

log = logging.getLogger(__name__)

WINDOW_BYTES_MAX = 1 << 20
STREAM_BUFFER_BYTES_MAX = WINDOW_BYTES_MAX + 2 * yamux.DEFAULT_WINDOW_SIZE
CONNECTION_BUFFER_BYTES_MAX = 32 << 20
STREAMS_PER_CONNECTION_MAX = 384
KEEPALIVE_IDLE_S, KEEPALIVE_INTERVAL_S, KEEPALIVE_PROBES = 20, 5, 4

# The window grows to this instead of 16 MiB, and no frame announced may be larger.
yamux.MAX_WINDOW_SIZE = WINDOW_BYTES_MAX


class Admission:
    """Accepts connections in place of the swarm, which never lets go of one (weakness 3)."""

    def __init__(self, swarm: Swarm, limits: Limits) -> None:
        self._swarm = swarm
        self._limits = limits
        self._by_address: Counter[str] = Counter()
        assert callable(swarm._handle_inbound_connection), "this libp2p has another accept path"
        vars(swarm)["_handle_inbound_connection"] = self.accept

    @property
    def alive(self) -> int:
        """How many inbound connections are open or shaking hands."""
        return self._by_address.total()

    async def accept(self, stream: Any, address: Multiaddr) -> None:
        remote = stream.get_remote_address()
        host = str(remote[0]) if remote else "unknown"
        if (
            self.alive >= self._limits.connections_inbound
            or self._by_address[host] >= self._limits.connections_per_address
        ):
            log.debug("refused a connection from %s: %d are open", host, self.alive)
            await stream.close()
            return
        self._by_address[host] += 1
        try:
            connection = await self._swarm.upgrade_inbound_raw_conn(
                RawConnection(stream, False), address
            )
            await cast(yamux.Yamux, connection).event_closed.wait()
        except Exception as error:  # noqa: BLE001 - the connection's supervisor
            log.debug("a connection from %s failed: %s", host, error)
        finally:
            count_down(self._by_address, host)
            with trio.CancelScope(shield=True):
                await trio.aclose_forcefully(stream.stream)


class ExactReader(IRawConnection):
    """A raw connection whose `read(n)` returns n bytes unless the connection ends (weakness 14)."""

    def __init__(self, inner: IRawConnection, wire: Traffic) -> None:
        self._inner, self._wire = inner, wire
        self.is_initiator = inner.is_initiator
        self._buffer = bytearray()
        _keep_alive(inner)

    async def read(self, n: int | None = None) -> bytes:
        buffer = self._buffer
        while len(buffer) < (1 if n is None else n):
            data = await self._inner.read(256 * 1024)
            if not data:
                break
            buffer += data
            self._wire.received += len(data)
        taken = bytes(buffer[:n])
        del buffer[:n]
        return taken

    async def write(self, data: bytes) -> None:
        await self._inner.write(data)
        self._wire.sent += len(data)

    async def close(self) -> None:
        await self._inner.close()

    def get_remote_address(self) -> tuple[str, int] | None:
        return self._inner.get_remote_address()

    def get_transport_addresses(self) -> list[Multiaddr]:
        return self._inner.get_transport_addresses()

    def get_connection_type(self) -> Any:
        return self._inner.get_connection_type()


class SafeNoise(Noise):
    """Noise whose session survives cancellation and small packets (weaknesses 4 and 14)."""

    stall_s = 60.0
    wire: Traffic

    async def secure_inbound(self, conn: IRawConnection) -> ISecureConn:
        return self._shield(await super().secure_inbound(ExactReader(conn, self.wire)))

    async def secure_outbound(self, conn: IRawConnection, peer_id: ID) -> ISecureConn:
        return self._shield(await super().secure_outbound(ExactReader(conn, self.wire), peer_id))

    def _shield(self, session: ISecureConn) -> ISecureConn:
        write = session.write

        async def write_whole(data: bytes) -> None:
            with shielded(self.stall_s) as patience:
                await write(data)
            if patience.cancelled_caught:
                await session.close()
                raise trio.BrokenResourceError(f"a peer took nothing for {self.stall_s:g} s")

        vars(session)["write"] = write_whole
        return session


class _Buffer(bytearray):
    """What a peer sent on one stream and nobody has read; ends the connection on excess."""

    def __init__(self, owner: "BoundedBuffers") -> None:
        super().__init__()
        self._owner = owner

    def extend(self, data: Any) -> None:
        if len(self) + len(data) > STREAM_BUFFER_BYTES_MAX:
            raise trio.TooSlowError("a peer exceeded the receive window of a stream")
        if self._owner.total() + len(data) > CONNECTION_BUFFER_BYTES_MAX:
            raise trio.TooSlowError("a peer exceeded the unread bytes of a connection")
        super().extend(data)


class BoundedBuffers(dict[int, bytearray]):
    """The receive buffers of a connection.

    TooSlowError is the one exception on which the muxer closes a connection from any frame.
    """

    def __setitem__(self, stream_id: int, buffer: bytearray) -> None:
        if len(self) >= STREAMS_PER_CONNECTION_MAX:
            raise trio.TooSlowError("a peer opened too many streams")
        super().__setitem__(stream_id, _Buffer(self))

    def total(self) -> int:
        return sum(map(len, self.values()))


def bound_buffers(swarm: Swarm) -> None:
    """Give every new connection bounded receive buffers, before its first frame is read."""
    upgrade = swarm.upgrader.upgrade_connection

    async def upgrade_bounded(session: ISecureConn, peer_id: ID) -> IMuxedConn:
        connection = await upgrade(session, peer_id)
        assert isinstance(connection, yamux.Yamux)
        connection.stream_buffers = BoundedBuffers()
        return connection

    vars(swarm.upgrader)["upgrade_connection"] = upgrade_bounded


def _keep_alive(connection: IRawConnection) -> None:
    """Have the kernel notice a peer that vanished without a word."""
    stream = getattr(getattr(connection, "stream", None), "stream", None)
    if not isinstance(stream, trio.SocketStream):
        return
    dead_after_s = KEEPALIVE_IDLE_S + KEEPALIVE_INTERVAL_S * KEEPALIVE_PROBES
    options = (
        ("TCP_KEEPIDLE", KEEPALIVE_IDLE_S),
        ("TCP_KEEPINTVL", KEEPALIVE_INTERVAL_S),
        ("TCP_KEEPCNT", KEEPALIVE_PROBES),
        ("TCP_USER_TIMEOUT", dead_after_s * 1000),
    )
    with contextlib.suppress(OSError):
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in options:
            if hasattr(socket, name):
                stream.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def socket_stream(connection: Any) -> trio.abc.AsyncResource:
    reader = connection.muxed_conn.secured_conn.conn.read_writer.read_write_closer
    return cast(trio.abc.AsyncResource, reader._inner.stream.stream)
