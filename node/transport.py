"""libp2p, hardened: the only module that knows it.

Owns the host (TCP, Noise, Yamux and nothing else), dialling, and the supervision of handlers.
Gives channels (node/channel.py). py-libp2p 0.8.1 is unsafe in its defaults; what is done about each
weakness that we reproduced:

1. plaintext and TLS are on offer: only Noise is passed;
2. an exception in a stream handler ends the host: `_supervise` contains every one of them;
3. inbound slots and tasks are never released: `_Admission` replaces the accept path, counts what is
   alive, bounds it in total and by address, and lets go when a connection ends;
4. a cancelled write desynchronises Noise for all streams: `_SafeNoise` shields every write of the
   session; a peer that stalls it loses the connection;
5. a full window resets a stream after 5 s: channels never write into a full window;
6. the receive window is not enforced: `_BoundedBuffers` ends the connection of a peer that exceeds
   it, bounds the streams and the unread bytes of a connection;
7. and 8. an end says nothing, unread data is dropped: frames, acknowledgements, lingering close;
9. one failed address blocks a peer for 60 s: `_dial` tries addresses itself, one by one;
10. the host dials known peers by itself: its connector is off and it is told no addresses;
11. the 257th stream of a connection hangs: fewer are allowed and opening has a deadline;
12. pubsub must stop after the host: there is none yet;
13. 0.0.0.0 is advertised: `addresses.reachable` replaces it by the machine's own;
14. 100 partial reads lose a connection: `_ExactReader` reads a Noise packet in one call.

Long, because one module alone may know the library and most of its guards must.

Beyond these: listeners share a port silently (SO_REUSEPORT), so it is probed before; identify is
answered but never asked, because it runs in tasks whose failure would end the process; a host that
vanished is noticed by TCP keep-alive.
"""

import contextlib
import logging
import socket
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, cast

import trio
from libp2p import new_host
from libp2p.abc import IMuxedConn, INetStream, IRawConnection, ISecureConn
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.crypto.keys import KeyPair
from libp2p.crypto.x25519 import create_new_key_pair as create_noise_key_pair
from libp2p.custom_types import TProtocol
from libp2p.host.basic_host import BasicHost
from libp2p.identity.identify_push.identify_push import ID_PUSH
from libp2p.network.config import ConnectionConfig, RetryConfig
from libp2p.network.connection.raw_connection import RawConnection
from libp2p.network.swarm import Swarm
from libp2p.peer.id import ID
from libp2p.rcmgr import ResourceLimits, ResourceManager
from libp2p.rcmgr.connection_limits import ConnectionLimits
from libp2p.security.noise.transport import PROTOCOL_ID as NOISE_ID
from libp2p.security.noise.transport import Transport as Noise
from libp2p.stream_muxer.exceptions import MuxedStreamEOF
from libp2p.stream_muxer.yamux import yamux
from multiaddr import Multiaddr  # type: ignore[import-untyped]

from node.addresses import check_port_free, dialable, parse, reachable
from node.channel import ByteStream, Channel, StreamBroken
from node.errors import BadInput, ChannelClosed, NodeError, PeerFault, PeerUnreachable
from node.identity import peer_id_decode
from node.status import WIRE

__all__ = ["Channel", "ChannelClosed", "Handler", "Limits", "Traffic", "Transport"]

log = logging.getLogger(__name__)

Handler = Callable[[Channel], Awaitable[None]]

READ_BYTES = 64 * 1024
WINDOW_BYTES_MAX = 1 << 20
STREAM_BUFFER_BYTES_MAX = WINDOW_BYTES_MAX + 2 * yamux.DEFAULT_WINDOW_SIZE
CONNECTION_BUFFER_BYTES_MAX = 32 << 20
STREAMS_PER_CONNECTION_MAX = 384
ADDRESSES_DIALLED_MAX = 16
KEEPALIVE_IDLE_S, KEEPALIVE_INTERVAL_S, KEEPALIVE_PROBES = 20, 5, 4
HANG_UP_S = 1.0
_UNLIMITED = 1_000_000

# Peers can make the library log at will; what matters is reported here.
logging.getLogger("libp2p").setLevel(logging.CRITICAL)

# The window grows to this instead of 16 MiB, and no frame announced may be larger.
yamux.MAX_WINDOW_SIZE = WINDOW_BYTES_MAX


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of this machine peers may hold, and how long they may take."""

    connections_inbound: int = 256
    connections_outbound: int = 256
    connections_per_peer: int = 4
    connections_per_address: int = 64
    handlers: int = 512
    handlers_per_peer: int = 48
    channels_per_peer: int = 64
    dial_s: float = 10.0
    handshake_s: float = 10.0
    open_s: float = 20.0
    stall_s: float = 60.0
    linger_s: float = 5.0


@dataclass(slots=True)
class Traffic:
    """Bytes since the start: of one protocol's frames, or of all connections as they are sent."""

    sent: int = 0
    received: int = 0


class Transport:
    """Streams to and from peers, authenticated by their Ed25519 identities.

    Use as an async context manager. `listen` and `announce` hold multiaddresses
    (`/ip4/0.0.0.0/tcp/4001`) or `host:port`; port 0 takes a free one. `admits` decides which peers
    are served and dialled; `on_fault` is told of every protocol fault of a peer. `traffic` counts
    by protocol what channels carry, and under `WIRE` what all connections do, encryption, headers
    and handshakes included (but not TCP's).
    """

    def __init__(
        self,
        key_seed: bytes,
        listen: Sequence[str] = ("/ip4/127.0.0.1/tcp/0",),
        announce: Sequence[str] = (),
        limits: Limits | None = None,
        *,
        admits: Callable[[str], bool] = lambda _peer_id: True,
        on_fault: Callable[[str, str], None] = lambda _peer_id, _reason: None,
    ) -> None:
        if len(key_seed) != 32:
            raise BadInput(f"A peer key is a seed of 32 bytes, not {len(key_seed)}.")
        self.limits = limits or Limits()
        self.admits = admits
        self.on_fault = on_fault
        self._listen = [Multiaddr(parse(text)) for text in listen]
        self._announce = [_without_peer(parse(text)) for text in announce]
        self.traffic: defaultdict[str, Traffic] = defaultdict(Traffic)
        self._host = _make_host(
            create_new_key_pair(key_seed), self.limits, self._advertised, self.traffic[WIRE]
        )
        self._swarm = cast(Swarm, self._host.get_network())
        self._swarm.retry_config = RetryConfig(max_retries=0)
        self._admission = _Admission(self._swarm, self.limits)
        self._swarm.set_stream_handler(self._contain)
        self.peer_id = str(self._host.get_id())
        self._handlers: Counter[str] = Counter()
        self._channels: Counter[str] = Counter()
        self._dialling: dict[str, trio.Lock] = {}
        self._nursery: trio.Nursery | None = None
        self._running: AbstractAsyncContextManager[None] | None = None

    async def __aenter__(self) -> "Transport":
        self._running = self._run()
        await self._running.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        assert self._running is not None
        return await self._running.__aexit__(kind, error, trace)

    @property
    def addresses(self) -> list[str]:
        """Where others can dial this node: full multiaddresses ending in its peer id."""
        addresses = self._advertised(self._host.get_transport_addrs())
        return [f"{address}/p2p/{self.peer_id}" for address in addresses]

    def connected(self) -> list[str]:
        """The ids of the peers to which a connection is open, sorted."""
        alive = self._swarm.connections.items()
        return sorted(str(peer) for peer, conns in alive if any(not c.is_closed for c in conns))

    def serve(self, protocol: str, handler: Handler) -> None:
        """Call `handler` with a channel for every stream that a peer opens for this protocol.

        The channel is closed when the handler returns, reset when it raises; no exception of it
        reaches the host. A PeerFault is reported to `on_fault`.
        """

        async def accept(stream: INetStream) -> None:
            await self._supervise(stream, protocol, handler)

        self._host.set_stream_handler(TProtocol(protocol), accept)

    async def open(self, peer_id: str, protocol: str, addresses: Sequence[str] = ()) -> Channel:
        """A new channel to a peer, over the connection there is or a new one to `addresses`.

        Raises PeerUnreachable if the peer is refused here, does not answer, or does not speak the
        protocol. The caller closes the channel.
        """
        target = self._check_peer(peer_id)
        try:
            with trio.fail_after(self.limits.open_s):
                return await self._open(target, protocol, addresses)
        except trio.TooSlowError:
            raise PeerUnreachable(
                f"Peer {peer_id} did not answer within {self.limits.open_s:g} s."
            ) from None

    async def close_peer(self, peer_id: str) -> None:
        """Close every connection to a peer; its channels end."""
        for connection in self._swarm.get_connections(ID.from_string(peer_id)):
            with _shielded(self.limits.linger_s) as patience:
                await connection.close()
            if patience.cancelled_caught:
                await trio.aclose_forcefully(_socket_stream(connection))

    @asynccontextmanager
    async def _run(self) -> AsyncIterator[None]:
        for address in self._listen:
            check_port_free(str(address))
        failure: BaseException | None = None
        try:
            async with self._host.run([]):
                try:
                    async with trio.open_nursery() as nursery:
                        self._nursery = nursery
                        try:
                            await self._start_listening()
                            yield
                        except BaseException as error:
                            failure = error
                            raise
                        finally:
                            nursery.cancel_scope.cancel()
                finally:
                    await self._hang_up()
        except BaseExceptionGroup as group:
            if failure is not None and _only(group) is failure:
                raise failure from None
            raise
        finally:
            self._nursery = None

    async def _start_listening(self) -> None:
        for address in self._listen:
            if not await self._swarm.listen(address):
                raise BadInput(f"This node cannot listen on {address}.", "Choose another address.")

    async def _hang_up(self) -> None:
        """Close listeners and connections; left to itself the library keeps both."""
        with _shielded(HANG_UP_S):
            async with trio.open_nursery() as nursery:
                for listener in self._swarm.listeners.values():
                    nursery.start_soon(listener.close)
                for connection in self._swarm.get_connections():
                    nursery.start_soon(connection.close)

    def _advertised(self, listening: Sequence[Multiaddr]) -> list[Multiaddr]:
        return self._announce or [
            Multiaddr(text) for address in listening for text in reachable(str(address))
        ]

    def _check_peer(self, peer_id: str) -> ID:
        try:
            target = ID(peer_id_decode(peer_id))
        except BadInput:
            raise PeerUnreachable(f"{peer_id!r} is not a peer id.") from None
        if peer_id == self.peer_id:
            raise PeerUnreachable(f"Peer {peer_id} is this node itself.")
        if not self.admits(peer_id):
            raise PeerUnreachable(f"Peer {peer_id} is banned here for misbehaviour.")
        if self._channels[peer_id] >= self.limits.channels_per_peer:
            raise PeerUnreachable(
                f"{self._channels[peer_id]} channels to peer {peer_id} are open already.",
                "Close some first.",
            )
        return target

    async def _open(self, target: ID, protocol: str, addresses: Sequence[str]) -> Channel:
        reused = self._is_connected(target)
        if not reused:
            await self._connect(target, addresses)
        try:
            stream = await self._new_stream(target, protocol)
        except PeerUnreachable:
            if not reused or self._is_connected(target):
                raise
            # The connection that we had was dead; a fresh one gets one try.
            await self._connect(target, addresses)
            stream = await self._new_stream(target, protocol)
        return self._adopt(stream, protocol)

    def _is_connected(self, target: ID) -> bool:
        return any(not connection.is_closed for connection in self._swarm.get_connections(target))

    async def _new_stream(self, target: ID, protocol: str) -> INetStream:
        """Open and negotiate a stream in a task of its own: the library must not be cancelled."""
        assert self._nursery is not None, "the transport is not running"
        done = trio.Event()
        abandoned = False
        stream: INetStream | None = None
        problem = "the connection was lost"

        async def attempt() -> None:
            nonlocal stream, problem
            try:
                stream = await self._host.new_stream(target, [TProtocol(protocol)])
            except Exception as error:  # noqa: BLE001 - the connection's supervisor
                problem = str(error) or type(error).__name__
            finally:
                done.set()
            if abandoned and stream is not None:
                await stream.reset()

        self._nursery.start_soon(attempt)
        try:
            await done.wait()
        except trio.Cancelled:
            abandoned = True
            if stream is not None:
                self._nursery.start_soon(stream.reset)
            raise
        if stream is None:
            raise PeerUnreachable(f"Peer {target} opened no stream for {protocol}: {problem}.")
        return stream

    async def _connect(self, target: ID, addresses: Sequence[str]) -> None:
        lock = self._dialling.setdefault(str(target), trio.Lock())
        try:
            async with lock:
                if not self._is_connected(target):
                    await self._dial(target, addresses)
        finally:
            if not lock.statistics().tasks_waiting and not lock.locked():
                self._dialling.pop(str(target), None)

    async def _dial(self, target: ID, addresses: Sequence[str]) -> None:
        problems = []
        for text in list(dict.fromkeys(addresses))[:ADDRESSES_DIALLED_MAX]:
            try:
                with trio.fail_after(self.limits.dial_s):
                    address = Multiaddr(dialable(text, str(target)))
                    await self._swarm.dial_addr(address, target)
                return
            except trio.TooSlowError:
                problems.append(f"{text}: no answer within {self.limits.dial_s:g} s")
            except BadInput as error:
                problems.append(f"{text}: {error.message}")
            except Exception as error:  # noqa: BLE001 - the connection's supervisor
                problems.append(f"{text}: {error.__cause__ or error}")
        tried = "; ".join(problems) or "no address of it is known"
        raise PeerUnreachable(f"Peer {target} cannot be reached: {tried}.")

    def _adopt(self, stream: INetStream, protocol: str) -> Channel:
        assert self._nursery is not None, "the transport is not running"
        peer_id = str(stream.muxed_conn.peer_id)
        channel = Channel(
            _Stream(stream, self.traffic[protocol]),
            peer_id,
            protocol,
            stall_s=self.limits.stall_s,
            linger_s=self.limits.linger_s,
        )
        self._channels[peer_id] += 1
        self._nursery.start_soon(self._run_channel, channel)
        return channel

    async def _run_channel(self, channel: Channel) -> None:
        try:
            await channel.run()
        except Exception:
            log.exception("the channel to peer %s failed", channel.peer_id)
        finally:
            _count_down(self._channels, channel.peer_id)

    async def _contain(self, stream: INetStream) -> None:
        """Let no exception of negotiation or of the library's own handlers reach the host."""
        try:
            if self.admits(str(stream.muxed_conn.peer_id)):
                await self._host._swarm_stream_handler(stream)
                return
        except Exception as error:  # noqa: BLE001 - the connection's supervisor
            log.debug("a stream of peer %s failed: %s", stream.muxed_conn.peer_id, error)
        with contextlib.suppress(Exception):
            await stream.reset()

    async def _supervise(self, stream: INetStream, protocol: str, handler: Handler) -> None:
        """Run a handler in our nursery, within the bounds, and wait for it."""
        peer_id = str(stream.muxed_conn.peer_id)
        full = self._handlers.total() >= self.limits.handlers
        if (
            self._nursery is None
            or full
            or (self._handlers[peer_id] >= self.limits.handlers_per_peer)
        ):
            log.warning("refused a stream of peer %s for %s: too many are open", peer_id, protocol)
            await stream.reset()
            return
        channel = self._adopt(stream, protocol)
        self._handlers[peer_id] += 1
        self._nursery.start_soon(self._handle, channel, handler)
        await channel.finished.wait()

    async def _handle(self, channel: Channel, handler: Handler) -> None:
        try:
            async with channel:
                # The end of the peer's side is how a handler usually ends: close, do not reset.
                with contextlib.suppress(ChannelClosed):
                    await handler(channel)
        except PeerFault as fault:
            log.info("peer %s broke %s: %s", channel.peer_id, channel.protocol, fault)
            self.on_fault(channel.peer_id, str(fault))
        except NodeError as error:
            log.warning("%s with peer %s failed: %s", channel.protocol, channel.peer_id, error)
        except Exception:
            log.exception("%s with peer %s failed", channel.protocol, channel.peer_id)
        finally:
            _count_down(self._handlers, channel.peer_id)


class _Stream(ByteStream):
    """A libp2p stream as the byte stream that a channel needs."""

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


class _Admission:
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
            _count_down(self._by_address, host)
            with trio.CancelScope(shield=True):
                await trio.aclose_forcefully(stream.stream)


class _ExactReader(IRawConnection):
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


class _SafeNoise(Noise):
    """Noise whose session survives cancellation and small packets (weaknesses 4 and 14)."""

    stall_s = 60.0
    wire: Traffic

    async def secure_inbound(self, conn: IRawConnection) -> ISecureConn:
        return self._shield(await super().secure_inbound(_ExactReader(conn, self.wire)))

    async def secure_outbound(self, conn: IRawConnection, peer_id: ID) -> ISecureConn:
        return self._shield(await super().secure_outbound(_ExactReader(conn, self.wire), peer_id))

    def _shield(self, session: ISecureConn) -> ISecureConn:
        write = session.write

        async def write_whole(data: bytes) -> None:
            with _shielded(self.stall_s) as patience:
                await write(data)
            if patience.cancelled_caught:
                await session.close()
                raise trio.BrokenResourceError(f"a peer took nothing for {self.stall_s:g} s")

        vars(session)["write"] = write_whole
        return session


class _Buffer(bytearray):
    """What a peer sent on one stream and nobody has read; ends the connection on excess."""

    def __init__(self, owner: "_BoundedBuffers") -> None:
        super().__init__()
        self._owner = owner

    def extend(self, data: Any) -> None:
        if len(self) + len(data) > STREAM_BUFFER_BYTES_MAX:
            raise trio.TooSlowError("a peer exceeded the receive window of a stream")
        if self._owner.total() + len(data) > CONNECTION_BUFFER_BYTES_MAX:
            raise trio.TooSlowError("a peer exceeded the unread bytes of a connection")
        super().extend(data)


class _BoundedBuffers(dict[int, bytearray]):
    """The receive buffers of a connection.

    TooSlowError is the one exception on which the muxer closes a connection from any frame.
    """

    def __setitem__(self, stream_id: int, buffer: bytearray) -> None:
        if len(self) >= STREAMS_PER_CONNECTION_MAX:
            raise trio.TooSlowError("a peer opened too many streams")
        super().__setitem__(stream_id, _Buffer(self))

    def total(self) -> int:
        return sum(map(len, self.values()))


def _bound_buffers(swarm: Swarm) -> None:
    """Give every new connection bounded receive buffers, before its first frame is read."""
    upgrade = swarm.upgrader.upgrade_connection

    async def upgrade_bounded(session: ISecureConn, peer_id: ID) -> IMuxedConn:
        connection = await upgrade(session, peer_id)
        assert isinstance(connection, yamux.Yamux)
        connection.stream_buffers = _BoundedBuffers()
        return connection

    vars(swarm.upgrader)["upgrade_connection"] = upgrade_bounded


def _make_host(
    keys: KeyPair,
    limits: Limits,
    advertised: Callable[[Sequence[Multiaddr]], list[Multiaddr]],
    wire: Traffic,
) -> BasicHost:
    noise = _SafeNoise(keys, noise_privkey=create_noise_key_pair().private_key)
    noise.stall_s, noise.wire = limits.stall_s, wire
    host = cast(
        BasicHost,
        new_host(
            key_pair=keys,
            sec_opt={NOISE_ID: noise},
            muxer_opt={TProtocol(yamux.PROTOCOL_ID): yamux.Yamux},
            connection_config=ConnectionConfig(
                min_connections=0,
                low_watermark=0,
                high_watermark=_UNLIMITED,
                max_connections=_UNLIMITED,
                max_connections_per_peer=limits.connections_per_peer,
                inbound_upgrade_timeout=limits.handshake_s,
                outbound_upgrade_timeout=limits.handshake_s,
            ),
            resource_manager=_make_resource_manager(limits),
            addrs_factory=advertised,
            disable_identify_address_discovery=True,
        ),
    )
    host.remove_stream_handler(ID_PUSH)
    vars(host)["_schedule_identify"] = _do_nothing
    # A low watermark of zero does not stop it: it aims at the middle of the two watermarks.
    swarm = cast(Swarm, host.get_network())
    vars(swarm.auto_connector)["maybe_connect"] = _await_nothing
    _bound_buffers(swarm)
    return host


def _do_nothing(*_args: object, **_kwargs: object) -> None:
    """In place of a method of the library that must not run."""


async def _await_nothing(*_args: object, **_kwargs: object) -> None:
    """In place of an asynchronous one."""


def _make_resource_manager(limits: Limits) -> ResourceManager:
    total = limits.connections_inbound + limits.connections_outbound
    return ResourceManager(
        # A connection counts twice while it is being upgraded.
        limits=ResourceLimits(max_connections=2 * total, max_streams=_UNLIMITED),
        connection_limits=ConnectionLimits(
            max_established_inbound=limits.connections_inbound,
            max_established_outbound=limits.connections_outbound,
            max_established_per_peer=limits.connections_per_peer,
            max_established_total=total,
        ),
        enable_metrics=False,
        enable_circuit_breaker=False,
        enable_graceful_degradation=False,
        enable_rate_limiting=False,
    )


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


def _socket_stream(connection: Any) -> trio.abc.AsyncResource:
    reader = connection.muxed_conn.secured_conn.conn.read_writer.read_write_closer
    return cast(trio.abc.AsyncResource, reader._inner.stream.stream)


def _without_peer(address: str) -> Multiaddr:
    return Multiaddr(address.partition("/p2p/")[0])


def _only(error: BaseException) -> BaseException | None:
    """The single exception inside nested groups, if there is just one."""
    while isinstance(error, BaseExceptionGroup):
        if len(error.exceptions) != 1:
            return None
        error = error.exceptions[0]
    return error


def _shielded(limit_s: float) -> trio.CancelScope:
    """A scope that nobody outside can cancel, for at most `limit_s`."""
    return trio.CancelScope(shield=True, deadline=trio.current_time() + limit_s)


def _count_down(counter: Counter[str], key: str) -> None:
    counter[key] -= 1
    if counter[key] <= 0:
        del counter[key]
