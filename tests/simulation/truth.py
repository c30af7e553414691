"""What honest computation gives: a unit and a combination are hashes of their inputs."""

import hashlib
from collections.abc import Sequence
from functools import cache

from node.commitments import Roots
from node.ids import JobId, UnitId
from node.ids import unit_id as real_unit_id
from scheduler.blob_ref import BlobRef
from scheduler.terms import UnitRef

JOB = JobId(b"j" * 32)
GENESIS = hashlib.sha256(b"genesis").digest()


@cache
def unit_root(checkpoint: bytes, round: int, slot: int) -> bytes:
    """The one right result root of a unit; attempts and workers do not enter."""
    return hashlib.sha256(b"unit" + checkpoint + bytes([round, slot])).digest()


@cache
def unit_id(round: int, slot: int, attempt: int) -> UnitId:
    """The unit's id on the chain."""
    return real_unit_id(JOB, round, slot, attempt)


def roots_of(result_root: bytes) -> Roots:
    """The roots that a computation with this result has."""
    return Roots(result_root, hashlib.sha256(b"trace" + result_root).digest())


def wrong(root: bytes, how: int) -> bytes:
    """A root that is not the right one; different lies differ."""
    return bytes([root[0] ^ (1 + how % 255)]) + root[1:]


def false_anchor(checkpoint: bytes) -> bytes:
    """What a coordinator anchors that means to mislead: the one way in which it does."""
    return wrong(checkpoint, 7)


def signature(
    worker: str, unit: UnitId, parent: bytes, epoch: int, result_root: bytes, commitment: bytes
) -> bytes:
    """A claim's signature: binds what the real one binds (docs/spec/contracts.md)."""
    parts = (worker.encode(), unit, parent, epoch.to_bytes(4), result_root, commitment)
    return hashlib.sha256(b"claim" + b"".join(parts)).digest()


def holding(wallet: str, unit: UnitRef, root: bytes, blob: BlobRef) -> bytes:
    """A wallet's signed word that it holds a result."""
    return hashlib.sha256(f"holding {wallet} {unit} {blob.root}".encode() + root).digest()


def blob_of(root: bytes) -> bytes:
    """The result blob of a result root."""
    return b"result" + root


def result_root_of(data: bytes) -> bytes | None:
    """The result root of a blob, None where it is none."""
    return data[6:] if len(data) == 38 and data.startswith(b"result") else None


@cache
def ref_of(data: bytes) -> BlobRef:
    return BlobRef.of(data)


def combined(checkpoint: bytes, roots: Sequence[bytes]) -> bytes:
    """The next checkpoint."""
    return hashlib.sha256(b"combine" + checkpoint + b"".join(roots)).digest()


def fault_free(rounds: int, slots: int) -> bytes:
    """The last checkpoint of a job in which nobody lies."""
    checkpoint = GENESIS
    for round in range(rounds):
        roots = [unit_root(checkpoint, round, slot) for slot in range(slots)]
        checkpoint = combined(checkpoint, roots)
    return checkpoint
