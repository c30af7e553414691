"""The contracts' log as this node has read it: a cache in one SQLite file that may be deleted.

The chain is the truth. What is here saves reading years of it again at each start, and is what a
ledger is rebuilt from when the chain replaces blocks. Entries and the mark that says how far they
go are written in one transaction, so that kill -9 leaves a whole page or none of it. A file that is
damaged, or of another network or release, is begun anew.
"""

import contextlib
import hashlib
import logging
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from node.chain.answers import Block, Log
from node.network_file import NetworkFile

log = logging.getLogger(__name__)

SCHEMA_VERSION = 1
MARKS_MAX = 512
"""Blocks whose hashes are kept: how far back a replaced chain is looked for without a new start."""
MEMORY = Path(":memory:")
_TOPIC_BYTES = 32
_SCHEMA = """
CREATE TABLE meta (network BLOB NOT NULL);
CREATE TABLE mark (number INTEGER PRIMARY KEY, timestamp INTEGER NOT NULL, hash BLOB NOT NULL);
CREATE TABLE log (
    block INTEGER NOT NULL,
    place INTEGER NOT NULL,
    address TEXT NOT NULL,
    topics BLOB NOT NULL,
    data BLOB NOT NULL,
    hash BLOB NOT NULL,
    PRIMARY KEY (block, place)
) WITHOUT ROWID;
"""


class EventCache:
    """The cache at `path` for the network that `network` names. Used by one process at a time."""

    def __init__(self, path: Path = MEMORY, network: bytes = b"") -> None:
        self._path = path
        try:
            self._database = _open(path, network)
        except sqlite3.DatabaseError as error:
            log.warning("the event cache %s is begun anew: %s", path, error)
            _remove(path)
            self._database = _open(path, network)

    def add(self, logs: tuple[Log, ...], last: Block) -> None:
        """Keep the entries up to the block `last`, which come after all that there are."""
        with self._database as database:
            database.executemany(
                "INSERT INTO log VALUES (?, ?, ?, ?, ?, ?)",
                [
                    (e.block, e.index, e.address, b"".join(e.topics), e.data, e.transaction)
                    for e in logs
                ],
            )
            mark = last.number, last.timestamp, last.hash
            database.execute("INSERT INTO mark VALUES (?, ?, ?)", mark)
            database.execute(
                "DELETE FROM mark WHERE number <= "
                "(SELECT number FROM mark ORDER BY number DESC LIMIT 1 OFFSET ?)",
                (MARKS_MAX,),
            )

    def marks(self) -> list[Block]:
        """Blocks up to which the entries go or went, the newest first."""
        rows = self._database.execute("SELECT * FROM mark ORDER BY number DESC").fetchall()
        return [Block(*row) for row in rows]

    def logs(self) -> Iterator[Log]:
        """All entries, in the order of the chain."""
        for row in self._database.execute("SELECT * FROM log ORDER BY block, place"):
            block, index, address, topics, data, transaction = row
            split = range(0, len(topics), _TOPIC_BYTES)
            kinds = tuple(topics[i : i + _TOPIC_BYTES] for i in split)
            yield Log(address, kinds, data, block, index, transaction)

    def rewind(self, to: Block | None) -> None:
        """Forget what came after the block `to`, or everything."""
        number = -1 if to is None else to.number
        with self._database as database:
            database.execute("DELETE FROM log WHERE block > ?", (number,))
            database.execute("DELETE FROM mark WHERE number > ?", (number,))

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def __enter__(self) -> "EventCache":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def network_key(network: NetworkFile) -> bytes:
    """What must be equal for a cache to be of this network."""
    text = f"{network.chain_id} {network.deployment_block} {network.contracts.model_dump_json()}"
    return hashlib.sha256(text.encode()).digest()


def _open(path: Path, network: bytes) -> sqlite3.Connection:
    database = sqlite3.connect(path, isolation_level="IMMEDIATE")
    try:
        # A cache: what a power cut takes away is read again, but kill -9 takes nothing.
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=NORMAL")
        (version,) = database.execute("PRAGMA user_version").fetchone()
        if version == 0:
            database.executescript(_SCHEMA)
            with database:
                database.execute("INSERT INTO meta VALUES (?)", (network,))
                database.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
        elif version != SCHEMA_VERSION:
            raise sqlite3.DatabaseError(f"its version is {version}")
        if database.execute("SELECT network FROM meta").fetchall() != [(network,)]:
            raise sqlite3.DatabaseError("it is of another network")
        if database.execute("PRAGMA quick_check").fetchall() != [("ok",)]:
            raise sqlite3.DatabaseError("it is damaged")
    except BaseException:
        database.close()
        raise
    return database


def _remove(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + suffix).unlink()
