"""What a job's final rounds came to, in 104 bytes each: a job of a million rounds takes 104 MB.

Rounds become final one after the other, so that a round's number is its place.
"""

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from scheduler.blob_ref import BlobRef

_ROW = struct.Struct("<32s32sQ32s")
"""Checkpoint, root and size of its blob, what the round paid."""


@dataclass(frozen=True, slots=True)
class Finalized:
    """A final round, or an anchored one: its checkpoint, where the blob is, what it paid."""

    checkpoint: bytes
    blob: BlobRef
    total_wei: int = 0


class FinalRounds(Mapping[int, Finalized]):
    """The final rounds of one job by number, from 0 without a gap."""

    def __init__(self) -> None:
        self._rows = bytearray()

    def append(self, final: Finalized) -> None:
        """Add the next round."""
        paid = final.total_wei.to_bytes(32, "little")
        root = bytes.fromhex(final.blob.root)
        self._rows += _ROW.pack(final.checkpoint, root, final.blob.size, paid)

    def __getitem__(self, round: int) -> Finalized:
        if not 0 <= round < len(self):
            raise KeyError(round)
        checkpoint, root, size, paid = _ROW.unpack_from(self._rows, round * _ROW.size)
        blob = BlobRef(root=root.hex(), size=size)
        return Finalized(checkpoint, blob, int.from_bytes(paid, "little"))

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self)))

    def __len__(self) -> int:
        return len(self._rows) // _ROW.size
