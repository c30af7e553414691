"""What honest computation gives: a unit and a combination are hashes of their inputs."""

import hashlib
from collections.abc import Sequence
from functools import cache

from scheduler.blob_ref import BlobRef

GENESIS = hashlib.sha256(b"genesis").digest()


def unit_root(checkpoint: bytes, round: int, slot: int) -> bytes:
    """The one right result root of a unit; attempts and workers do not enter."""
    return hashlib.sha256(b"unit" + checkpoint + bytes([round, slot])).digest()


def blob_of(root: bytes) -> bytes:
    """The result blob of a result root."""
    return b"result" + root


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
