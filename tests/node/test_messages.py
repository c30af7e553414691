"""Control messages: one encoding each way, and nothing but them gets in."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node import messages
from node.errors import PeerFault
from node.messages import (
    MESSAGE_BYTES_MAX,
    AcceptedResult,
    AlarmHeard,
    AskCustody,
    AskJob,
    AskOpening,
    AskRound,
    CommitUnit,
    HeldResult,
    HoldResult,
    JobHeld,
    JobProgress,
    OfferJob,
    OrderPause,
    PullUnit,
    RaiseAlarm,
    Receipt,
    Refused,
    ResultSigned,
    RoundCustody,
    RoundResults,
    SignedHolding,
    UnavailableResult,
    UnitAssigned,
    UnitDeclined,
    UnitKey,
    UnitOpening,
)
from scheduler.blob_ref import BlobRef

HASH, BLOB, UNIT = "ab" * 32, BlobRef(root="cd" * 32, size=7), UnitKey(round=1, slot=2, attempt=0)
WALLET = "0x" + "12" * 20

EVERY_MESSAGE = (
    OfferJob(job_id=HASH, manifest=BLOB),
    JobHeld(job_id=HASH, wallet=WALLET),
    AskOpening(job_id=HASH, unit=UNIT),
    UnitOpening(trace_root=HASH, salt=HASH),
    PullUnit(job_id=HASH, memory_bytes=5, ready=(UNIT,)),
    UnitAssigned(unit=UNIT, checkpoint=BLOB, checkpoint_root=HASH, timeout_ms=9),
    UnitDeclined(reason="nothing", retry_after_ms=0),
    CommitUnit(
        job_id=HASH,
        unit=UNIT,
        parent=HASH,
        lease_epoch=1,
        result_root=HASH,
        blob=BLOB,
        commitment=HASH,
        signature="00" * 65,
        holding="00" * 65,
    ),
    Receipt(unit=UNIT, signature="00" * 65),
    AskRound(job_id=HASH, round=3),
    HoldResult(job_id=HASH, unit=UNIT, result_root=HASH, blob=BLOB),
    ResultSigned(signature="00" * 65),
    AskCustody(job_id=HASH, round=3),
    RoundCustody(
        round=3,
        results=(
            HeldResult(
                unit=UNIT,
                result_root=HASH,
                blob=BLOB,
                holdings=(SignedHolding(wallet=WALLET, signature="00" * 65),),
            ),
        ),
        unavailable=(UnavailableResult(unit=UNIT, wallet=WALLET, cause="late"),),
    ),
    RaiseAlarm(job_id=HASH, round=3, checkpoint=HASH),
    AlarmHeard(),
    RoundResults(
        round=3,
        aggregate=BLOB,
        results=(AcceptedResult(slot=0, result_root=HASH, blob=BLOB, took_ms=5),),
        metrics={"loss": 0.5, "accuracy": float("inf")},
    ),
    AskJob(job_id=HASH),
    OrderPause(job_id=HASH, paused=True, serial=1, signature="00" * 65),
    JobProgress(job_id=HASH, document="{}"),
    Refused(reason="no"),
)


@pytest.mark.parametrize("message", EVERY_MESSAGE, ids=lambda m: type(m).__name__)
def test_every_message_survives_the_wire(message: messages.Message) -> None:
    """What is sent is what arrives."""
    assert messages.decode(messages.encode(message)) == message


@pytest.mark.parametrize("message", EVERY_MESSAGE, ids=lambda m: type(m).__name__)
def test_an_unknown_field_is_refused(message: messages.Message) -> None:
    """The union is closed: nobody smuggles in more."""
    document = json.loads(messages.encode(message)) | {"extra": 1}
    with pytest.raises(PeerFault):
        messages.decode(json.dumps(document).encode())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("job_id", "AB" * 32),
        ("job_id", "ab" * 31),
        ("memory_bytes", -1),
        ("memory_bytes", 2**63),
        ("memory_bytes", "5"),
        ("memory_bytes", 5.0),
        ("holding", [{"round": 0, "slot": 0, "attempt": 0}] * 17),
        ("type", "push_unit"),
    ],
)
def test_values_out_of_bounds_are_refused(field: str, value: object) -> None:
    """Every field has bounds and one type."""
    document = json.loads(messages.encode(EVERY_MESSAGE[2])) | {field: value}
    with pytest.raises(PeerFault):
        messages.decode(json.dumps(document).encode())


def test_a_long_message_is_refused_before_it_is_read() -> None:
    """The size is looked at first."""
    with pytest.raises(PeerFault, match="bytes, over"):
        messages.decode(b" " * (MESSAGE_BYTES_MAX + 1))


def test_deep_nesting_is_a_peers_fault() -> None:
    """A parser's recursion never reaches the node."""
    with pytest.raises(PeerFault):
        messages.decode(b"[" * 200_000)


@given(st.binary(max_size=300))
def test_random_bytes_are_a_peers_fault(data: bytes) -> None:
    """Garbage is refused, and with one kind of error."""
    with pytest.raises(PeerFault):
        messages.decode(data)


def test_expect_tells_refusals_from_surprises() -> None:
    """A refusal carries its reason; another message says what was due."""
    assert messages.expect(EVERY_MESSAGE[0], OfferJob) is EVERY_MESSAGE[0]
    with pytest.raises(PeerFault, match="the peer refused: no"):
        messages.expect(Refused(reason="no"), OfferJob)
    with pytest.raises(PeerFault, match="OfferJob was due, AskJob came"):
        messages.expect(AskJob(job_id=HASH), OfferJob)
