"""node/transfer.py between real hosts: blobs arrive whole from sources that fail, lie or stall."""

import contextlib
import os
import secrets
import subprocess
import sys
import threading
import zlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import trio

from engine.commitment import BLOB_CHUNK_BYTES
from node import transfer
from node.blobs import BlobStore, StoreFull
from node.channel import Channel
from node.errors import ChannelClosed, PeerFault, PeerUnreachable
from node.transfer import PROTOCOL, fetch, serve_blobs
from node.transport import Transport
from scheduler.blob_ref import BlobRef

FETCHER = Path(__file__).parent / "children" / "fetcher.py"
CHUNK = 0x02


@dataclass
class Node:
    """A transport with a store, and what was reported about its peers."""

    transport: Transport
    store: BlobStore
    faults: list[tuple[str, str]] = field(default_factory=list)
    punished: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def allow(self, peer_id: str, ref: BlobRef) -> bool:
        self.asked.append(peer_id)
        return True

    async def fetch(
        self,
        ref: BlobRef,
        *sources: "Node",
        deadline_s: float = 20.0,
        chunks: set[int] | None = None,
    ) -> BlobRef:
        addresses = {s.transport.peer_id: s.transport.addresses for s in sources}
        return await fetch(
            self.transport,
            self.store,
            ref,
            list(addresses),
            chunks=chunks,
            addresses_of=addresses.__getitem__,
            punish=lambda peer_id, _points, _reason: self.punished.append(peer_id),
            deadline_s=deadline_s,
        )


@pytest.fixture
def new_node(tmp_path: Path) -> Callable[[], "contextlib.AbstractAsyncContextManager[Node]"]:
    """Starts nodes that serve every blob they have."""

    @contextlib.asynccontextmanager
    async def start() -> AsyncIterator[Node]:
        store = BlobStore(tmp_path / secrets.token_hex(4), quota_bytes=64 << 20)
        async with Transport(secrets.token_bytes(32)) as transport:
            node = Node(transport, store)
            transport.on_fault = lambda *fault: node.faults.append(fault)
            serve_blobs(transport, store, node.allow)
            yield node

    return start


NewNode = Callable[[], "contextlib.AbstractAsyncContextManager[Node]"]


def serve_badly(node: Node, spoil: Callable[[int, bytes, bytes], bytes | None]) -> None:
    """Answer the n-th request with `spoil(n, request, right answer)`; None ends the stream."""

    async def serve(channel: Channel) -> None:
        count = 0
        while True:
            request = await channel.receive()
            kind, ref, index = transfer._decode_request(request)
            right = transfer._answer(node.store, kind, ref, index)
            assert right is not None
            answer = spoil(count, request, b"\x00" + right)
            if answer is None:
                channel.abort()
                raise ChannelClosed("gone")
            await channel.send(answer)
            count += 1

    node.transport.serve(PROTOCOL, serve)


def flip_last_bit(answer: bytes) -> bytes:
    return answer[:-1] + bytes([answer[-1] ^ 1])


@pytest.mark.trio
@pytest.mark.parametrize("size", [0, 1, BLOB_CHUNK_BYTES, BLOB_CHUNK_BYTES + 1, 5_000_000])
async def test_blob_arrives(new_node: NewNode, size: int) -> None:
    """From a peer that has it, with progress up to the last byte."""
    seen: list[tuple[int, int]] = []
    async with new_node() as source, new_node() as here:
        ref = source.store.put(os.urandom(size))
        await fetch(
            here.transport,
            here.store,
            ref,
            [source.transport.peer_id],
            addresses_of=lambda _peer: source.transport.addresses,
            progress=lambda *now: seen.append(now),
        )
        assert here.store.read(ref) == source.store.read(ref)
        assert seen == sorted(seen)
        assert seen[-1] == (size, size)


@pytest.mark.trio
@pytest.mark.parametrize("size", [1, 3 * BLOB_CHUNK_BYTES])
async def test_hashes_and_chunks_come_over_one_stream(
    new_node: NewNode, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Opening another costs as long as the way there and back, twice. None is left open."""
    opened: list[Channel] = []
    async with new_node() as source, new_node() as here:
        open_stream = here.transport.open

        async def count(*arguments: Any) -> Channel:
            opened.append(await open_stream(*arguments))
            return opened[-1]

        monkeypatch.setattr(here.transport, "open", count)
        await here.fetch(source.store.put(os.urandom(size)), source)
        assert len(opened) == 1
        with trio.fail_after(10):
            await opened[0].ended()
        assert not source.faults


@pytest.mark.trio
@pytest.mark.parametrize("size", [3_000, 3 * BLOB_CHUNK_BYTES])
async def test_codes_travel_packed(new_node: NewNode, size: int) -> None:
    """Bytes of few values take less on the wire than in the store."""
    async with new_node() as source, new_node() as here:
        ref = source.store.put(bytes(byte & 0x33 for byte in os.urandom(size)))
        await here.fetch(ref, source)
        assert here.store.read(ref) == source.store.read(ref)
        assert here.transport.traffic[PROTOCOL].received < 0.7 * size


@pytest.mark.trio
async def test_serving_takes_nothing_from_what_the_node_does_for_itself(
    new_node: NewNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many ask: its own reading and writing has threads of its own."""
    go_on, serving = threading.Event(), trio.Semaphore(0)
    token = trio.lowlevel.current_trio_token()

    def slow(*_: object) -> bytes:
        token.run_sync_soon(serving.release)
        go_on.wait(10)
        return transfer._ABSENT

    monkeypatch.setattr(transfer, "_reply", slow)
    request = transfer._encode_request(CHUNK, BlobRef(root="ab" * 32, size=1), 0)
    async with new_node() as source, new_node() as asking, trio.open_nursery() as nursery:
        for _ in range(transfer._serving.total_tokens):
            where = (source.transport.peer_id, PROTOCOL, source.transport.addresses)
            channel = await asking.transport.open(*where)
            await channel.send(request)
            nursery.start_soon(channel.receive)
            await serving.acquire()
        with trio.fail_after(5):
            assert await transfer._in_thread(int, "7") == 7
        go_on.set()


@pytest.mark.trio
async def test_chunk_that_is_asked_for_again_is_not_packed_again(
    new_node: NewNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Packing is the dearest part of serving."""
    async with new_node() as source:
        ref = source.store.put(bytes(BLOB_CHUNK_BYTES))
        first = transfer._reply(source.store, CHUNK, ref, 0)
        before = transfer._packed.cache_info().misses
        assert transfer._reply(source.store, CHUNK, ref, 0) == first
        assert transfer._packed.cache_info().misses == before


@pytest.mark.trio
async def test_several_sources_share_the_work(new_node: NewNode) -> None:
    """Every source is asked for some of the chunks."""
    async with new_node() as a, new_node() as b, new_node() as here:
        data = os.urandom(40 * BLOB_CHUNK_BYTES)
        ref = a.store.put(data)
        b.store.put(data)
        await here.fetch(ref, a, b)
        assert here.store.read(ref) == data
        assert a.asked
        assert b.asked
        assert here.punished == []


@pytest.mark.trio
async def test_killed_receiver_resumes(new_node: NewNode, tmp_path: Path) -> None:
    """kill -9 half way: the next attempt asks only for what is missing."""
    total = 160
    async with new_node() as source:
        data = os.urandom(total * BLOB_CHUNK_BYTES - 5)
        big = BlobStore(tmp_path / "big", quota_bytes=128 << 20)
        source.store = big
        serve_blobs(source.transport, big, source.allow)
        ref = big.put(data)
        folder = tmp_path / "receiver"
        arguments = [str(folder), ref.root, str(ref.size), source.transport.addresses[0]]
        process = await trio.lowlevel.open_process(
            [sys.executable, str(FETCHER), *arguments], stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        output = b""
        while output.count(b"\n") < 20:
            part = await process.stdout.receive_some()
            assert part, "the receiver ended by itself"
            output += part
        process.kill()
        await process.wait()
        await process.stdout.aclose()
        async with new_node() as here:
            here.store = BlobStore(folder, quota_bytes=128 << 20)
            assert not here.store.has(ref)
            source.asked.clear()
            await here.fetch(ref, source)
            assert here.store.read(ref) == data
        assert 0 < len(source.asked) <= total - 19


@pytest.mark.trio
async def test_source_that_dies_is_replaced(new_node: NewNode) -> None:
    """What it owed comes from another; dying is no crime."""
    async with new_node() as dying, new_node() as steady, new_node() as here:
        data = os.urandom(30 * BLOB_CHUNK_BYTES)
        ref = dying.store.put(data)
        steady.store.put(data)
        serve_badly(dying, lambda count, _request, right: right if count < 4 else None)
        await here.fetch(ref, dying, steady)
        assert here.store.read(ref) == data
        assert here.punished == []


@pytest.mark.trio
async def test_lie_is_refused_and_reported(new_node: NewNode) -> None:
    """A flipped bit in a chunk: the liar is punished, the blob comes from another."""
    async with new_node() as liar, new_node() as honest, new_node() as here:
        data = os.urandom(30 * BLOB_CHUNK_BYTES)
        ref = liar.store.put(data)
        honest.store.put(data)

        def lie(count: int, request: bytes, right: bytes) -> bytes:
            return flip_last_bit(right) if request[0] == CHUNK and count > 2 else right

        serve_badly(liar, lie)
        await here.fetch(ref, liar, honest)
        assert here.store.read(ref) == data
        assert here.punished == [liar.transport.peer_id]


@pytest.mark.trio
@pytest.mark.parametrize("size", [100, 5 * BLOB_CHUNK_BYTES])
@pytest.mark.parametrize(
    "lie",
    [
        lambda _count, _request, right: flip_last_bit(right),
        lambda _count, _request, right: right[:-1],
        lambda _count, _request, right: right + b"x",
        lambda _count, _request, _right: b"\x07",
        lambda _count, _request, _right: b"\x02" + zlib.compress(bytes(1 << 20), wbits=-15),
    ],
)
async def test_lone_liar_stores_nothing(
    new_node: NewNode, size: int, lie: Callable[[int, bytes, bytes], bytes]
) -> None:
    """Without an honest source there is an error that says why, and no space is used."""
    async with new_node() as liar, new_node() as here:
        ref = liar.store.put(os.urandom(size))
        serve_badly(liar, lie)
        with pytest.raises(PeerUnreachable, match="cannot be fetched"):
            await here.fetch(ref, liar)
        assert here.punished == [liar.transport.peer_id]
        assert here.store.used_bytes() == 0


@pytest.mark.trio
async def test_silent_source_does_not_hold_up_the_others(new_node: NewNode) -> None:
    """A source that takes requests and never answers is overtaken, not waited for."""
    async with new_node() as silent, new_node() as steady, new_node() as here:
        data = os.urandom(20 * BLOB_CHUNK_BYTES)
        ref = silent.store.put(data)
        steady.store.put(data)

        async def serve(channel: Channel) -> None:
            while True:
                request = await channel.receive()
                if request[0] == CHUNK:
                    await trio.sleep_forever()
                right = transfer._answer(silent.store, request[0], ref, 0)
                await channel.send(b"\x00" + (right or b""))

        silent.transport.serve(PROTOCOL, serve)
        with trio.fail_after(transfer.ANSWER_S / 2):
            await here.fetch(ref, silent, steady)
        assert here.store.read(ref) == data


@pytest.mark.trio
async def test_absent_or_refused_blob_is_unreachable(new_node: NewNode) -> None:
    """Nobody is punished for not having a blob, or for not handing it out."""
    async with new_node() as source, new_node() as here:
        with pytest.raises(PeerUnreachable, match="has not got the blob"):
            await here.fetch(BlobRef.of(b"absent"), source)
        ref = source.store.put(b"private")
        serve_blobs(source.transport, source.store, lambda _peer, _ref: False)
        with pytest.raises(PeerUnreachable, match="not for us"):
            await here.fetch(ref, source)
        with pytest.raises(PeerUnreachable, match="no source is known"):
            await here.fetch(ref)
        assert here.punished == []


@pytest.mark.trio
async def test_same_blob_is_fetched_once(new_node: NewNode) -> None:
    """Callers that want the same blob share one transfer."""
    async with new_node() as source, new_node() as here:
        ref = source.store.put(os.urandom(10 * BLOB_CHUNK_BYTES))
        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(here.fetch, ref, source)
        assert here.store.has(ref)
        assert len(source.asked) == 11


@pytest.mark.trio
async def test_blob_over_the_quota_is_refused(new_node: NewNode) -> None:
    """Before a chunk is asked for."""
    async with new_node() as source, new_node() as here:
        ref = source.store.put(os.urandom(4 * BLOB_CHUNK_BYTES))
        here.store = BlobStore(here.store._path, quota_bytes=BLOB_CHUNK_BYTES)
        with pytest.raises(StoreFull):
            await here.fetch(ref, source)
        assert len(source.asked) == 1


@pytest.mark.trio
async def test_damage_at_the_source_is_not_passed_on(new_node: NewNode) -> None:
    """A source checks what it sends: a bad disk does not make it a liar."""
    async with new_node() as source, new_node() as here:
        ref = source.store.put(os.urandom(4 * BLOB_CHUNK_BYTES))
        path = source.store.path(ref)
        path.write_bytes(path.read_bytes()[:-6] + b"damage")
        with pytest.raises(PeerUnreachable, match="has not got the blob"):
            await here.fetch(ref, source)
        assert here.punished == []
        assert not source.store.has(ref)


@pytest.mark.trio
async def test_deadline_ends_a_fetch(new_node: NewNode) -> None:
    """A caller never waits longer than it said."""
    async with new_node() as source, new_node() as here:
        ref = source.store.put(b"x")

        async def serve(channel: Channel) -> None:
            await trio.sleep_forever()

        source.transport.serve(PROTOCOL, serve)
        with pytest.raises(PeerUnreachable, match=r"within 0\.5 s"):
            await here.fetch(ref, source, deadline_s=0.5)


@pytest.mark.trio
@pytest.mark.parametrize(
    "request_bytes",
    [
        b"x",
        b"\x03" + bytes(44),
        b"\x02" + bytes(45),
        b"\x02" + bytes(32) + (1 << 41).to_bytes(8, "big") + bytes(4),
    ],
)
async def test_malformed_request_is_a_fault(new_node: NewNode, request_bytes: bytes) -> None:
    """Reported, the channel reset, the source lives on."""
    async with new_node() as source, new_node() as here:
        address: Sequence[str] = source.transport.addresses
        async with await here.transport.open(
            source.transport.peer_id, PROTOCOL, address
        ) as channel:
            await channel.send(request_bytes)
            with pytest.raises(ChannelClosed):
                await channel.receive()
        assert [peer for peer, _ in source.faults] == [here.transport.peer_id]
        ref = source.store.put(b"still here")
        await here.fetch(ref, source)


@pytest.mark.parametrize("kind", [0x01, 0x02])
def test_request_beyond_the_end_is_a_fault(tmp_path: Path, kind: int) -> None:
    """Neither chunks nor pages exist after the last."""
    store = BlobStore(tmp_path)
    ref = store.put(b"small")
    with pytest.raises(PeerFault, match="was asked for"):
        transfer._answer(store, kind, ref, 1)


@pytest.mark.trio
async def test_only_the_wanted_chunks_are_asked_for(
    new_node: NewNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hashes once, then each chunk once; a later call asks for what it has not got."""
    monkeypatch.setattr(transfer, "LATE_S", 3600.0)
    async with new_node() as source, new_node() as here:
        data = os.urandom(12 * BLOB_CHUNK_BYTES)
        ref = source.store.put(data)
        await here.fetch(ref, source, chunks={2, 3, 11})
        assert len(source.asked) == 1 + 3
        assert here.store.has_chunks(ref, {2, 3, 11})
        assert not here.store.has(ref)
        await here.fetch(ref, source, chunks={2, 3})
        assert len(source.asked) == 1 + 3
        await here.fetch(ref, source, chunks={3, 4})
        assert len(source.asked) == 1 + 4
        await here.fetch(ref, source)
        assert len(source.asked) == 1 + 12
        assert here.store.read(ref) == data


@pytest.mark.trio
async def test_parts_of_several_peers_make_a_whole(new_node: NewNode) -> None:
    """Nobody has all of it; what one lacks another has, and nobody is punished for lacking."""
    async with new_node() as even, new_node() as odd, new_node() as whole, new_node() as here:
        data = os.urandom(20 * BLOB_CHUNK_BYTES)
        ref = whole.store.put(data)
        await even.fetch(ref, whole, chunks=set(range(0, 20, 2)))
        await odd.fetch(ref, whole, chunks=set(range(1, 20, 2)))
        await here.fetch(ref, even, odd)
        assert here.store.read(ref) == data
        assert here.punished == []
        with pytest.raises(PeerUnreachable, match="has not got the blob"):
            await whole.fetch(BlobRef(root=ref.root, size=ref.size - 1), even)


@pytest.mark.trio
async def test_chunks_that_nobody_has_are_unreachable(new_node: NewNode) -> None:
    """What came stays, the error names the reason."""
    async with new_node() as part, new_node() as whole, new_node() as here:
        ref = whole.store.put(os.urandom(6 * BLOB_CHUNK_BYTES))
        await part.fetch(ref, whole, chunks={1, 2})
        with pytest.raises(PeerUnreachable, match="has not got the blob"):
            await here.fetch(ref, part)
        assert here.store.has_chunks(ref, {1, 2})
        assert here.punished == []


@pytest.mark.trio
async def test_checkpoint_comes_from_all_that_are_honest(new_node: NewNode) -> None:
    """Eight chunks, five sources: a liar is reported, one that never answers is not waited for, and
    each of the honest three gives at least one chunk.
    """
    async with (
        new_node() as silent,
        new_node() as liar,
        new_node() as a,
        new_node() as b,
        new_node() as c,
        new_node() as here,
    ):
        data = os.urandom(8 * BLOB_CHUNK_BYTES)
        for node in (silent, liar, a, b, c):
            ref = node.store.put(data)
        gave: set[str] = set()
        all_gave = trio.Event()

        async def say_nothing(channel: Channel) -> None:
            await trio.sleep_forever()

        def lie(_count: int, request: bytes, right: bytes) -> bytes:
            return flip_last_bit(right) if request[0] == CHUNK else right

        def wait_for_the_others(node: Node) -> None:
            async def serve(channel: Channel) -> None:
                while True:
                    kind, ref, index = transfer._decode_request(await channel.receive())
                    if kind == CHUNK:
                        gave.add(node.transport.peer_id)
                        if len(gave) == 3:
                            all_gave.set()
                        await all_gave.wait()
                    await channel.send(b"\x00" + transfer._answer(node.store, kind, ref, index))

            node.transport.serve(PROTOCOL, serve)

        silent.transport.serve(PROTOCOL, say_nothing)
        serve_badly(liar, lie)
        for node in (a, b, c):
            wait_for_the_others(node)
        with trio.fail_after(transfer.ANSWER_S / 2):
            await here.fetch(ref, silent, liar, a, b, c)
        assert here.store.read(ref) == data
        assert here.punished == [liar.transport.peer_id]
        assert gave == {node.transport.peer_id for node in (a, b, c)}


@pytest.mark.trio
async def test_no_chunk_comes_twice_from_sources_that_answer(
    new_node: NewNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sharing costs no traffic: as many answers as chunks, and one list of hashes."""
    monkeypatch.setattr(transfer, "LATE_S", 3600.0)
    async with new_node() as a, new_node() as b, new_node() as c, new_node() as here:
        data = os.urandom(9 * BLOB_CHUNK_BYTES)
        for node in (a, b, c):
            ref = node.store.put(data)
        await here.fetch(ref, a, b, c)
        assert len(a.asked) + len(b.asked) + len(c.asked) == 9 + 1
