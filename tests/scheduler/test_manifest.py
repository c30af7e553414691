"""Manifests: canonical bytes, one digest per job, strangers' bytes refused."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from scheduler.errors import ManifestError
from scheduler.manifest import MANIFEST_BYTES_MAX, Manifest

REF = {"root": "ab" * 32, "size": 10}
FIELDS: dict[str, Any] = {
    "version": 2,
    "name": "digits",
    "rounds": 3,
    "slots": 4,
    "steps": 20,
    "trace_every": 8,
    "batch_rows": 32,
    "rows": 1437,
    "unit_timeout_s": 60,
    "deadline_s": 3600,
    "peers_min": 2,
    "price_wei_per_gflop": 7,
    "programs": {"step": REF, "result": REF, "aggregate": REF, "outer": REF, "evaluate": REF},
    "state": {"root": "01" * 32, "size": 77},
    "train": {"root": "02" * 32, "size": 20},
    "test": {"root": "03" * 32, "size": 30},
    "unit_flops": 1_500_000_000,
    "aggregate_flops": 5,
    "outer_flops": 4,
    "evaluate_flops": 6,
    "peak_bytes": 100,
    "result_bytes": 88,
    "aggregate_bytes": 66,
    "checkpoint_bytes": 77,
}


def canonical(**changes: Any) -> bytes:
    """Canonical bytes of the fields above with some changed."""
    return json.dumps(FIELDS | changes, sort_keys=True, separators=(",", ":")).encode()


def test_parse_inverts_to_bytes() -> None:
    """One job, one byte string; its digest is frozen, because escrows hold it."""
    manifest = Manifest.parse(canonical())
    assert manifest.to_bytes() == canonical()
    assert manifest.digest().hex() == (
        "8fb50927c5164cb18091fa2d4523a62e405a4cce30d29c7ff458a2861865061d"
    )
    assert manifest.ref().size == len(canonical())


def test_blobs_are_all_files_once() -> None:
    """Programs that are equal are fetched once."""
    manifest = Manifest.parse(canonical())
    assert [blob.root[:2] for blob in manifest.blobs()] == ["ab", "01", "03", "02"]
    assert {*manifest.blobs()} - {*manifest.needed()} == {manifest.train}


def test_unit_price_rounds_up() -> None:
    """1.5 GFLOP at 7 wei are 10.5: the worker gets 11."""
    manifest = Manifest.parse(canonical())
    assert (manifest.units, manifest.unit_wei) == (12, 11)
    assert Manifest.parse(canonical(price_wei_per_gflop=0)).unit_wei == 0


def test_memory_covers_tensors_files_and_arrays() -> None:
    """100 for the largest Program; twice 77 + 20 + 30 of data, four results of 88, two states."""
    assert Manifest.parse(canonical()).memory_bytes == 100 + 2 * (77 + 20 + 30 + 4 * 88 + 66 + 77)


@pytest.mark.parametrize(
    ("steps", "every", "expected"),
    [(20, 8, (8, 16, 20)), (20, 5, (5, 10, 15, 20)), (1, 1, (1,)), (7, 7, (7,))],
)
def test_trace_steps_end_with_the_last_step(
    steps: int, every: int, expected: tuple[int, ...]
) -> None:
    """Every K steps, and always step H."""
    manifest = Manifest.parse(canonical(steps=steps, trace_every=every))
    assert manifest.trace_steps() == expected


@pytest.mark.parametrize(
    "changes",
    [
        {"version": 1},
        {"peers_min": 0},
        {"peers_min": 1025},
        {"name": "Digits"},
        {"rounds": 0},
        {"rounds": "3"},
        {"slots": 65},
        {"steps": 1.0},
        {"trace_every": 21},
        {"batch_rows": 1438},
        {"unit_timeout_s": 3601},
        {"price_wei_per_gflop": 1 << 127},
        {"state": {"root": "01" * 32, "size": 78}},
        {"train": {"root": "0G" * 32, "size": 20}},
        {"train": {"root": "02" * 32, "size": -1}},
        {"programs": {"step": REF, "result": REF, "aggregate": REF, "evaluate": REF}},
        {"unit_flops": -1},
        {"extra": 1},
    ],
)
def test_wrong_field_is_refused(changes: dict[str, Any]) -> None:
    """Whatever field is wrong, the answer is a ManifestError."""
    with pytest.raises(ManifestError, match="malformed manifest"):
        Manifest.parse(canonical(**changes))


@pytest.mark.parametrize(
    "data",
    [
        json.dumps(FIELDS, sort_keys=True).encode(),
        json.dumps(dict(reversed(FIELDS.items())), separators=(",", ":")).encode(),
        canonical() + b"\n",
        canonical().replace(b'"digits"', b'"\\u0064igits"'),
        canonical().replace(b'"name":', b'"name":"other","name":'),
        canonical().replace(b'"version":2', b'"version":2.0'),
    ],
)
def test_other_bytes_of_the_same_job_are_refused(data: bytes) -> None:
    """There is one digest per job because there is one way to write it."""
    with pytest.raises(ManifestError):
        Manifest.parse(data)


def test_too_long_is_refused() -> None:
    """Before anything is parsed."""
    with pytest.raises(ManifestError, match=str(MANIFEST_BYTES_MAX)):
        Manifest.parse(b" " * (MANIFEST_BYTES_MAX + 1))


def test_manifest_is_immutable() -> None:
    """A manifest is a value."""
    with pytest.raises(ValidationError):
        Manifest.parse(canonical()).rounds = 5


@given(st.integers(0, len(canonical()) - 1), st.integers(1, 255))
def test_one_changed_byte_is_refused_or_another_job(position: int, change: int) -> None:
    """No flipped byte passes for the same job, and nothing but ManifestError is raised."""
    data = bytearray(canonical())
    data[position] ^= change
    try:
        other = Manifest.parse(bytes(data))
    except ManifestError:
        return
    assert other.to_bytes() == bytes(data)
    assert other.digest() != Manifest.parse(canonical()).digest()


@given(st.binary(max_size=300))
def test_any_bytes_are_refused_cleanly(data: bytes) -> None:
    """Strange bytes raise ManifestError and nothing else."""
    with pytest.raises(ManifestError):
        Manifest.parse(data)
