"""The blob store: immutable bytes on disk under their content address.

    store/
        lock                    taken for the instant in which space is given out or names change
        quota                   how many bytes the folder may hold, for every process that opens it
        blobs/ab/ab..-SIZE      a whole, verified blob
        leaves/ab/ab..-SIZE     the hashes of its chunks, a cache
        partial/ab..-SIZE       a blob being fetched, as long as it will be
        partial/ab..-SIZE.leaves  the hashes that it is checked against
        tmp/                    files being written; locked while their writer lives

Several processes may use one store at once. A name under blobs/ appears in one step, after the
bytes are on the disk, so a crash at any moment leaves whole blobs and resumable partial ones. What
a partial blob holds is not recorded anywhere: it is what verifies. A blob of which only some chunks
are wanted stays partial, and its chunks are read and handed out like those of a whole one. Space is
refused before it is used. All calls block: trio code runs the large ones in a thread.
"""

import contextlib
import errno
import fcntl
import os
import shutil
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from engine.commitment import BLOB_CHUNK_BYTES, blob_chunk_hashes, leaf_hash, tree_root
from node.errors import NodeError, PeerFault
from node.files import sync_folder, write_atomic
from scheduler.blob_ref import BlobRef

FOLDERS = ("blobs", "leaves", "partial", "tmp")
QUOTA_BYTES_DEFAULT = 50 << 30
DISK_RESERVE_BYTES = 64 << 20
HASH_BYTES = 32
RECENT_MAX = 8
"""Blobs whose chunk hashes are kept in memory while chunks are read."""


class BlobMissing(NodeError):
    """A blob is not in the store."""


class BlobDamaged(BlobMissing):
    """A blob's bytes have changed on the disk; it was removed."""


class StoreFull(NodeError):
    """A blob does not fit into the quota or onto the disk."""


class PartialBusy(NodeError):
    """Somebody else is fetching the same blob into this store."""


class BlobStore:
    """Content-addressed files under `path`; see the module.

    `quota_bytes` is remembered in the folder: a process that passes none obeys the last one given.
    """

    def __init__(self, path: Path | str, quota_bytes: int | None = None) -> None:
        self._path = Path(path)
        self._recent: dict[BlobRef, list[bytes]] = {}
        for name in FOLDERS:
            (self._path / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        if quota_bytes is not None:
            write_atomic(self._path / "quota", str(quota_bytes).encode())
        with self._locked():
            self._clear_orphans()

    @property
    def quota_bytes(self) -> int:
        """How many bytes this store may hold."""
        try:
            return int((self._path / "quota").read_text())
        except (FileNotFoundError, ValueError):
            return QUOTA_BYTES_DEFAULT

    def used_bytes(self) -> int:
        """How many bytes are held, partial blobs counted in full."""
        return sum(size for _, size in self._files())

    def put(self, data: bytes | memoryview) -> BlobRef:
        """Keep these bytes; durable on return. StoreFull if they do not fit."""
        view = memoryview(data).cast("B")
        leaves = blob_chunk_hashes(view)
        ref = BlobRef(root=tree_root(leaves).hex(), size=view.nbytes)
        if not self.has(ref):
            with self._temporary(ref.size) as file:
                file.write(view)
                self._publish(ref, leaves, file, Path(file.name))
        return ref

    def has(self, ref: BlobRef) -> bool:
        """Whether the whole blob is here."""
        try:
            return self._blob(ref).stat().st_size == ref.size
        except FileNotFoundError:
            return False

    def has_some(self, ref: BlobRef) -> bool:
        """Whether the blob is here or was begun to be fetched."""
        return self.has(ref) or self._partial(ref).exists()

    def path(self, ref: BlobRef) -> Path:
        """The file that holds a blob, not to be written to. BlobMissing if it is not here."""
        if not self.has(ref):
            raise BlobMissing(f"Blob {ref.root} of {ref.size} bytes is not in the store.")
        return self._blob(ref)

    def open(self, ref: BlobRef) -> BinaryIO:
        """A blob opened for reading, unverified. BlobMissing if it is not here."""
        return open(self.path(ref), "rb")

    def read(self, ref: BlobRef) -> bytes:
        """A blob's bytes, verified. BlobMissing if it is not here, BlobDamaged if it changed."""
        data = self.path(ref).read_bytes()
        if BlobRef.of(data) != ref:
            self._condemn(ref)
        return data

    def has_chunks(self, ref: BlobRef, indices: Iterable[int]) -> bool:
        """Whether these chunks are here, of a blob that may be whole or partial."""
        if self.has(ref):
            return True
        try:
            for index in indices:
                self.chunk(ref, index)
        except BlobMissing:
            return False
        return True

    def chunk_hashes(self, ref: BlobRef) -> list[bytes]:
        """The leaf hashes of a blob that is here, whole or in part, verified against its root."""
        if not self.has(ref) and (partial := self.partial_hashes(ref)) is not None:
            return partial
        path = self.path(ref)
        with contextlib.suppress(FileNotFoundError):
            leaves = _split(self._leaves(ref).read_bytes())
            if proves(ref, leaves):
                return leaves
        with open(path, "rb") as file:
            leaves = [leaf_hash(file.read(BLOB_CHUNK_BYTES)) for _ in range(ref.chunk_count)]
        if not proves(ref, leaves):
            self._condemn(ref)
        self._write_leaves(ref, leaves)
        return leaves

    def chunk(self, ref: BlobRef, index: int) -> bytes:
        """One chunk of a blob that is here, verified; what is wrong is what `read` raises.

        Of a partial blob, BlobMissing where this chunk is not here.
        """
        leaves = self._recent.get(ref)
        if leaves is None:
            leaves = self._recent[ref] = self.chunk_hashes(ref)
            while len(self._recent) > RECENT_MAX:
                self._recent.pop(next(iter(self._recent)), None)
        # The partial one first: it may become whole between the two looks, never the reverse.
        with contextlib.suppress(FileNotFoundError), open(self._partial(ref), "rb") as file:
            data = _pread(file, ref, index)
            if leaf_hash(data) == leaves[index]:
                return data
        if not self.has(ref):
            raise BlobMissing(f"Chunk {index} of blob {ref.root} is not in the store.")
        with self.open(ref) as file:
            data = _pread(file, ref, index)
        if leaf_hash(data) != leaves[index]:
            self._condemn(ref)
        return data

    def begin(
        self, ref: BlobRef, hashes: Sequence[bytes], wanted: Collection[int] | None = None
    ) -> "PartialBlob":
        """Start or resume fetching a blob whose chunks have these hashes; the caller closes it.

        Only the `wanted` chunks are looked at; without them all. PeerFault if the hashes are not
        those of the blob, StoreFull if it would not fit, PartialBusy if it is being fetched
        already, ValueError if a chunk is wanted that does not exist.
        """
        leaves = list(hashes)
        if not proves(ref, leaves):
            raise PeerFault(f"{len(leaves)} hashes are not those of blob {ref.root}, {ref.size} B")
        chunks = frozenset(range(ref.chunk_count))
        if wanted is not None:
            if not chunks.issuperset(wanted):
                raise ValueError(f"blob {ref.root} has {ref.chunk_count} chunks, not {wanted}")
            chunks = frozenset(wanted)
        return PartialBlob(self, ref, leaves, self._open_partial(ref, leaves), chunks)

    def partial_hashes(self, ref: BlobRef) -> list[bytes] | None:
        """The hashes of a partial blob that is here, if they prove to be its own."""
        try:
            leaves = _split(self._partial_leaves(ref).read_bytes())
        except FileNotFoundError:
            return None
        return leaves if proves(ref, leaves) else None

    def remove(self, ref: BlobRef) -> int:
        """Forget a blob, whole or partial; the bytes freed, 0 if it was not here."""
        self._recent.pop(ref, None)
        freed = 0
        for path in (self._blob(ref), self._leaves(ref), *self._partial_files(ref)):
            with contextlib.suppress(FileNotFoundError):
                size = path.stat().st_size
                path.unlink()
                freed += size
        return freed

    def discard(self, ref: BlobRef) -> None:
        """Forget a blob, whole or partial, unless it is being fetched right now."""
        if not _is_locked(self._partial(ref)):
            self.remove(ref)

    def _files(self) -> Iterator[tuple[Path, int]]:
        """Every file that counts, with its size. Files may come and go meanwhile."""
        folders = [self._path / name for name in FOLDERS]
        while folders:
            with contextlib.suppress(FileNotFoundError), os.scandir(folders.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(Path(entry.path))
                        continue
                    with contextlib.suppress(FileNotFoundError):
                        yield Path(entry.path), entry.stat(follow_symlinks=False).st_size

    def _blob(self, ref: BlobRef) -> Path:
        return self._path / "blobs" / ref.root[:2] / _name(ref)

    def _leaves(self, ref: BlobRef) -> Path:
        return self._path / "leaves" / ref.root[:2] / _name(ref)

    def _partial(self, ref: BlobRef) -> Path:
        return self._path / "partial" / _name(ref)

    def _partial_leaves(self, ref: BlobRef) -> Path:
        return self._path / "partial" / f"{_name(ref)}.leaves"

    def _partial_files(self, ref: BlobRef) -> tuple[Path, Path]:
        return self._partial(ref), self._partial_leaves(ref)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        with open(self._path / "lock", "ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _reserve(self, size: int) -> None:
        """Refuse what does not fit; called with the store locked, before the file is made."""
        used, quota = self.used_bytes(), self.quota_bytes
        if used + size > quota:
            raise StoreFull(
                f"A blob of {size} bytes does not fit: {used} of {quota} bytes are used.",
                "Raise the store's quota or finish the jobs that it holds.",
            )
        free = shutil.disk_usage(self._path).free - DISK_RESERVE_BYTES
        if size > free:
            raise StoreFull(
                f"A blob of {size} bytes does not fit onto the disk.", "Free some space."
            )

    @contextlib.contextmanager
    def _temporary(self, size: int) -> Iterator[BinaryIO]:
        """A file for `size` bytes under tmp/, gone at the end unless it was published."""
        path = self._path / "tmp" / f"{os.getpid()}-{os.urandom(8).hex()}"
        with contextlib.ExitStack() as stack:
            with self._locked():
                self._reserve(size)
                file = stack.enter_context(open(path, "xb"))
                stack.callback(path.unlink, missing_ok=True)
                fcntl.flock(file, fcntl.LOCK_EX)
                file.truncate(size)
            with _full_disk_explained():
                yield file

    def _publish(self, ref: BlobRef, leaves: list[bytes], file: BinaryIO, path: Path) -> None:
        """Give a written file its name, after its bytes are on the disk."""
        file.flush()
        os.fsync(file.fileno())
        target = self._blob(ref)
        target.parent.mkdir(mode=0o700, exist_ok=True)
        os.replace(path, target)
        sync_folder(target.parent)
        sync_folder(target.parent.parent)
        self._write_leaves(ref, leaves)

    def _write_leaves(self, ref: BlobRef, leaves: list[bytes]) -> None:
        if ref.chunk_count > 1:
            path = self._leaves(ref)
            path.parent.mkdir(mode=0o700, exist_ok=True)
            write_atomic(path, b"".join(leaves))

    def _open_partial(self, ref: BlobRef, leaves: list[bytes]) -> BinaryIO:
        path = self._partial(ref)
        with self._locked():
            if not path.exists():
                self._reserve(ref.size)
            if self.partial_hashes(ref) != leaves:
                write_atomic(self._partial_leaves(ref), b"".join(leaves))
            file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b", buffering=0)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.close()
                raise PartialBusy(f"Blob {ref.root} is being fetched already.") from None
            file.truncate(ref.size)
        return file

    def _finish_partial(self, ref: BlobRef, leaves: list[bytes], file: BinaryIO) -> None:
        self._publish(ref, leaves, file, self._partial(ref))
        self._partial_leaves(ref).unlink(missing_ok=True)

    def _condemn(self, ref: BlobRef) -> None:
        self.remove(ref)
        raise BlobDamaged(
            f"Blob {ref.root} has changed on the disk and was removed.",
            "Check the disk; the blob will be fetched again.",
        )

    def _clear_orphans(self) -> None:
        """Remove what a process that died was writing; called with the store locked."""
        for path in (self._path / "tmp").iterdir():
            if not _is_locked(path):
                path.unlink(missing_ok=True)


class PartialBlob:
    """A blob of which some chunks are here. Made by `BlobStore.begin`; the caller closes it.

    It is about the `wanted` chunks; the blob may never be whole. Which chunks are here is found by
    hashing what lies on the disk, so nothing is trusted after a crash; a chunk is written only if
    its hash is right.
    """

    def __init__(
        self,
        store: BlobStore,
        ref: BlobRef,
        hashes: list[bytes],
        file: BinaryIO,
        wanted: frozenset[int],
    ) -> None:
        self.ref = ref
        self._store = store
        self._hashes = hashes
        self._file = file
        self._missing = set(wanted)
        written = self._missing.intersection(self._written())
        self._missing.difference_update(i for i in written if self._verifies(i))
        self._all_wanted = len(wanted) == ref.chunk_count

    def missing(self) -> list[int]:
        """The indices of the wanted chunks that are not here yet, in order."""
        return sorted(self._missing)

    def write_chunk(self, index: int, data: bytes) -> None:
        """Keep a chunk. PeerFault, changing nothing, if it is not the chunk with this index."""
        if not 0 <= index < self.ref.chunk_count:
            raise PeerFault(f"chunk {index} of a blob with {self.ref.chunk_count} chunks")
        if len(data) != self.ref.chunk_bytes(index) or leaf_hash(data) != self._hashes[index]:
            raise PeerFault(f"{len(data)} bytes are not chunk {index} of blob {self.ref.root}")
        if index in self._missing:
            with _full_disk_explained():
                os.pwrite(self._file.fileno(), data, index * BLOB_CHUNK_BYTES)
            self._missing.discard(index)

    def finish(self) -> BlobRef:
        """Turn it into a whole blob, durable on return. ValueError if chunks are missing.

        One of which only some chunks were wanted stays partial.
        """
        if not self._missing and not self._all_wanted:
            self.close()
            return self.ref
        if self._missing:
            raise ValueError(f"{len(self._missing)} chunks of blob {self.ref.root} are missing")
        self._store._finish_partial(self.ref, self._hashes, self._file)
        self.close()
        return self.ref

    def close(self) -> None:
        """Let go; what is here stays and can be resumed."""
        self._file.close()

    def __enter__(self) -> "PartialBlob":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _verifies(self, index: int) -> bool:
        data = _pread(self._file, self.ref, index)
        return leaf_hash(data) == self._hashes[index]

    def _written(self) -> Iterator[int]:
        """The chunks of which anything was ever written: a fresh file is one hole."""
        position, descriptor = 0, self._file.fileno()
        while position < self.ref.size:
            try:
                position = os.lseek(descriptor, position, os.SEEK_DATA)
            except OSError:
                return
            yield position // BLOB_CHUNK_BYTES
            position = (position // BLOB_CHUNK_BYTES + 1) * BLOB_CHUNK_BYTES


def _pread(file: BinaryIO, ref: BlobRef, index: int) -> bytes:
    return os.pread(file.fileno(), ref.chunk_bytes(index), index * BLOB_CHUNK_BYTES)


def _name(ref: BlobRef) -> str:
    return f"{ref.root}-{ref.size}"


def proves(ref: BlobRef, leaves: Sequence[bytes]) -> bool:
    """Whether these are the leaf hashes of this blob: they make its root."""
    return (
        len(leaves) == ref.chunk_count
        and all(len(leaf) == HASH_BYTES for leaf in leaves)
        and tree_root(leaves).hex() == ref.root
    )


def _split(data: bytes) -> list[bytes]:
    return [data[i : i + HASH_BYTES] for i in range(0, len(data), HASH_BYTES)]


@contextlib.contextmanager
def _full_disk_explained() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise StoreFull("The disk is full.", "Free some space.") from error


def _is_locked(path: Path) -> bool:
    """Whether a living process holds this file open for writing."""
    try:
        with open(path, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False
