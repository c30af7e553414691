"""node/journal.py: acknowledged means durable, whoever dies when."""

import hashlib
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from node.journal import RECORD_BYTES_MAX, Journal, JournalError, JournalLocked

APPENDER = Path(__file__).parent / "children" / "appender.py"


def test_records_come_back_in_order(tmp_path: Path) -> None:
    """Sequences start at 1, count per stream, and survive reopening."""
    with Journal(tmp_path / "j.db") as journal:
        assert [journal.append("a", b"1", now=5.0), journal.append("a", b"2")] == [1, 2]
        assert journal.append("b", b"") == 1
    with Journal(tmp_path / "j.db") as journal:
        first, second = journal.read("a")
        assert (first.sequence, first.time_s, first.body) == (1, 5.0, b"1")
        assert (second.sequence, second.body) == (2, b"2")
        assert journal.streams() == ["a", "b"]
        assert (journal.last("a"), journal.last("none")) == (2, 0)


def test_read_pages_and_limits(tmp_path: Path) -> None:
    """`after` and `limit` hold across page boundaries."""
    with Journal(tmp_path / "j.db") as journal:
        with journal.transaction():
            for i in range(600):
                journal.append("a", str(i).encode())
        assert [r.sequence for r in journal.read("a", after=100)] == list(range(101, 601))
        assert [r.sequence for r in journal.read("a", after=10, limit=300)] == list(range(11, 311))
        assert [r.sequence for r in journal.read("a", after=598, limit=300)] == [599, 600]
        assert list(journal.read("a", limit=0)) == []


def test_read_goes_on_while_records_are_added(tmp_path: Path) -> None:
    """Replaying may write; the reader sees each record once."""
    with Journal(tmp_path / "j.db") as journal:
        journal.append("a", b"0")
        seen = []
        for record in journal.read("a"):
            seen.append(record.sequence)
            if record.sequence < 300:
                journal.append("a", b"x")
        assert seen[:1] == [1]
        assert journal.last("a") >= 2


def test_many_keys_of_others_do_not_slow_a_stranger_s_question(tmp_path: Path) -> None:
    """Keys are found by their prefix, whatever else there is: counted in the database's steps."""
    with Journal(tmp_path / "j.db") as journal:
        steps = 0

        def count() -> int:
            nonlocal steps
            steps += 1
            return 0

        with journal.transaction():
            for i in range(5_000):
                journal.set(f"other/{i}", b"")
            for key in ("one", "one/", "one/2", "one/\U0010ffff", "one0"):
                journal.set(key, b"")
        journal._database.set_progress_handler(count, 10)
        assert journal.keys("one/") == ["one/", "one/2", "one/\U0010ffff"]
        assert steps < 20
        journal._database.set_progress_handler(None, 0)
        assert len(journal.keys()) == 5_005


def test_failed_transaction_leaves_nothing(tmp_path: Path) -> None:
    """All or nothing, nested ones included."""
    with Journal(tmp_path / "j.db") as journal:

        def fail_half_way() -> None:
            with journal.transaction():
                journal.append("a", b"1")
                with journal.transaction():
                    journal.set("k", b"new")
                raise KeyError

        journal.set("k", b"old")
        with pytest.raises(KeyError):
            fail_half_way()
        assert (journal.get("k"), journal.last("a")) == (b"old", 0)
        assert journal.append("a", b"1") == 1


def test_keys_are_listed_by_prefix(tmp_path: Path) -> None:
    """Wildcards of SQL mean nothing."""
    with Journal(tmp_path / "j.db") as journal:
        for key in ("job.1", "job.2", "job%", "other"):
            journal.set(key, b"")
        assert journal.keys("job.") == ["job.1", "job.2"]
        assert journal.keys("job%") == ["job%"]
        journal.delete("job.1")
        journal.delete("job.1")
        assert journal.get("job.1") is None


def test_second_process_is_kept_out(tmp_path: Path) -> None:
    """One daemon for a home; the error says which process has it and what to do."""
    with Journal(tmp_path / "j.db"):
        with pytest.raises(JournalLocked, match=r"process \d+.*--home"):
            Journal(tmp_path / "j.db")
        code = "import sys; from node.journal import Journal; Journal(sys.argv[1])"
        other = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / "j.db")],
            cwd=APPENDER.parents[3],
            capture_output=True,
            text=True,
            check=False,
        )
        assert "JournalLocked" in other.stderr
    Journal(tmp_path / "j.db").close()


def test_other_version_is_refused_untouched(tmp_path: Path) -> None:
    """A journal of the future is not guessed at."""
    Journal(tmp_path / "j.db").close()
    with sqlite3.connect(tmp_path / "j.db") as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(JournalError, match="version 99"):
        Journal(tmp_path / "j.db")
    with pytest.raises(JournalError, match="version 99"):
        Journal(tmp_path / "j.db")


def test_file_that_is_no_journal_is_refused(tmp_path: Path) -> None:
    """A damaged file gets an error that names it, not a traceback of the database."""
    (tmp_path / "j.db").write_bytes(b"this is not a database" * 500)
    with pytest.raises(JournalError, match=r"j\.db cannot be used"):
        Journal(tmp_path / "j.db")


def test_oversized_record_is_refused(tmp_path: Path) -> None:
    """The limit holds before anything is written."""
    with Journal(tmp_path / "j.db") as journal:
        with pytest.raises(JournalError, match="over the limit"):
            journal.append("a", bytes(RECORD_BYTES_MAX + 1))
        with pytest.raises(ValueError, match="0 characters"):
            journal.append("", b"")
        assert journal.last("a") == 0


def test_full_disk_is_an_error_and_leaves_the_journal_usable(tmp_path: Path) -> None:
    """What could not be written was not acknowledged; later writes work again."""
    with Journal(tmp_path / "j.db") as journal:
        journal.append("a", b"before")
        journal._database.execute("PRAGMA max_page_count = 20")
        with pytest.raises(JournalError, match="full"):
            journal.append("a", bytes(1 << 20))
        journal._database.execute("PRAGMA max_page_count = 100000")
        assert journal.append("a", b"after") == 2
        assert [record.body for record in journal.read("a")] == [b"before", b"after"]


def test_journal_syncs_every_commit(tmp_path: Path) -> None:
    """The settings that durability rests on are in force."""
    with Journal(tmp_path / "j.db") as journal:
        assert journal._database.execute("PRAGMA synchronous").fetchone() == (2,)
        assert journal._database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert (tmp_path / "j.db").stat().st_mode & 0o077 == 0


def test_kill_at_any_time_loses_nothing_acknowledged(tmp_path: Path) -> None:
    """kill -9 in the middle of appends, twelve times over one file."""
    path = tmp_path / "j.db"
    acknowledged = 0
    for attempt in range(12):
        command = [sys.executable, str(APPENDER), str(path), str(attempt)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for _ in range(attempt * 3 + 1):
                acknowledged = int(process.stdout.readline())
            process.kill()
            rest = process.stdout.read().split("\n")[:-1]
        acknowledged = int(rest[-1]) if rest else acknowledged
        with Journal(path) as journal:
            records = list(journal.read("work"))
            third = int.from_bytes(journal.get("third") or b"")
        assert [record.sequence for record in records] == list(range(1, len(records) + 1))
        assert len(records) in (acknowledged, acknowledged + 1)
        for record in records:
            content, digest = record.body[:-32], record.body[-32:]
            assert hashlib.sha256(content).digest() == digest
            assert int.from_bytes(content[:8]) == record.sequence
        assert third == len(records) - len(records) % 3


class JournalModel(RuleBasedStateMachine):
    """The journal does what a dict and some lists do."""

    def __init__(self) -> None:
        super().__init__()
        self.streams: dict[str, list[bytes]] = {}
        self.values: dict[str, bytes] = {}
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "j.db"
        self.journal = Journal(self.path)

    names = st.sampled_from(["a", "b", "c"])

    @rule(stream=names, record=st.binary(max_size=20))
    def append(self, stream: str, record: bytes) -> None:
        records = self.streams.setdefault(stream, [])
        records.append(record)
        assert self.journal.append(stream, record) == len(records)

    @rule(key=names, value=st.binary(max_size=20))
    def set(self, key: str, value: bytes) -> None:
        self.values[key] = value
        self.journal.set(key, value)

    @rule(key=names)
    def delete(self, key: str) -> None:
        self.values.pop(key, None)
        self.journal.delete(key)

    @rule(stream=names)
    def drop(self, stream: str) -> None:
        self.streams.pop(stream, None)
        self.journal.drop(stream)

    @rule()
    def reopen(self) -> None:
        self.journal.close()
        self.journal = Journal(self.path)

    @invariant()
    def agrees(self) -> None:
        for name in ("a", "b", "c"):
            stored = [record.body for record in self.journal.read(name)]
            assert stored == self.streams.get(name, [])
            assert self.journal.get(name) == self.values.get(name)
        assert self.journal.keys() == sorted(self.values)

    def teardown(self) -> None:
        self.journal.close()
        self.folder.cleanup()


TestJournalModel = JournalModel.TestCase
TestJournalModel.settings = settings(max_examples=15, stateful_step_count=15, deadline=None)
