"""What the daemon and its compute worker say to each other.

One request, one answer, over the worker's stdin and stdout: frames of u32be length and JSON. The
worker speaks first: `Ready`, or `Failed` where it cannot work. Tensors never travel here; both ends
read and write them as blobs in the same store.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from scheduler.blob_ref import BlobRef

FRAME_BYTES_MAX = 1 << 20
LENGTH_BYTES = 4
MESSAGE_CHARACTERS_MAX = 2000


class _Message(BaseModel):
    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="forbid",
        ser_json_bytes="hex",
        val_json_bytes="hex",
        ser_json_inf_nan="constants",  # a diverged loss is NaN, and must arrive as such
    )


class LoadJob(_Message):
    """Check a job and build its kernels."""

    kind: Literal["load"] = "load"
    manifest: BlobRef


class ComputeUnit(_Message):
    """Compute one work unit: as our own work, or to audit another's. The same computation."""

    kind: Literal["unit", "audit"]
    manifest: BlobRef
    checkpoint: BlobRef
    round: int
    slot: int


class AggregateRound(_Message):
    """Aggregate a round's results, in slot order."""

    kind: Literal["aggregate"] = "aggregate"
    manifest: BlobRef
    checkpoint: BlobRef
    results: tuple[BlobRef, ...]


class OuterStep(_Message):
    """Make the next checkpoint from this one and the round's aggregate."""

    kind: Literal["outer"] = "outer"
    manifest: BlobRef
    checkpoint: BlobRef
    aggregate: BlobRef


class EvaluateCheckpoint(_Message):
    """Compute the metrics of a checkpoint on the evaluation data."""

    kind: Literal["evaluate"] = "evaluate"
    manifest: BlobRef
    checkpoint: BlobRef


class CheckBlob(_Message):
    """Check that a blob is a well-formed result or checkpoint of the job and compute its root."""

    kind: Literal["check_result", "check_checkpoint"]
    manifest: BlobRef
    blob: BlobRef


Request = LoadJob | ComputeUnit | AggregateRound | OuterStep | EvaluateCheckpoint | CheckBlob


class Ready(_Message):
    """The worker opened its device, which returned the defined bits."""

    kind: Literal["ready"] = "ready"
    device: str


class Loaded(_Message):
    """The job is well-formed, fits, and its kernels are built."""

    kind: Literal["loaded"] = "loaded"
    seconds: float


class UnitDone(_Message):
    """One unit's outcome. The trace root stays with us until an audit is committed."""

    kind: Literal["unit_done"] = "unit_done"
    result: BlobRef
    result_root: bytes
    trace_root: bytes
    metrics: dict[str, float]
    seconds: float
    flops: int


class AggregateDone(_Message):
    """The aggregate of a round."""

    kind: Literal["aggregate_done"] = "aggregate_done"
    aggregate: BlobRef
    seconds: float


class OuterDone(_Message):
    """The next checkpoint: its blob, and the state root that the chain will hold."""

    kind: Literal["outer_done"] = "outer_done"
    checkpoint: BlobRef
    root: bytes
    seconds: float


class EvaluateDone(_Message):
    """A checkpoint's metrics."""

    kind: Literal["evaluate_done"] = "evaluate_done"
    metrics: dict[str, float]
    seconds: float


class BlobChecked(_Message):
    """The blob is well-formed; this is its state root."""

    kind: Literal["blob_checked"] = "blob_checked"
    root: bytes


Blame = Literal["input", "memory", "device", "faulty", "missing", "store"]


class Failed(_Message):
    """The request could not be done, and whose doing that is."""

    kind: Literal["failed"] = "failed"
    blame: Blame
    message: Annotated[str, Field(max_length=MESSAGE_CHARACTERS_MAX)]


Answer = Ready | Loaded | UnitDone | AggregateDone | OuterDone | EvaluateDone | BlobChecked | Failed

REQUEST: TypeAdapter[Request] = TypeAdapter(Annotated[Request, Field(discriminator="kind")])
ANSWER: TypeAdapter[Answer] = TypeAdapter(Annotated[Answer, Field(discriminator="kind")])


def frame(message: Request | Answer) -> bytes:
    """The bytes on the pipe; ValueError where a message is over the bound."""
    payload = message.model_dump_json().encode()
    if len(payload) > FRAME_BYTES_MAX:
        raise ValueError(f"a message of {len(payload)} bytes is over {FRAME_BYTES_MAX}")
    return len(payload).to_bytes(LENGTH_BYTES, "big") + payload


def frame_length(header: bytes) -> int:
    """The payload length that a header announces; ValueError where it is over the bound."""
    length = int.from_bytes(header, "big")
    if len(header) != LENGTH_BYTES or length > FRAME_BYTES_MAX:
        raise ValueError(f"frame header {header.hex()!r} is cut short or over the bound")
    return length
