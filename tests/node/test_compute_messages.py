"""Frames between the daemon and its worker: what goes in comes out, the rest is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from node.compute_messages import (
    ANSWER,
    FRAME_BYTES_MAX,
    LENGTH_BYTES,
    REQUEST,
    AggregateRound,
    ComputeUnit,
    UnitDone,
    frame,
    frame_length,
)
from scheduler.blob_ref import BlobRef

REF = BlobRef.of(b"x")


@given(
    st.dictionaries(st.text(max_size=9), st.floats(), max_size=4),
    st.binary(min_size=32, max_size=32),
)
def test_answer_survives_the_pipe(metrics: dict[str, float], root: bytes) -> None:
    """Roots arrive as the same bytes, floats as the same numbers, NaN and infinities included."""
    sent = UnitDone(
        result=REF, result_root=root, trace_root=root, metrics=metrics, seconds=0.1, flops=1 << 60
    )
    data = frame(sent)
    assert frame_length(data[:LENGTH_BYTES]) == len(data) - LENGTH_BYTES
    received = ANSWER.validate_json(data[LENGTH_BYTES:])
    assert repr(received) == repr(sent)


def test_request_survives_the_pipe() -> None:
    """The kind tells a unit from an audit."""
    for kind in ("unit", "audit"):
        sent = ComputeUnit(kind=kind, manifest=REF, checkpoint=REF, round=1, slot=2)
        assert REQUEST.validate_json(frame(sent)[LENGTH_BYTES:]) == sent
    many = AggregateRound(manifest=REF, checkpoint=REF, results=(REF,) * 64)
    assert REQUEST.validate_json(frame(many)[LENGTH_BYTES:]) == many


@pytest.mark.parametrize("header", [b"", b"\0\0\0", (FRAME_BYTES_MAX + 1).to_bytes(4, "big")])
def test_bad_header_is_refused(header: bytes) -> None:
    """Nothing is read on the word of a broken worker."""
    with pytest.raises(ValueError, match="frame header"):
        frame_length(header)


def test_too_long_a_message_is_not_sent() -> None:
    """The bound holds on both sides."""
    refs = (REF,) * 20_000
    with pytest.raises(ValueError, match="is over"):
        frame(AggregateRound(manifest=REF, checkpoint=REF, results=refs))


@given(st.binary(max_size=100))
def test_garbage_is_no_answer(data: bytes) -> None:
    """Strange bytes raise ValidationError, which the supervisor takes for a crash."""
    with pytest.raises(ValidationError):
        ANSWER.validate_json(data)
