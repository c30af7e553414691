"""node/blobs.py: what is in the store is whole and right, whoever dies, lies or competes."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.commitment import BLOB_CHUNK_BYTES, blob_chunk_hashes
from node.blobs import (
    BlobDamaged,
    BlobMissing,
    BlobStore,
    PartialBlob,
    PartialBusy,
    StoreFull,
)
from node.errors import PeerFault
from scheduler.blob_ref import BlobRef

PUTTER = Path(__file__).parent / "children" / "putter.py"
SIZES = (0, 1, BLOB_CHUNK_BYTES - 1, BLOB_CHUNK_BYTES, BLOB_CHUNK_BYTES + 1, 1_000_003)


@pytest.fixture
def store(tmp_path: Path) -> BlobStore:
    return BlobStore(tmp_path / "store", quota_bytes=64 << 20)


def chunks(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The chunks of a blob with their indices."""
    for index in range(BlobRef.of(data).chunk_count):
        yield index, data[index * BLOB_CHUNK_BYTES : (index + 1) * BLOB_CHUNK_BYTES]


def fill(partial: PartialBlob, data: bytes) -> None:
    for index, chunk in chunks(data):
        partial.write_chunk(index, chunk)


@pytest.mark.parametrize("size", SIZES)
def test_put_then_read(store: BlobStore, size: int) -> None:
    """Bytes come back under their address, whole, by chunk, and as a file."""
    data = os.urandom(size)
    ref = store.put(data)
    assert ref == BlobRef.of(data) == store.put(data)
    assert store.has(ref)
    assert store.read(ref) == data == store.path(ref).read_bytes()
    assert store.chunk_hashes(ref) == blob_chunk_hashes(data)
    assert [(i, store.chunk(ref, i)) for i in range(ref.chunk_count)] == list(chunks(data))


def test_missing_blob_is_an_error(store: BlobStore) -> None:
    """Every way of asking says so; nothing is created."""
    ref = BlobRef.of(b"absent")
    assert not store.has(ref)
    for ask in (store.read, store.path, store.open, store.chunk_hashes):
        with pytest.raises(BlobMissing, match=ref.root):
            ask(ref)
    store.remove(ref)


@pytest.mark.parametrize("size", SIZES)
def test_fetched_chunks_become_a_blob(store: BlobStore, size: int) -> None:
    """In any order, seen by others only when it is whole."""
    data = os.urandom(size)
    ref = BlobRef.of(data)
    with store.begin(ref, blob_chunk_hashes(data)) as partial:
        for index, chunk in reversed(list(chunks(data))):
            assert not store.has(ref)
            partial.write_chunk(index, chunk)
        assert partial.missing() == []
        assert partial.finish() == ref
    assert store.read(ref) == data
    assert store.partial_hashes(ref) is None


def test_fetch_resumes_from_what_verifies(store: BlobStore) -> None:
    """What was written before is found again; what was damaged meanwhile is not."""
    data = os.urandom(5 * BLOB_CHUNK_BYTES + 7)
    ref, hashes = BlobRef.of(data), blob_chunk_hashes(data)
    with store.begin(ref, hashes) as partial:
        for index, chunk in list(chunks(data))[1:4]:
            partial.write_chunk(index, chunk)
    with open(store._partial(ref), "r+b") as file:
        file.seek(2 * BLOB_CHUNK_BYTES + 99)
        file.write(b"\x00\x01")
    assert store.partial_hashes(ref) == hashes
    with store.begin(ref, hashes) as partial:
        assert partial.missing() == [0, 2, 4, 5]
        fill(partial, data)
        partial.finish()
    assert store.read(ref) == data


def test_blob_of_zeros_can_be_fetched(store: BlobStore) -> None:
    """Holes in the file are not mistaken for anything."""
    data = bytes(3 * BLOB_CHUNK_BYTES)
    with store.begin(BlobRef.of(data), blob_chunk_hashes(data)) as partial:
        fill(partial, data)
        assert store.read(partial.finish()) == data


def test_wrong_chunk_is_refused(store: BlobStore) -> None:
    """Wrong bytes, length or index change nothing."""
    data = os.urandom(2 * BLOB_CHUNK_BYTES)
    with store.begin(BlobRef.of(data), blob_chunk_hashes(data)) as partial:
        for index, chunk in (
            (0, data[BLOB_CHUNK_BYTES:]),
            (0, b""),
            (1, data[BLOB_CHUNK_BYTES:-1]),
            (2, b""),
            (-1, data[:BLOB_CHUNK_BYTES]),
        ):
            with pytest.raises(PeerFault):
                partial.write_chunk(index, chunk)
        assert partial.missing() == [0, 1]
        with pytest.raises(ValueError, match="2 chunks"):
            partial.finish()


@given(st.integers(0, 3), st.binary(max_size=40))
@settings(deadline=None, max_examples=30)
def test_wrong_hashes_are_refused(store_factory: "StoreFactory", where: int, junk: bytes) -> None:
    """A list that does not make the root starts nothing and takes no space."""
    store = store_factory()
    data = bytes(range(256)) * 4096
    hashes = blob_chunk_hashes(data)
    for wrong in (
        [*hashes[:where], junk, *hashes[where + 1 :]],
        hashes[:where],
        [*hashes, hashes[-1]],
    ):
        if wrong != hashes:
            with pytest.raises(PeerFault):
                store.begin(BlobRef.of(data), wrong)
    assert store.used_bytes() == 0


class StoreFactory:
    """Makes stores in fresh folders, for tests that run many examples."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._made = 0

    def __call__(self) -> BlobStore:
        self._made += 1
        return BlobStore(self._path / str(self._made), quota_bytes=64 << 20)


@pytest.fixture(scope="module")
def store_factory(tmp_path_factory: pytest.TempPathFactory) -> StoreFactory:
    return StoreFactory(tmp_path_factory.mktemp("stores"))


def test_same_blob_is_fetched_once_at_a_time(store: BlobStore) -> None:
    """The second fetcher is told; after the first lets go it may."""
    data = os.urandom(BLOB_CHUNK_BYTES + 1)
    ref, hashes = BlobRef.of(data), blob_chunk_hashes(data)
    with store.begin(ref, hashes):
        with pytest.raises(PartialBusy):
            store.begin(ref, hashes)
        with pytest.raises(PartialBusy):
            BlobStore(store._path).begin(ref, hashes)
    store.begin(ref, hashes).close()


def test_quota_refuses_before_space_is_used(tmp_path: Path) -> None:
    """Whole and partial blobs count in full from their first byte."""
    store = BlobStore(tmp_path, quota_bytes=1_000_000)
    big = os.urandom(900_000)
    store.begin(BlobRef.of(big), blob_chunk_hashes(big)).close()
    before = store.used_bytes()
    assert 900_000 <= before <= 900_000 + 32 * 4
    with pytest.raises(StoreFull, match="does not fit"):
        store.put(bytes(200_000))
    other = os.urandom(200_000)
    with pytest.raises(StoreFull):
        store.begin(BlobRef.of(other), blob_chunk_hashes(other))
    assert store.used_bytes() == before
    store.begin(BlobRef.of(big), blob_chunk_hashes(big)).close()
    store.remove(BlobRef.of(big))
    store.put(other)


def test_quota_is_shared_by_processes(tmp_path: Path) -> None:
    """Who opens the store without a quota obeys the one that was set."""
    BlobStore(tmp_path, quota_bytes=10)
    with pytest.raises(StoreFull):
        BlobStore(tmp_path).put(bytes(11))


def test_damaged_blob_is_found_and_removed(store: BlobStore) -> None:
    """Reading verifies; a blob that changed is gone afterwards and can be put again."""
    data = os.urandom(3 * BLOB_CHUNK_BYTES)
    for read in (store.read, lambda ref: store.chunk(ref, 1)):
        ref = store.put(data)
        with open(store.path(ref), "r+b") as file:
            file.seek(BLOB_CHUNK_BYTES + 5)
            file.write(bytes([data[BLOB_CHUNK_BYTES + 5] ^ 1]))
        with pytest.raises(BlobDamaged, match="changed on the disk"):
            read(ref)
        assert not store.has(ref)
    assert store.read(store.put(data)) == data


def test_damaged_hash_cache_is_not_believed(store: BlobStore) -> None:
    """The cache of chunk hashes is checked and made anew."""
    data = os.urandom(3 * BLOB_CHUNK_BYTES)
    ref = store.put(data)
    store._leaves(ref).write_bytes(bytes(96))
    assert store.chunk_hashes(ref) == blob_chunk_hashes(data)
    store._leaves(ref).unlink()
    assert store.chunk_hashes(ref) == blob_chunk_hashes(data)


def test_two_processes_put_at_once(tmp_path: Path) -> None:
    """The same blobs from two processes: one file each, all whole, nothing left over."""
    command = [sys.executable, str(PUTTER), str(tmp_path), "same"]
    writers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    lines: list[list[str]] = []
    for writer in writers:
        assert writer.stdout is not None
        lines.append([writer.stdout.readline() for _ in range(12)])
    for writer in writers:
        writer.kill()
        writer.communicate()
    assert lines[0] == lines[1]
    store = BlobStore(tmp_path)
    for line in lines[0]:
        root, size = line.split()
        assert len(store.read(BlobRef(root=root, size=int(size)))) == int(size)
    assert list((tmp_path / "tmp").iterdir()) == []


def test_kill_at_any_time_leaves_only_whole_blobs(tmp_path: Path) -> None:
    """kill -9 in the middle of puts: what was acknowledged is here, what is here is whole."""
    for attempt in range(6):
        command = [sys.executable, str(PUTTER), str(tmp_path), str(attempt)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            acknowledged = [process.stdout.readline() for _ in range(attempt + 1)]
            process.kill()
            acknowledged += process.stdout.read().split("\n")[:-1]
        store = BlobStore(tmp_path)
        for line in acknowledged:
            root, size = line.split()
            store.read(BlobRef(root=root, size=int(size)))
        for path in (tmp_path / "blobs").rglob("*-*"):
            root, size = path.name.split("-")
            assert BlobRef.of(path.read_bytes()) == BlobRef(root=root, size=int(size))
        assert list((tmp_path / "tmp").iterdir()) == []


def test_only_wanted_chunks_are_kept(store: BlobStore) -> None:
    """A blob of which a part is here: its chunks are read like any other, and it is not whole."""
    data = os.urandom(5 * BLOB_CHUNK_BYTES + 7)
    ref, parts = BlobRef.of(data), dict(chunks(data))
    hashes = blob_chunk_hashes(data)
    with store.begin(ref, hashes, {1, 5}) as partial:
        assert partial.missing() == [1, 5]
        partial.write_chunk(1, parts[1])
        with pytest.raises(ValueError, match="1 chunks"):
            partial.finish()
        partial.write_chunk(5, parts[5])
        partial.finish()
    assert not store.has(ref)
    assert store.chunk_hashes(ref) == hashes
    assert [store.chunk(ref, i) for i in (1, 5)] == [parts[1], parts[5]]
    assert store.has_chunks(ref, [1, 5])
    assert not store.has_chunks(ref, [1, 2])
    with pytest.raises(BlobMissing, match="Chunk 2"):
        store.chunk(ref, 2)
    with store.begin(ref, hashes) as partial:
        assert partial.missing() == [0, 2, 3, 4]
        fill(partial, data)
        partial.finish()
    assert store.read(ref) == data
    assert store.has_chunks(ref, [2])


def test_damaged_part_is_missing(store: BlobStore) -> None:
    """What does not verify is not here, and is fetched again."""
    data = os.urandom(3 * BLOB_CHUNK_BYTES)
    ref, parts = BlobRef.of(data), dict(chunks(data))
    with store.begin(ref, blob_chunk_hashes(data), {1}) as partial:
        partial.write_chunk(1, parts[1])
    path = store._partial(ref)
    damaged = bytearray(path.read_bytes())
    damaged[BLOB_CHUNK_BYTES + 9] ^= 1
    path.write_bytes(damaged)
    assert not store.has_chunks(ref, [1])
    with store.begin(ref, blob_chunk_hashes(data), {1}) as partial:
        assert partial.missing() == [1]


@pytest.mark.parametrize("wanted", [{3}, {-1}, {0, 9}])
def test_chunks_that_do_not_exist_cannot_be_wanted(store: BlobStore, wanted: set[int]) -> None:
    """Our own mistake, and no file is made."""
    data = os.urandom(3 * BLOB_CHUNK_BYTES)
    with pytest.raises(ValueError, match="has 3 chunks"):
        store.begin(BlobRef.of(data), blob_chunk_hashes(data), wanted)
    assert store.used_bytes() == 0
