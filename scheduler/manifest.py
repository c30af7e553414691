"""The manifest: a whole job in one small document, by content.

It names five Programs and three safetensors blobs by their roots and fixes every number that
decides bits, cost and time. Canonical JSON makes it one byte string per job; its sha256 is what the
escrow stores. `Manifest.parse` accepts bytes from strangers. Whether the blobs fit together is
checked by scheduler/contract.py once they are decoded.
"""

import hashlib
import json
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from scheduler.blob_ref import BlobRef
from scheduler.errors import ManifestError
from scheduler.spec import (
    WEI_MAX,
    Batch,
    Deadline,
    JobName,
    PeersMin,
    Rounds,
    Slots,
    Steps,
    UnitTimeout,
    Wei,
    explain,
)

MANIFEST_VERSION: Literal[2] = 2
MANIFEST_BYTES_MAX = 16 * 1024
ROWS_MAX = 1 << 40
FLOPS_MAX = 1 << 62
BYTES_MAX = 1 << 40
GFLOP = 10**9

Flops = Annotated[int, Field(ge=0, le=FLOPS_MAX)]
Bytes = Annotated[int, Field(ge=1, le=BYTES_MAX)]


class ProgramRefs(BaseModel):
    """The five Programs of a job."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    step: BlobRef
    result: BlobRef
    aggregate: BlobRef
    outer: BlobRef
    evaluate: BlobRef


class Manifest(BaseModel):
    """One job. Frozen and hashable; equal manifests have equal bytes."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    version: Literal[2] = MANIFEST_VERSION
    name: JobName
    rounds: Rounds
    slots: Slots
    steps: Steps
    trace_every: Steps
    batch_rows: Batch
    rows: Annotated[int, Field(ge=1, le=ROWS_MAX)]
    unit_timeout_s: UnitTimeout
    deadline_s: Deadline
    peers_min: PeersMin = 1
    price_wei_per_gflop: Wei
    programs: ProgramRefs
    state: BlobRef
    train: BlobRef
    test: BlobRef

    # Consequences of the Programs, stated so that a peer can price a job before it fetches them.
    # Whoever has the Programs recomputes them and refuses a manifest that lies.
    unit_flops: Flops
    aggregate_flops: Flops
    outer_flops: Flops
    evaluate_flops: Flops
    peak_bytes: Bytes
    result_bytes: Bytes
    aggregate_bytes: Bytes
    checkpoint_bytes: Bytes

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.batch_rows > self.rows:
            raise ValueError(f"batch_rows = {self.batch_rows} must not exceed rows = {self.rows}")
        if self.trace_every > self.steps:
            raise ValueError(
                f"trace_every = {self.trace_every} must not exceed steps = {self.steps}"
            )
        if self.unit_timeout_s > self.deadline_s:
            raise ValueError(
                f"unit_timeout_s = {self.unit_timeout_s} must not exceed "
                f"deadline_s = {self.deadline_s}"
            )
        if self.state.size != self.checkpoint_bytes:
            raise ValueError(
                f"state.size = {self.state.size} must equal "
                f"checkpoint_bytes = {self.checkpoint_bytes}"
            )
        if self.units * self.unit_wei > WEI_MAX:
            raise ValueError("rounds * slots * unit price must be below 2^128 wei")
        return self

    @classmethod
    def parse(cls, data: bytes) -> "Manifest":
        """Decode a stranger's bytes; ManifestError unless they are a valid, canonical manifest."""
        if len(data) > MANIFEST_BYTES_MAX:
            raise ManifestError(
                f"a manifest has at most {MANIFEST_BYTES_MAX} bytes, this has {len(data)}"
            )
        try:
            manifest = cls.model_validate_json(data)
        except ValidationError as error:
            raise ManifestError(f"malformed manifest: {explain(error, 'manifest')}") from error
        if manifest.to_bytes() != data:
            raise ManifestError("the manifest is not in canonical form (sorted keys, no spaces)")
        return manifest

    def to_bytes(self) -> bytes:
        """Canonical JSON: sorted keys, no spaces, UTF-8."""
        return json.dumps(
            self.model_dump(), sort_keys=True, separators=(",", ":"), ensure_ascii=False
        ).encode()

    def digest(self) -> bytes:
        """sha256 of the canonical bytes: what the escrow stores."""
        return hashlib.sha256(self.to_bytes()).digest()

    def ref(self) -> BlobRef:
        """The blob address of the manifest itself."""
        return BlobRef.of(self.to_bytes())

    def blobs(self) -> tuple[BlobRef, ...]:
        """Every blob of the job besides the manifest, each once, in a fixed order."""
        return tuple(dict.fromkeys((*self.needed(), self.train)))

    def needed(self) -> tuple[BlobRef, ...]:
        """What every peer needs whole: all but the training data, of which a unit reads a part."""
        p = self.programs
        return (p.step, p.result, p.aggregate, p.outer, p.evaluate, self.state, self.test)

    @property
    def units(self) -> int:
        """The number of work units of the whole job."""
        return self.rounds * self.slots

    @property
    def unit_wei(self) -> int:
        """What one verified unit earns its worker: its FLOPs at the job's price, rounded up."""
        return -(-self.unit_flops * self.price_wei_per_gflop // GFLOP)

    @property
    def memory_bytes(self) -> int:
        """The memory that a node must give to take part in any role.

        Tensors of the largest Program, and files and arrays of data, results,
        aggregate and checkpoint.
        """
        data = self.state.size + self.train.size + self.test.size
        made = self.slots * self.result_bytes + self.aggregate_bytes + self.checkpoint_bytes
        return self.peak_bytes + 2 * (data + made)

    def trace_steps(self) -> tuple[int, ...]:
        """The step counts after which the trace takes a state root: K, 2K, ..., and H."""
        steps = range(self.trace_every, self.steps + 1, self.trace_every)
        return (*steps,) if self.steps % self.trace_every == 0 else (*steps, self.steps)
