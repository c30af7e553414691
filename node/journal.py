"""The journal: what the daemon must not forget, in one SQLite file.

Owns append-only streams of records and a small key-value table. A write is acknowledged by
returning, and what was acknowledged survives kill -9 and a power cut: the write-ahead log is synced
to the disk at every commit (`synchronous=FULL`). Written by one process: a lock file beside it
keeps a second daemon out. Calls are synchronous; a commit costs one disk sync.
"""

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from node.clock import unix_s
from node.errors import NodeError
from node.lock_file import LockTaken, take_lock

SCHEMA_VERSION = 1
RECORD_BYTES_MAX = 16 << 20
VALUE_BYTES_MAX = 16 << 20
NAME_CHARACTERS_MAX = 256
_PAGE_RECORDS = 256
_LAST_CHARACTER = "\U0010ffff"

_SCHEMA = """
CREATE TABLE record (
    stream TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    time_s REAL NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (stream, sequence)
) WITHOUT ROWID;
CREATE TABLE value (key TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
"""


class JournalError(NodeError):
    """The journal cannot be read or written: damaged, of another version, or the disk is full."""


class JournalLocked(JournalError):
    """Another process has the journal open."""


@dataclass(frozen=True, slots=True)
class Record:
    """One entry of a stream. Sequences start at 1 and have no gaps; `time_s` is Unix time."""

    sequence: int
    time_s: float
    body: bytes


class Journal:
    """The journal at `path`, created if missing. Close it, or use it as a context manager.

    Raises JournalLocked if another process has it open.
    """

    def __init__(self, path: Path | str) -> None:
        self._path = Path(path)
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = _take_lock(self._path.with_name(f"{self._path.name}.lock"))
        self._depth = 0
        try:
            self._database = self._connect()
        except BaseException:
            self._lock.close()
            raise

    def append(self, stream: str, record: bytes, now: float | None = None) -> int:
        """Add a record to a stream; its sequence number. Durable on return."""
        _check("stream", stream, "record", record, RECORD_BYTES_MAX)
        with self.transaction():
            sequence = self.last(stream) + 1
            self._execute(
                "INSERT INTO record VALUES (?, ?, ?, ?)",
                (stream, sequence, unix_s() if now is None else now, record),
            )
        return sequence

    def last(self, stream: str) -> int:
        """The sequence number of a stream's last record, 0 if it has none."""
        found = self._execute("SELECT max(sequence) FROM record WHERE stream = ?", (stream,))
        return int(found.fetchone()[0] or 0)

    def read(self, stream: str, after: int = 0, limit: int | None = None) -> Iterator[Record]:
        """The records of a stream with a sequence above `after`, in order, at most `limit`."""
        left = limit
        while left is None or left > 0:
            size = _PAGE_RECORDS if left is None else min(_PAGE_RECORDS, left)
            rows = self._execute(
                "SELECT sequence, time_s, body FROM record"
                " WHERE stream = ? AND sequence > ? ORDER BY sequence LIMIT ?",
                (stream, after, size),
            ).fetchall()
            for row in rows:
                yield Record(*row)
            if len(rows) < size:
                return
            after = rows[-1][0]
            left = None if left is None else left - size

    def streams(self) -> list[str]:
        """The names of all streams that have records, sorted."""
        found = self._execute("SELECT DISTINCT stream FROM record ORDER BY stream", ())
        return [name for (name,) in found.fetchall()]

    def drop(self, stream: str) -> None:
        """Forget a stream: for jobs that are over."""
        with self.transaction():
            self._execute("DELETE FROM record WHERE stream = ?", (stream,))

    def set(self, key: str, value: bytes) -> None:
        """Store a value under a key, replacing what was there. Durable on return."""
        _check("key", key, "value", value, VALUE_BYTES_MAX)
        with self.transaction():
            self._execute(
                "INSERT INTO value VALUES (?, ?)"
                " ON CONFLICT (key) DO UPDATE SET body = excluded.body",
                (key, value),
            )

    def get(self, key: str) -> bytes | None:
        """The value stored under a key, or None."""
        row = self._execute("SELECT body FROM value WHERE key = ?", (key,)).fetchone()
        return None if row is None else bytes(row[0])

    def keys(self, prefix: str = "") -> list[str]:
        """The keys that start with `prefix`, sorted. It costs what it finds."""
        last = prefix + _LAST_CHARACTER * NAME_CHARACTERS_MAX
        found = self._execute(
            "SELECT key FROM value WHERE key >= ? AND key <= ? ORDER BY key", (prefix, last)
        )
        return [key for (key,) in found.fetchall()]

    def delete(self, key: str) -> None:
        """Forget a key; nothing happens if it is not there."""
        with self.transaction():
            self._execute("DELETE FROM value WHERE key = ?", (key,))

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """All writes inside take effect together, durable at the end, or none if it raises.

        May be nested: the outermost counts. Do not await inside.
        """
        outermost = self._depth == 0
        if outermost:
            self._execute("BEGIN IMMEDIATE", ())
        self._depth += 1
        try:
            yield
            if outermost:
                self._execute("COMMIT", ())
        except BaseException:
            if outermost and self._database.in_transaction:
                self._database.rollback()
            raise
        finally:
            self._depth -= 1

    def close(self) -> None:
        """Let go of the file and its lock. Harmless when repeated."""
        self._database.close()
        self._lock.close()

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _connect(self) -> sqlite3.Connection:
        try:
            database = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = FULL")
            version = database.execute("PRAGMA user_version").fetchone()[0]
            if version == 0:
                database.executescript(
                    f"BEGIN; {_SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
                )
        except sqlite3.Error as error:
            raise self._broken(error) from error
        if version not in (0, SCHEMA_VERSION):
            database.close()
            raise JournalError(
                f"The journal {self._path} has version {version}; this program knows "
                f"{SCHEMA_VERSION}.",
                "Update ainur, or use another home folder.",
            )
        os.chmod(self._path, 0o600)
        return database

    def _execute(self, statement: str, values: tuple[object, ...]) -> sqlite3.Cursor:
        try:
            return self._database.execute(statement, values)
        except sqlite3.Error as error:
            raise self._broken(error) from error

    def _broken(self, error: sqlite3.Error) -> JournalError:
        return JournalError(
            f"The journal {self._path} cannot be used: {error}.",
            "Check the disk's space and health.",
        )


def _take_lock(path: Path) -> BinaryIO:
    try:
        return take_lock(path)
    except LockTaken as error:
        raise JournalLocked(
            f"Another node is running on this home folder (process {error.holder}).",
            "Stop it first, or choose another home with --home.",
        ) from None


def _check(what_name: str, name: str, what: str, body: bytes, bytes_max: int) -> None:
    if not 0 < len(name) <= NAME_CHARACTERS_MAX:
        raise ValueError(f"a {what_name} name of {len(name)} characters")
    if len(body) > bytes_max:
        raise JournalError(f"A {what} of {len(body)} bytes is over the limit of {bytes_max}.")
