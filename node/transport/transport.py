"""Dialling, streams and the supervision of handlers: what the rest of the node calls."""

import contextlib
import logging
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import TracebackType
from typing import cast

import trio
from libp2p.abc import INetStream
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.custom_types import TProtocol
from libp2p.network.config import RetryConfig
from libp2p.network.swarm import Swarm
from libp2p.peer.id import ID
from multiaddr import Multiaddr  # type: ignore[import-untyped]

from node.addresses import check_port_free, dialable, parse, reachable
from node.channel import Channel
from node.errors import BadInput, ChannelClosed, NodeError, PeerFault, PeerUnreachable
from node.identity import peer_id_decode
from node.status import WIRE
from node.transport.connections import Admission, socket_stream
from node.transport.host import make_host
from node.transport.limits import Limits, Traffic, count_down, shielded
from node.transport.streams import Stream

log = logging.getLogger(__name__)

Handler = Callable[[Channel], Awaitable[None]]

ADDRESSES_DIALLED_MAX = 16
HANG_UP_S = 1.0


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
        self._host = make_host(
            create_new_key_pair(key_seed), self.limits, self._advertised, self.traffic[WIRE]
        )
        self._swarm = cast(Swarm, self._host.get_network())
        self._swarm.retry_config = RetryConfig(max_retries=0)
        self._admission = Admission(self._swarm, self.limits)
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
            with shielded(self.limits.linger_s) as patience:
                await connection.close()
            if patience.cancelled_caught:
                await trio.aclose_forcefully(socket_stream(connection))

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
        with shielded(HANG_UP_S):
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
            Stream(stream, self.traffic[protocol]),
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
            count_down(self._channels, channel.peer_id)

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
            count_down(self._handlers, channel.peer_id)


def _without_peer(address: str) -> Multiaddr:
    return Multiaddr(address.partition("/p2p/")[0])


def _only(error: BaseException) -> BaseException | None:
    """The single exception inside nested groups, if there is just one."""
    while isinstance(error, BaseExceptionGroup):
        if len(error.exceptions) != 1:
            return None
        error = error.exceptions[0]
    return error
