"""node/transport against real hosts; every weakness that its text lists, by number."""

import contextlib
import os
import secrets
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from libp2p import new_host
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.crypto.x25519 import create_new_key_pair as create_noise_key_pair
from libp2p.custom_types import TProtocol
from libp2p.io.exceptions import IncompleteReadError
from libp2p.io.utils import read_exactly
from libp2p.network.config import ConnectionConfig
from libp2p.peer.peerinfo import info_from_p2p_addr
from libp2p.security.insecure.transport import PLAINTEXT_PROTOCOL_ID, InsecureTransport
from libp2p.security.noise.transport import PROTOCOL_ID as NOISE_ID
from libp2p.security.noise.transport import Transport as Noise
from multiaddr import Multiaddr

from node.channel import Channel
from node.errors import BadInput, ChannelClosed, PeerFault, PeerUnreachable
from node.identity import peer_id_from_key
from node.status import WIRE
from node.transport import Limits, Traffic, Transport
from node.transport.connections import ExactReader

ECHO = "/echo/0"


async def echo(channel: Channel) -> None:
    while True:
        await channel.send(await channel.receive())


@contextlib.asynccontextmanager
async def peer(**options: Any) -> AsyncIterator[Transport]:
    """A transport with a fresh identity that serves echo."""
    async with Transport(secrets.token_bytes(32), **options) as transport:
        transport.serve(ECHO, echo)
        yield transport


async def check_echo(here: Transport, there: Transport | str) -> None:
    """A message to `there` (a transport or an address) comes back."""
    address = there if isinstance(there, str) else there.addresses[0]
    with trio.fail_after(10):
        async with await here.open(address.rpartition("/")[2], ECHO, [address]) as channel:
            await channel.send(b"hello")
            assert await channel.receive() == b"hello"


async def until(condition: Callable[[], bool], within_s: float = 10.0) -> None:
    """Wait for something that the network does in its own time."""
    with trio.fail_after(within_s):
        while not condition():  # noqa: ASYNC110 - the network has no event for it
            await trio.sleep(0.01)


async def call(here: Transport, there: Transport) -> bytes:
    """One echo over a new channel."""
    async with await here.open(there.peer_id, ECHO, there.addresses) as channel:
        await channel.send(b"x")
        return await channel.receive()


async def send_for_ever(channel: Channel, message: bytes) -> None:
    while True:
        await channel.send(message)


async def receive_for_ever(channel: Channel, size: int) -> None:
    while True:
        assert len(await channel.receive()) == size


@contextlib.asynccontextmanager
async def stock_host(*, plaintext: bool = False) -> AsyncIterator[Any]:
    """A host of the library without our guards: what a hostile or careless peer runs."""
    keys = create_new_key_pair()
    security: Any = {NOISE_ID: Noise(keys, noise_privkey=create_noise_key_pair().private_key)}
    if plaintext:
        security = {TProtocol(PLAINTEXT_PROTOCOL_ID): InsecureTransport(keys)}
    calm = ConnectionConfig(min_connections=0, low_watermark=0)
    host = new_host(key_pair=keys, sec_opt=security, connection_config=calm)
    async with host.run([]):
        yield host
        with trio.CancelScope(shield=True):
            for connection in host.get_network().get_connections():
                await connection.close()


@pytest.fixture
def other_process(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A peer in another process, and its address."""
    command = [sys.executable, str(Path(__file__).parent / "children" / "peer.py"), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


@pytest.fixture
def clock() -> trio.testing.MockClock:
    """Time that a test can make run faster once the hosts are connected."""
    return trio.testing.MockClock(rate=1.0)


@pytest.mark.trio
async def test_open_to_other_process_echoes(other_process: tuple[Any, str]) -> None:
    """Two operating-system processes talk."""
    async with peer() as here:
        await check_echo(here, other_process[1])
        assert here.connected() == [other_process[1].rpartition("/")[2]]


@pytest.mark.trio
async def test_traffic_is_counted_by_protocol_and_on_the_wire() -> None:
    """What one side sends the other receives; the wire carries encryption and headers besides."""
    message = secrets.token_bytes(300_000)
    async with peer() as here, peer() as there:
        async with await here.open(there.peer_id, ECHO, there.addresses) as channel:
            await channel.send(message)
            assert await channel.receive() == message
            mine, theirs = here.traffic[ECHO], there.traffic[ECHO]
            assert mine.sent == mine.received == theirs.sent == theirs.received == 300_004
        for transport in (here, there):
            wire = transport.traffic[WIRE]
            assert min(wire.sent, wire.received) > 300_004
            assert max(wire.sent, wire.received) < 1.02 * 300_004
        assert set(here.traffic) == set(there.traffic) == {ECHO, WIRE}


@pytest.mark.trio
async def test_peer_id_follows_from_key_seed() -> None:
    """The identity is that of node/identity.py."""
    seed = bytes(range(32))
    async with Transport(seed) as transport:
        assert transport.peer_id == peer_id_from_key(seed)
        assert transport.addresses[0].endswith(f"/p2p/{transport.peer_id}")


@pytest.mark.trio
async def test_large_messages_survive_both_ways() -> None:
    """A full frame crosses windows, pieces and Noise packets unharmed."""
    message = os.urandom(1 << 20)
    async with peer() as a, peer() as b, trio.open_nursery() as nursery:
        channel = await a.open(b.peer_id, ECHO, b.addresses)
        for _ in range(3):
            nursery.start_soon(channel.send, message)
        for _ in range(3):
            assert await channel.receive() == message
        await channel.aclose()


@pytest.mark.trio
async def test_weakness_1_plaintext_dialler_is_refused() -> None:
    """Only Noise is on offer."""
    async with peer() as victim, stock_host(plaintext=True) as dialler:
        with pytest.raises(Exception, match="unable to connect"):
            await dialler.connect(info_from_p2p_addr(Multiaddr(victim.addresses[0])))
        assert victim.connected() == []


@pytest.mark.parametrize(
    "error", [RuntimeError("a bug"), ExceptionGroup("bugs", [ValueError("one")])]
)
@pytest.mark.trio
async def test_weakness_2_handler_exception_stays_inside(error: Exception) -> None:
    """A handler that raises costs its stream, nothing else."""

    async def broken(channel: Channel) -> None:
        await channel.receive()
        raise error

    async with peer() as a, peer() as b:
        b.serve("/broken/0", broken)
        async with await a.open(b.peer_id, "/broken/0", b.addresses) as channel:
            await channel.send(b"x")
            with pytest.raises(ChannelClosed):
                await channel.receive()
        await check_echo(a, b)


@pytest.mark.trio
async def test_weakness_2_library_handler_exception_stays_inside() -> None:
    """Not every handler is ours: those of the library are contained as well."""

    async def broken(stream: Any) -> None:
        await stream.read(1)
        raise RuntimeError("a bug")

    async with peer() as a, peer() as b:
        b._host.set_stream_handler(TProtocol("/broken/0"), broken)
        async with await a.open(b.peer_id, "/broken/0", b.addresses) as channel:
            await channel.send(b"x")
            with pytest.raises(ChannelClosed):
                await channel.receive()
        await check_echo(a, b)


@pytest.mark.trio
async def test_weakness_2_garbage_instead_of_negotiation_stays_inside() -> None:
    """Streams that negotiate nonsense, and connections that send noise, end no host."""
    async with peer() as victim, stock_host() as hostile, peer() as friend:
        info = info_from_p2p_addr(Multiaddr(victim.addresses[0]))
        await hostile.connect(info)
        for garbage in (b"", b"\xff" * 300, b"\x13/multistream/1.0.0\n\x05/x/0\n"):
            stream = await hostile.get_network().new_stream(info.peer_id)
            await stream.write(garbage)
            await stream.close()
        port = int(victim.addresses[0].split("/")[4])
        for size in (1, 50, 5000):
            raw = await trio.open_tcp_stream("127.0.0.1", port)
            await raw.send_all(os.urandom(size))
            await raw.aclose()
        await check_echo(friend, victim)


@pytest.mark.trio
async def test_peer_fault_in_handler_is_reported() -> None:
    """The caller of the transport hears who broke the protocol."""
    faults: list[tuple[str, str]] = []

    async def strict(channel: Channel) -> None:
        await channel.receive()
        raise PeerFault("nonsense")

    async with peer() as a, peer(on_fault=lambda *fault: faults.append(fault)) as b:
        b.serve("/strict/0", strict)
        async with await a.open(b.peer_id, "/strict/0", b.addresses) as channel:
            await channel.send(b"x")
            with pytest.raises(ChannelClosed):
                await channel.receive()
        assert faults == [(a.peer_id, "nonsense")]


@pytest.mark.trio
async def test_malformed_frame_is_a_reported_fault() -> None:
    """A frame over the limit ends the channel before its payload is awaited."""
    faults: list[tuple[str, str]] = []

    def report(peer_id: str, reason: str) -> None:
        faults.append((peer_id, reason))

    async with peer(on_fault=report) as victim, stock_host() as hostile:
        info = info_from_p2p_addr(Multiaddr(victim.addresses[0]))
        await hostile.connect(info)
        stream = await hostile.new_stream(info.peer_id, [TProtocol(ECHO)])
        await stream.write((1 << 30).to_bytes(4, "big"))
        await until(lambda: bool(faults))
    assert faults[0][0] == str(hostile.get_id())
    assert "1073741824 bytes" in faults[0][1]


@pytest.mark.trio
async def test_weakness_3_inbound_slots_come_back() -> None:
    """More connections than the limit, one after another, are all served and all forgotten."""
    async with peer(limits=Limits(connections_inbound=2)) as busy:
        tasks = []
        for _ in range(6):
            async with peer() as visitor:
                await check_echo(visitor, busy)
            await until(lambda: busy.connected() == [] and not busy._channels)
            await trio.testing.wait_all_tasks_blocked(0.05)
            tasks.append(trio.lowlevel.current_statistics().tasks_living)
        assert busy._admission.alive == 0
        assert tasks[1:] == tasks[:1] * 5


@pytest.mark.trio
async def test_weakness_3_connections_are_bounded_by_address() -> None:
    """One machine cannot take every slot."""
    async with peer(limits=Limits(connections_per_address=1)) as busy, peer() as first:
        await check_echo(first, busy)
        async with peer() as late:
            with pytest.raises(PeerUnreachable):
                await late.open(busy.peer_id, ECHO, busy.addresses)


@pytest.mark.trio
async def test_weakness_3_connections_are_bounded() -> None:
    """While the limit is reached, one more is refused and the others go on."""
    async with peer(limits=Limits(connections_inbound=2)) as busy, peer() as a, peer() as b:
        await check_echo(a, busy)
        await check_echo(b, busy)
        async with peer() as late:
            with pytest.raises(PeerUnreachable):
                await late.open(busy.peer_id, ECHO, busy.addresses)
        await check_echo(a, busy)


@pytest.mark.trio
async def test_weakness_4_cancelled_sends_leave_other_streams_whole() -> None:
    """Cancelling large writes at any moment harms no other stream of the connection."""

    async def sink(channel: Channel) -> None:
        while True:
            await channel.receive()

    async with peer() as a, peer() as b:
        b.serve("/sink/0", sink)
        async with await a.open(b.peer_id, ECHO, b.addresses) as steady:
            for attempt in range(25):
                channel = await a.open(b.peer_id, "/sink/0")
                with trio.move_on_after(0.001 + attempt * 0.0007):
                    while True:
                        await channel.send(os.urandom(1 << 19))
                channel.abort()
                await steady.send(b"still here")
                with trio.fail_after(5):
                    assert await steady.receive() == b"still here"


@pytest.mark.trio
async def test_weakness_5_reader_that_pauses_loses_nothing(
    clock: trio.testing.MockClock,
) -> None:
    """A reader that does nothing for 30 s slows its sender down and then gets everything."""
    total, size = 64, 256 * 1024

    async def pausing(channel: Channel) -> None:
        await trio.sleep(30)
        received = [len(await channel.receive()) for _ in range(total)]
        await channel.send(str(sum(received)).encode())

    async with peer() as a, peer() as b:
        b.serve("/pausing/0", pausing)
        async with await a.open(b.peer_id, "/pausing/0", b.addresses) as channel:
            clock.rate = 20.0
            for _ in range(total):
                await channel.send(bytes(size))
            assert trio.current_time() >= 30
            assert await channel.receive() == str(total * size).encode()


@pytest.mark.trio
async def test_weakness_5_reader_that_stops_ends_the_channel(
    clock: trio.testing.MockClock,
) -> None:
    """Nobody waits for ever: after `stall_s` the sender gets an error and the host lives on."""

    async def dead(channel: Channel) -> None:
        await trio.sleep_forever()

    async with peer(limits=Limits(stall_s=20)) as a, peer() as b:
        b.serve("/dead/0", dead)
        channel = await a.open(b.peer_id, "/dead/0", b.addresses)
        clock.rate = 20.0
        with pytest.raises(ChannelClosed, match="read nothing for 20 s"):
            await send_for_ever(channel, bytes(1 << 20))
        clock.rate = 1.0
        await check_echo(a, b)


@pytest.mark.trio
async def test_weakness_6_peer_that_ignores_the_window_is_cut_off() -> None:
    """What a hostile peer sends beyond its window is never stored: its connection ends."""
    started = trio.Event()

    async def idle(channel: Channel) -> None:
        started.set()
        await trio.sleep_forever()

    async with peer() as victim, peer() as friend, stock_host() as hostile:
        victim.serve("/idle/0", idle)
        info = info_from_p2p_addr(Multiaddr(victim.addresses[0]))
        await hostile.connect(info)
        stream = await hostile.new_stream(info.peer_id, [TProtocol("/idle/0")])
        await started.wait()
        muxer = stream.muxed_stream.conn
        body = bytes(60_000)
        frame = struct.pack("!BBHII", 0, 0, 0, stream.muxed_stream.stream_id, len(body)) + body
        sent = 0
        with contextlib.suppress(Exception), trio.fail_after(10):
            while victim.connected() and sent < 200 << 20:
                await muxer._write_frame(frame)
                sent += len(body)
        assert sent < 30 << 20
        await until(lambda: victim.connected() == [])
        await check_echo(friend, victim)


@pytest.mark.trio
async def test_weakness_7_killed_peer_is_not_a_clean_end(other_process: tuple[Any, str]) -> None:
    """kill -9 in the middle of a stream: whole messages only, then an error that says so."""
    process, address = other_process
    async with peer() as here:
        channel = await here.open(address.rpartition("/")[2], "/babble/0", [address])
        assert len(await channel.receive()) == 100_000
        process.send_signal(signal.SIGKILL)
        with trio.fail_after(20), pytest.raises(ChannelClosed, match=r"broke|lost|middle of a"):
            await receive_for_ever(channel, 100_000)
        await channel.aclose()
        await until(lambda: here.connected() == [])


@pytest.mark.trio
async def test_weakness_8_what_was_sent_before_closing_arrives() -> None:
    """A handler that answers and returns has answered, however late the peer reads."""

    count, size = 12, 60_000  # more than an inbox, less than an inbox and a window

    async def answer(channel: Channel) -> None:
        for _ in range(count):
            await channel.send(bytes(size))

    async with peer() as a, peer() as b:
        b.serve("/answer/0", answer)
        async with await a.open(b.peer_id, "/answer/0", b.addresses) as channel:
            await until(lambda: not b._handlers)
            await trio.testing.wait_all_tasks_blocked(0.05)
            for _ in range(count):
                assert len(await channel.receive()) == size
            with pytest.raises(ChannelClosed, match="closed the stream"):
                await channel.receive()


@pytest.mark.trio
async def test_weakness_9_addresses_are_tried_one_by_one() -> None:
    """A dead address costs little, and a failure does not block the peer."""
    async with peer() as a, peer() as b:
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            dead = f"/ip4/127.0.0.1/tcp/{unused.getsockname()[1]}"
            with pytest.raises(PeerUnreachable, match="cannot be reached"):
                await a.open(b.peer_id, ECHO, [dead])
            async with await a.open(b.peer_id, ECHO, [dead, "rubbish", *b.addresses]):
                pass


@pytest.mark.trio
async def test_weakness_10_host_dials_nobody_by_itself(
    clock: trio.testing.MockClock,
) -> None:
    """Even if the library came to know an address of somebody."""
    async with peer() as a, peer() as b:
        info = info_from_p2p_addr(Multiaddr(b.addresses[0]))
        a._host.get_peerstore().add_addrs(info.peer_id, info.addrs, 3600)
        clock.rate = 20.0
        await trio.sleep(45)
        assert a.connected() == [] == b.connected()


@pytest.mark.trio
async def test_weakness_11_too_many_channels_are_an_error() -> None:
    """One channel over the limit fails at once instead of hanging, and closing makes room."""
    async with peer(limits=Limits(channels_per_peer=5)) as a, peer() as b:
        channels = [await a.open(b.peer_id, ECHO, b.addresses) for _ in range(5)]
        with pytest.raises(PeerUnreachable, match="5 channels"):
            await a.open(b.peer_id, ECHO)
        for channel in channels:
            await channel.aclose()
        await until(lambda: not a._channels)
        await check_echo(a, b)


@pytest.mark.trio
async def test_weakness_13_unspecified_address_is_never_advertised() -> None:
    """Neither we nor the library's identify name 0.0.0.0; the real port is named."""
    async with peer(listen=["0.0.0.0:0"]) as a:
        advertised = [str(address) for address in a._host.get_addrs()]
        assert a.addresses
        for address in a.addresses + advertised:
            assert "/0.0.0.0/" not in address
            assert "/tcp/0/" not in address


@pytest.mark.trio
async def test_announced_addresses_replace_the_others() -> None:
    """Behind a router the operator says where the node is reached."""
    async with peer(announce=["203.0.113.9:4001"]) as a:
        assert a.addresses == [f"/ip4/203.0.113.9/tcp/4001/p2p/{a.peer_id}"]


class Trickle:
    """A raw connection that gives one byte at a time, as a slow link may."""

    is_initiator = True

    def __init__(self, data: bytes) -> None:
        self._data = data

    async def read(self, n: int | None = None) -> bytes:
        head, self._data = self._data[:1], self._data[1:]
        return head


@pytest.mark.trio
async def test_weakness_14_noise_packet_in_many_pieces_arrives() -> None:
    """The library alone gives up after a hundred partial reads; behind our reader it does not."""
    packet = os.urandom(65_535)
    with pytest.raises(IncompleteReadError):
        await read_exactly(Trickle(packet), len(packet))  # type: ignore[arg-type]
    reader = ExactReader(Trickle(packet), Traffic())  # type: ignore[arg-type]
    assert await read_exactly(reader, len(packet)) == packet


@pytest.mark.trio
async def test_port_in_use_is_refused() -> None:
    """The library would share the port between two nodes; we say so instead."""
    async with peer() as first:
        port = first.addresses[0].split("/")[4]
        with pytest.raises(BadInput, match=f"cannot listen on /ip4/127.0.0.1/tcp/{port}"):
            async with peer(listen=[f"127.0.0.1:{port}"]):
                pass


@pytest.mark.trio
async def test_port_is_free_again_after_closing() -> None:
    """A node can be restarted at once on the same port."""
    async with peer() as first:
        port = first.addresses[0].split("/")[4]
    async with peer(listen=[f"127.0.0.1:{port}"]) as second, peer() as other:
        await check_echo(other, second)


@pytest.mark.trio
async def test_wrong_identity_is_refused() -> None:
    """Who answers at an address must own the peer id that was dialled."""
    async with peer() as a, peer() as b, peer() as c:
        address = b.addresses[0].partition("/p2p/")[0]
        with pytest.raises(PeerUnreachable):
            await a.open(c.peer_id, ECHO, [address])
        await check_echo(a, b)


@pytest.mark.trio
async def test_refused_peer_is_neither_dialled_nor_served() -> None:
    """A ban holds in both directions."""
    banned: set[str] = set()
    async with peer(admits=lambda peer_id: peer_id not in banned) as a, peer() as b:
        await check_echo(b, a)
        banned.add(b.peer_id)
        with pytest.raises(PeerUnreachable, match="banned"):
            await a.open(b.peer_id, ECHO, b.addresses)
        with pytest.raises(PeerUnreachable):
            await call(b, a)


@pytest.mark.trio
async def test_handlers_per_peer_are_bounded() -> None:
    """One peer cannot occupy every handler."""
    async with peer() as a, peer() as other, peer(limits=Limits(handlers_per_peer=2)) as b:
        held = [await a.open(b.peer_id, ECHO, b.addresses) for _ in range(2)]
        for channel in held:
            await channel.send(b"x")
            await channel.receive()
        with pytest.raises(PeerUnreachable):
            await call(a, b)
        await check_echo(other, b)
        for channel in held:
            await channel.aclose()


@pytest.mark.trio
async def test_unknown_protocol_is_unreachable() -> None:
    """Asking for what a peer does not speak is an answer, not a hang."""
    async with peer() as a, peer() as b:
        with pytest.raises(PeerUnreachable, match="/nothing/0"):
            await a.open(b.peer_id, "/nothing/0", b.addresses)


@pytest.mark.trio
async def test_unknown_addresses_and_own_id_are_unreachable() -> None:
    """Misuse gets one clear error."""
    async with peer() as a:
        with pytest.raises(PeerUnreachable, match="no address"):
            await a.open(peer_id_from_key(bytes(32)), ECHO)
        with pytest.raises(PeerUnreachable, match="this node itself"):
            await a.open(a.peer_id, ECHO)
        with pytest.raises(PeerUnreachable, match="not a peer id"):
            await a.open("nonsense", ECHO)


@pytest.mark.trio
async def test_exception_in_body_is_not_wrapped() -> None:
    """Nurseries inside the transport do not change what the caller raises."""
    with pytest.raises(KeyError, match="mine"):
        async with peer():
            raise KeyError("mine")


@pytest.mark.trio
async def test_reconnects_after_peer_restarted() -> None:
    """The same identity at a new port is found with its new address."""
    seed = secrets.token_bytes(32)
    async with peer() as a:
        for _ in range(2):
            async with Transport(seed) as b:
                b.serve(ECHO, echo)
                await check_echo(a, b)
            await until(lambda: a.connected() == [])
