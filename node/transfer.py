"""Blobs between peers: the receiver pulls, checks every chunk, and can be killed at any time.

Protocol /ainur/blob/1: binary requests on one channel, each answered in order, many under way at
once (fields are big-endian):

    0x01 ‖ root (32) ‖ size (u64) ‖ page (u32)      the chunks' leaf hashes, PAGE_HASHES a page
    0x02 ‖ root (32) ‖ size (u64) ‖ index (u32)     one chunk
    answers: 0x00 ‖ bytes, 0x02 ‖ a packed chunk (node/packing.py), or 0x01: not here, not for you

The hashes are checked against the root before one of them is believed, every chunk against its
hash before it is stored. A source that sends anything else is reported and used no more; the
others go on with what it owed. The chunks are shared out among the sources, at most WINDOW at a
time to each; what one owes for longer than LATE_S is asked of another too, so a slow source holds
up nobody but itself. A source may hold only a part of a blob, as the receiver may want only a part.
"""

import logging
import weakref
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from functools import lru_cache
from typing import TypeVar, TypeVarTuple

import trio

from engine.commitment import leaf_hash
from node.blobs import HASH_BYTES, BlobMissing, BlobStore, PartialBlob, StoreFull, proves
from node.channel import Channel
from node.errors import NodeError, PeerFault, PeerUnreachable
from node.packing import pack, unpack
from node.transport import Transport
from scheduler.blob_ref import BLOB_BYTES_MAX, BlobRef

PROTOCOL = "/ainur/blob/1"
WINDOW = 8
SOURCES_AT_ONCE = 4
LATE_S = 1.0
ABSENT_MAX = 64
"""A source that has not got so many chunks one after the other is asked no more."""
PAGE_HASHES = 16_384
ANSWER_S = 30.0
IDLE_S = 120.0
LIE_POINTS = 50

log = logging.getLogger(__name__)

_HASHES, _CHUNK = 0x01, 0x02
_FOUND, _ABSENT, _PACKED = b"\x00", b"\x01", b"\x02"
_REQUEST_BYTES = 1 + 32 + 8 + 4

Allow = Callable[[str, BlobRef], bool]
Progress = Callable[[int, int], None]
Punish = Callable[[str, int, str], None]

Arguments = TypeVarTuple("Arguments")
Result = TypeVar("Result")

_disk = trio.CapacityLimiter(4)
_serving = trio.CapacityLimiter(4)
"""Threads of their own: what peers ask for never holds up what this node fetches."""

PACKED_KEPT = 64
"""Chunks whose packing is remembered, at most 32 MiB: a round's blobs are asked for by many, and
who asks for one chunk again and again makes no work.
"""
_packed = lru_cache(maxsize=PACKED_KEPT)(pack)
_under_way: weakref.WeakKeyDictionary[BlobStore, dict[BlobRef, trio.Event]] = (
    weakref.WeakKeyDictionary()
)


def serve_blobs(transport: Transport, store: BlobStore, allow: Allow) -> None:
    """Answer peers' requests for those blobs of the store that `allow(peer_id, ref)` lets out."""

    async def serve(channel: Channel) -> None:
        while True:
            with trio.move_on_after(IDLE_S) as idle:
                request = await channel.receive()
            if idle.cancelled_caught:
                return
            kind, ref, index = _decode_request(request)
            answer = _ABSENT
            if allow(channel.peer_id, ref):
                answer = await trio.to_thread.run_sync(
                    _reply, store, kind, ref, index, limiter=_serving
                )
            await channel.send(answer)

    transport.serve(PROTOCOL, serve)


async def fetch(
    transport: Transport,
    store: BlobStore,
    ref: BlobRef,
    sources: Sequence[str],
    *,
    chunks: Collection[int] | None = None,
    addresses_of: Callable[[str], Sequence[str]] = lambda _peer_id: (),
    progress: Progress | None = None,
    punish: Punish = lambda _peer_id, _points, _reason: None,
    deadline_s: float = 3600.0,
) -> BlobRef:
    """Have a blob in the store, verified and durable, from whichever of `sources` have it.

    With `chunks` only these; the blob then stays partial. Resumes what an earlier call left behind;
    a second call for the same blob waits for the first. `progress(bytes here, bytes in all)` is
    called as chunks arrive; `punish` for sources that lie. Raises PeerUnreachable if the sources
    have not got it all within `deadline_s`, StoreFull if it would not fit.
    """
    with trio.move_on_after(deadline_s) as patience:
        while not await _is_here(store, ref, chunks):
            waiting = _under_way.setdefault(store, {})
            if ref in waiting:
                await waiting[ref].wait()
                continue
            done = waiting[ref] = trio.Event()
            try:
                under_way = _Fetch(transport, store, ref, chunks, addresses_of, progress, punish)
                await under_way.run(sources)
            finally:
                del waiting[ref]
                done.set()
    if patience.cancelled_caught:
        raise PeerUnreachable(f"Blob {ref.root} did not arrive within {deadline_s:g} s.")
    return ref


class NotServed(PeerUnreachable):
    """The sources have not served a blob; `absent`: those that answered that they have not got it.

    Others may have been slow or cut off, which says nothing about what they have.
    """

    def __init__(self, message: str, absent: Collection[str]) -> None:
        super().__init__(message)
        self.absent = frozenset(absent)


class _Absent(PeerUnreachable):
    """A source has not got what was asked for."""


async def _is_here(store: BlobStore, ref: BlobRef, chunks: Collection[int] | None) -> bool:
    if chunks is None:
        return store.has(ref)
    return await _in_thread(store.has_chunks, ref, sorted(chunks))


class _Fetch:
    """One blob on its way: which chunks nobody was asked for, and which are owed by whom."""

    def __init__(
        self,
        transport: Transport,
        store: BlobStore,
        ref: BlobRef,
        chunks: Collection[int] | None,
        addresses_of: Callable[[str], Sequence[str]],
        progress: Progress | None,
        punish: Punish,
    ) -> None:
        self._transport = transport
        self._store = store
        self._ref = ref
        self._wanted = frozenset(range(ref.chunk_count) if chunks is None else chunks)
        self._addresses_of = addresses_of
        self._progress = progress
        self._punish = punish
        self._problems: list[str] = []
        self._without: set[str] = set()
        self._fatal: NodeError | None = None
        self._missing: set[int] = set()
        self._unasked: list[int] = []
        self._owed: dict[int, dict[str, float]] = {}
        self._absent: dict[str, set[int]] = {}
        self._came_from: Counter[str] = Counter()
        self._sharing = 1
        self._only_chunk: bytes | None = None
        self._changed = trio.Event()
        self._pulling = trio.CancelScope()
        self._asked: dict[str, Channel] = {}
        """Streams that hashes came over: chunks come over them too."""

    async def run(self, sources: Sequence[str]) -> None:
        try:
            await self._run(list(dict.fromkeys(sources)))
        except BaseException:
            for channel in self._asked.values():
                channel.abort("given up")
            raise
        for channel in self._asked.values():
            await channel.aclose()

    async def _run(self, usable: list[str]) -> None:
        started = trio.current_time()
        hashes = await _in_thread(self._store.partial_hashes, self._ref)
        if hashes is None:
            hashes = await self._ask_hashes(usable)
        partial = await _in_thread(self._store.begin, self._ref, hashes, self._wanted)
        with partial:
            if self._only_chunk is not None:
                await _in_thread(partial.write_chunk, 0, self._only_chunk)
            self._missing = set(partial.missing())
            self._unasked = sorted(self._missing, reverse=True)
            self._report()
            await self._pull_from_all(partial, usable)
            await _in_thread(partial.finish)
        if self._came_from.total() > 1:
            self._tell(trio.current_time() - started)

    def _tell(self, took_s: float) -> None:
        log.info(
            "blob %s...: %d chunks from %d peers (%s) in %.2f s",
            self._ref.root[:12],
            self._came_from.total(),
            len(self._came_from),
            ", ".join(str(count) for _, count in self._came_from.most_common()),
            took_s,
        )

    async def _ask_hashes(self, sources: list[str]) -> list[bytes]:
        """The chunks' hashes from the first source that has the right ones; liars are dropped.

        Each source has LATE_S before the next is asked too.
        """
        found: list[list[bytes]] = []
        slots = trio.CapacityLimiter(SOURCES_AT_ONCE)

        async def ask(source: str, ended: trio.Event) -> None:
            async with slots:
                try:
                    found.append(await self._hashes_of(source))
                    nursery.cancel_scope.cancel()
                except (PeerUnreachable, PeerFault) as error:
                    sources.remove(source)
                    self._blame(source, error)
            ended.set()

        async with trio.open_nursery() as nursery:
            for source in list(sources):
                ended = trio.Event()
                nursery.start_soon(ask, source, ended)
                with trio.move_on_after(LATE_S):
                    await ended.wait()
        if not found:
            raise self._give_up()
        return found[0]

    async def _hashes_of(self, source: str) -> list[bytes]:
        channel = await self._open(source)
        try:
            hashes = await self._hashes_from(channel)
        except BaseException:
            channel.abort("given up")
            raise
        self._asked[source] = channel
        return hashes

    async def _hashes_from(self, channel: Channel) -> list[bytes]:
        ref = self._ref
        if ref.chunk_count == 1:
            # The only chunk proves itself: its hash alone makes the root.
            await channel.send(_encode_request(_CHUNK, ref, 0))
            self._only_chunk = await _in_thread(_chunk, await _take_answer(channel), ref, 0)
            hashes = [leaf_hash(self._only_chunk)]
        else:
            hashes = []
            for page in range(-(-ref.chunk_count // PAGE_HASHES)):
                await channel.send(_encode_request(_HASHES, ref, page))
                data = _plain(await _take_answer(channel))
                due = min(PAGE_HASHES, ref.chunk_count - len(hashes)) * HASH_BYTES
                if len(data) != due:
                    raise PeerFault(f"{len(data)} bytes of hashes came, {due} were due")
                hashes += [data[i : i + HASH_BYTES] for i in range(0, due, HASH_BYTES)]
        if not await _in_thread(proves, ref, hashes):
            raise PeerFault(f"the hashes are not those of blob {ref.root}")
        return hashes

    async def _pull_from_all(self, partial: PartialBlob, sources: list[str]) -> None:
        waiting = list(reversed(sources))
        self._sharing = max(1, min(SOURCES_AT_ONCE, len(sources)))

        async def pull() -> None:
            while waiting and self._missing:
                await self._pull(partial, waiting.pop())

        with self._pulling:
            async with trio.open_nursery() as nursery:
                for _ in range(self._sharing):
                    nursery.start_soon(pull)
        if self._fatal is not None:
            raise self._fatal
        if self._missing:
            raise self._give_up()

    async def _pull(self, partial: PartialBlob, source: str) -> None:
        try:
            async with self._asked.pop(source, None) or await self._open(source) as channel:
                await self._pull_over(partial, channel)
        except (PeerUnreachable, PeerFault) as error:
            self._blame(source, error)
        except StoreFull as error:
            self._fatal = error
            self._pulling.cancel()
        except (NodeError, OSError) as error:
            self._fatal = NodeError(f"Blob {self._ref.root} cannot be stored: {error}.")
            self._pulling.cancel()
        finally:
            self._return_owed(source)

    async def _pull_over(self, partial: PartialBlob, channel: Channel) -> None:
        asked: list[int] = []
        source = channel.peer_id
        absent = self._absent[source] = set()
        while self._missing:
            share = -(-len(self._missing) // self._sharing)
            while len(asked) < min(WINDOW, share) and (index := self._claim(source)) is not None:
                asked.append(index)
                await channel.send(_encode_request(_CHUNK, self._ref, index))
            if not asked:
                if absent.issuperset(self._missing):
                    raise _Absent("it has not got the blob, or not for us")
                with trio.move_on_after(LATE_S):
                    await self._changed.wait()
                continue
            index = asked.pop(0)
            try:
                answer = await _take_answer(channel)
            except _Absent:
                self._lacks(source, index)
                continue
            await _in_thread(_keep, partial, index, answer)
            self._settle(index, source)

    def _claim(self, source: str) -> int | None:
        """A chunk to ask this source for: one that nobody was asked for, else one that another
        source has owed for too long, so that the slowest does not decide when all is here.
        """
        absent, now = self._absent[source], trio.current_time()
        found = next((i for i in reversed(self._unasked) if i not in absent), None)
        if found is not None:
            self._unasked.remove(found)
        else:
            late = (
                i
                for i, owers in self._owed.items()
                if i not in absent
                and source not in owers
                and len(owers) < 2
                and now - min(owers.values()) >= LATE_S
            )
            found = next(late, None)
        if found is not None:
            self._owed.setdefault(found, {})[source] = now
        return found

    def _lacks(self, source: str, index: int) -> None:
        """Note that a source has not got a chunk; PeerUnreachable if it seems to have none."""
        absent = self._absent[source]
        absent.add(index)
        self._disown(index, source)
        self._wake()
        if len(absent) >= ABSENT_MAX and not self._came_from[source]:
            raise _Absent(f"it has not got {len(absent)} chunks of the blob")

    def _settle(self, index: int, source: str) -> None:
        self._came_from[source] += index in self._missing
        self._missing.discard(index)
        self._owed.pop(index, None)
        self._report()
        self._wake()
        if not self._missing:
            # Nobody waits for what a slower source still owes.
            self._pulling.cancel()

    def _return_owed(self, source: str) -> None:
        for index in list(self._owed):
            self._disown(index, source)
        self._wake()

    def _disown(self, index: int, source: str) -> None:
        """A source owes a chunk no more; if no other does, anybody may be asked for it again."""
        owers = self._owed.get(index, {})
        if owers.pop(source, None) is not None and not owers:
            del self._owed[index]
            self._unasked.append(index)

    def _wake(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    def _report(self) -> None:
        if self._progress is not None:
            left = sum(self._ref.chunk_bytes(index) for index in self._missing)
            total = sum(self._ref.chunk_bytes(index) for index in self._wanted)
            self._progress(total - left, total)

    def _blame(self, source: str, error: NodeError) -> None:
        self._problems.append(f"{source}: {error}")
        if isinstance(error, _Absent):
            self._without.add(source)
        if isinstance(error, PeerFault):
            self._punish(source, LIE_POINTS, str(error))

    def _give_up(self) -> NotServed:
        reasons = "; ".join(self._problems) or "no source is known"
        return NotServed(f"Blob {self._ref.root} cannot be fetched: {reasons}.", self._without)

    async def _open(self, source: str) -> Channel:
        return await self._transport.open(source, PROTOCOL, self._addresses_of(source))


def _reply(store: BlobStore, kind: int, ref: BlobRef, index: int) -> bytes:
    """The answer to a request as it travels."""
    data = _answer(store, kind, ref, index)
    if data is None:
        return _ABSENT
    packed = _packed(data) if kind == _CHUNK else None
    return _FOUND + data if packed is None else _PACKED + packed


def _answer(store: BlobStore, kind: int, ref: BlobRef, index: int) -> bytes | None:
    """What a request asks for, None if it is not here. PeerFault if it cannot exist."""
    try:
        if kind == _CHUNK:
            if index >= ref.chunk_count:
                raise PeerFault(f"chunk {index} of a blob with {ref.chunk_count} was asked for")
            return store.chunk(ref, index)
        start = index * PAGE_HASHES
        if start >= ref.chunk_count:
            raise PeerFault(f"page {index} of {ref.chunk_count} hashes was asked for")
        return b"".join(store.chunk_hashes(ref)[start : start + PAGE_HASHES])
    except BlobMissing:
        return None


def _encode_request(kind: int, ref: BlobRef, index: int) -> bytes:
    root = bytes.fromhex(ref.root)
    return bytes([kind]) + root + ref.size.to_bytes(8, "big") + index.to_bytes(4, "big")


def _decode_request(data: bytes) -> tuple[int, BlobRef, int]:
    if len(data) != _REQUEST_BYTES or data[0] not in (_HASHES, _CHUNK):
        raise PeerFault(f"a blob request of {len(data)} bytes that starts with {data[:1].hex()}")
    size = int.from_bytes(data[33:41], "big")
    if size > BLOB_BYTES_MAX:
        raise PeerFault(f"a blob of {size} bytes was asked for; {BLOB_BYTES_MAX} are allowed")
    return data[0], BlobRef(root=data[1:33].hex(), size=size), int.from_bytes(data[41:], "big")


async def _take_answer(channel: Channel) -> bytes:
    """The next answer; PeerUnreachable if the source has not got the bytes or is silent."""
    try:
        with trio.fail_after(ANSWER_S):
            answer = await channel.receive()
    except trio.TooSlowError:
        raise PeerUnreachable(f"no answer within {ANSWER_S:g} s") from None
    if answer == _ABSENT:
        raise _Absent("it has not got the blob, or not for us")
    return answer


def _plain(answer: bytes) -> bytes:
    """The bytes of an answer that is not packed."""
    if answer[:1] != _FOUND:
        raise PeerFault(f"a blob answer that starts with {answer[:1].hex()}")
    return answer[1:]


def _chunk(answer: bytes, ref: BlobRef, index: int) -> bytes:
    """The chunk in an answer, unpacked, its hash not checked yet."""
    if answer[:1] == _PACKED:
        return unpack(answer[1:], ref.chunk_bytes(index))
    return _plain(answer)


def _keep(partial: PartialBlob, index: int, answer: bytes) -> None:
    """Write the chunk in an answer; PeerFault, changing nothing, if it is not that chunk."""
    partial.write_chunk(index, _chunk(answer, partial.ref, index))


async def _in_thread(function: Callable[[*Arguments], Result], *arguments: *Arguments) -> Result:
    return await trio.to_thread.run_sync(function, *arguments, limiter=_disk)
