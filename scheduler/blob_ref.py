"""The address of a blob: the root over its chunks and its size in bytes.

A blob is any file the network moves: a program, a dataset, a state, a unit's result. Root and size
together fix the number of chunks and the length of the last one (docs/spec/protocol.md, section 2).
"""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from engine.commitment import BLOB_CHUNK_BYTES, blob_root

BLOB_BYTES_MAX = 1 << 40


class BlobRef(BaseModel):
    """Root (64 lowercase hex digits) and size of a blob. Hashable; equal refs name equal bytes."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    root: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    size: Annotated[int, Field(ge=0, le=BLOB_BYTES_MAX)]

    @classmethod
    def of(cls, data: bytes | memoryview) -> "BlobRef":
        """The address of these bytes."""
        return cls(root=blob_root(data).hex(), size=memoryview(data).nbytes)

    @property
    def chunk_count(self) -> int:
        """The number of chunks; one for an empty blob."""
        return max(1, -(-self.size // BLOB_CHUNK_BYTES))

    def chunk_bytes(self, index: int) -> int:
        """The length of chunk `index`; the last one may be short."""
        if not 0 <= index < self.chunk_count:
            raise IndexError(f"chunk {index} of a blob with {self.chunk_count} chunks")
        return min(BLOB_CHUNK_BYTES, self.size - index * BLOB_CHUNK_BYTES)
