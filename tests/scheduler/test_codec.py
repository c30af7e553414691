"""The journal's records: one encoding per value, and nothing else is accepted."""

import contextlib
import json
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.blob_ref import BlobRef
from scheduler.codec import (
    EVENTS,
    ITEMS_MAX,
    JOURNAL_VERSION,
    RECORD_BYTES_MAX,
    TEXT_CHARACTERS_MAX,
    Entry,
    decode,
    decode_state,
    document,
    encode,
    encode_state,
)
from scheduler.coordinator import start
from scheduler.errors import JournalError
from scheduler.events import CombineFinished, CommitRefused, CoordinationStarted, Event
from scheduler.progress import progress
from scheduler.terms import JobTerms
from tests.scheduler.machine import BLOB, Machine
from tests.scheduler.strategies import entries

ENTRY = Entry(1_000, 7, CombineFinished(0, 1, b"\xab" * 32, BLOB, BLOB, (("loss", 0.1),)))


@given(entries())
def test_entry_survives_its_record(entry: Entry) -> None:
    """Every event, with every value in range."""
    assert decode(encode(entry)) == entry


@given(st.data(), entries())
def test_truncated_record_is_refused(data: st.DataObject, entry: Entry) -> None:
    """Wherever it was torn."""
    record = encode(entry)
    cut = data.draw(st.integers(0, len(record) - 1))
    with pytest.raises(JournalError):
        decode(record[:cut])


@given(st.data(), entries())
def test_damaged_record_is_refused_or_another_entry(data: st.DataObject, entry: Entry) -> None:
    """A flipped byte never yields the same entry, nor any error but JournalError."""
    record = bytearray(encode(entry))
    at = data.draw(st.integers(0, len(record) - 1))
    record[at] ^= data.draw(st.integers(1, 255))
    with contextlib.suppress(JournalError):
        assert decode(bytes(record)) != entry


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_refused(data: bytes) -> None:
    """With the one error that the caller expects."""
    with pytest.raises(JournalError):
        decode(data)


def changed(**values: object) -> bytes:
    plain = json.loads(encode(ENTRY))
    for name, value in values.items():
        target = plain if name in plain else plain["event"]
        target[name] = value
    return json.dumps(plain, sort_keys=True, separators=(",", ":")).encode()


@pytest.mark.parametrize(
    "record",
    [
        changed(version=JOURNAL_VERSION + 1),
        changed(type="UnitTeleported"),
        changed(type=["Tick"]),
        changed(seed=-2),
        changed(seed=2**64),
        changed(seed=True),
        changed(now_ms=1.0),
        changed(now_ms="1"),
        changed(round=None),
        changed(generation=False),
        changed(checkpoint="xyz"),
        changed(checkpoint="AB" * 32),
        changed(checkpoint="ab " * 32),
        changed(blob={"root": "00", "size": 1}),
        changed(blob={"root": BLOB.root, "size": -1}),
        changed(blob={"root": BLOB.root}),
        changed(metrics=[["loss"]]),
        changed(metrics=[["loss", 0.1]]),
        changed(metrics=[["loss", "0.10"]]),
        changed(metrics=[["loss", "a lot"]]),
        changed(metrics={"loss": "0.1"}),
        changed(event={}),
        changed(event=None),
        changed(surprise=1),
        encode(ENTRY) + b" ",
        json.dumps(json.loads(encode(ENTRY))).encode(),
        b"[" * 100_000,
        b"{}",
        b"[]",
        b"\xff",
        b" " * (RECORD_BYTES_MAX + 1),
    ],
)
def test_record_that_is_not_canonical_is_refused(record: bytes) -> None:
    """Types, keys, bounds and form are all checked."""
    with pytest.raises(JournalError):
        decode(record)


@pytest.mark.parametrize("value", [math.inf, -math.inf, 0.0, -0.0, 1e-300, 0.1])
def test_metric_survives_exactly(value: float) -> None:
    """A diverged training is still journaled."""
    entry = replace(ENTRY, event=replace(ENTRY.event, metrics=(("loss", value),)))
    assert repr(decode(encode(entry))) == repr(entry)


def test_metric_that_is_not_a_number_survives() -> None:
    """NaN differs from itself, but its record does not."""
    entry = replace(ENTRY, event=replace(ENTRY.event, metrics=(("loss", math.nan),)))
    assert encode(decode(encode(entry))) == encode(entry)


@pytest.mark.parametrize(
    "event",
    [
        CommitRefused(0, "x" * (TEXT_CHARACTERS_MAX + 1)),
        CommitRefused(2**64, ""),
        CommitRefused(0, "", tuple(range(ITEMS_MAX + 1))),
    ],
)
def test_value_over_a_bound_is_not_written(event: Event) -> None:
    """What could not be read back must not be promised."""
    with pytest.raises(ValueError, match=r"over|not in"):
        encode(Entry(0, 0, event))


def test_every_event_has_a_record_type() -> None:
    """The union is the registry."""
    assert "Tick" in EVENTS
    assert len(EVENTS) == 33


def test_state_survives_its_bytes_and_refuses_other_forms() -> None:
    """So that a snapshot can replace a long journal."""
    machine = Machine()
    machine.settled("a", "b")
    machine.combined()
    data = encode_state(machine.state)
    assert decode_state(data) == machine.state
    with pytest.raises(JournalError):
        decode_state(data[:-1])
    with pytest.raises(JournalError, match="canonical"):
        decode_state(data + b" ")
    with pytest.raises(JournalError, match="State has the fields"):
        decode_state(b"{}")


def test_terms_without_work_are_refused_in_a_record() -> None:
    """A value that the constructor refuses is a damaged record, not a crash."""
    begun = CoordinationStarted(JobTerms(b"j", 1, 1, 1, 1), 0, bytes(32), BLOB)
    record = encode(Entry(0, 0, begun)).replace(b'"rounds":1', b'"rounds":0')
    with pytest.raises(JournalError, match="rounds 0"):
        decode(record)


def test_progress_is_a_document() -> None:
    """For other programs."""
    machine = Machine()
    machine.join("a")
    plain = json.loads(document(progress(machine.state, machine.now_ms)))
    assert plain["peers"][0]["wallet"] == "0xa"


def test_value_of_another_kind_has_no_record() -> None:
    """A mistake of ours is a TypeError."""
    with pytest.raises(TypeError, match="set"):
        document({1, 2})


def test_start_is_the_first_record() -> None:
    """It carries everything that a state begins with."""
    begun = Machine().begun
    entry = decode(encode(Entry(5, 0, begun)))
    assert isinstance(entry.event, CoordinationStarted)
    assert start(entry.event, 5) == start(begun, 5)
    assert isinstance(begun.blob, BlobRef)
