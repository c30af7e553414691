"""Jobs as bytes: from a job file to a manifest with its blobs, and back from a store.

`assemble` reads the submitter's files and blames the submitter (BadInput). `load_job` reads what a
stranger sent and blames the stranger (PeerFault). Both run the same checks: Programs through the
limits of engine.program, tensors through engine.state, all of them through scheduler/contract.py,
and the manifest's figures against the Programs themselves.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from engine import state as tensors
from engine.commitment import BLOB_CHUNK_BYTES
from engine.cost import Cost, cost
from engine.dtypes import from_numpy
from engine.errors import EngineError
from engine.program import Program, TensorType, decode
from engine.validate import DEFAULT_LIMITS
from node.errors import BadInput, PeerFault
from node.files import read_text
from node.rows import Rows, StoredRows, WholeRows, read_layout
from scheduler.blob_ref import BlobRef
from scheduler.contract import Contract, Programs, Sizes, agree, match
from scheduler.errors import ManifestError, SpecError
from scheduler.manifest import GFLOP, MANIFEST_BYTES_MAX, Manifest, ProgramRefs
from scheduler.spec import JobSpec, Price, parse_spec

State = Mapping[str, NDArray[np.generic]]

PROGRAM_NAMES = ("step", "result", "aggregate", "outer", "evaluate")
DATA_NAMES = ("state", "train", "test")
DATA_BYTES_MAX = 8 << 30
AIN_DECIMALS = 18


class Store(Protocol):
    """What a blob store has to offer here; node.blobs.BlobStore does."""

    def put(self, data: bytes) -> BlobRef:
        """Keep bytes and return their address."""
        ...

    def read(self, ref: BlobRef) -> bytes:
        """The bytes at an address, verified."""
        ...

    def chunk(self, ref: BlobRef, index: int) -> bytes:
        """One chunk of a blob that may be here only in part, verified."""
        ...


@dataclass(frozen=True, slots=True)
class Costs:
    """The exact cost of each of a job's Programs, once."""

    step: Cost
    result: Cost
    aggregate: Cost
    outer: Cost
    evaluate: Cost

    @classmethod
    def of(cls, programs: Programs) -> "Costs":
        """Compute them from the tables alone."""
        return cls(
            step=cost(programs.step),
            result=cost(programs.result),
            aggregate=cost(programs.aggregate),
            outer=cost(programs.outer),
            evaluate=cost(programs.evaluate),
        )

    def unit_flops(self, steps: int) -> int:
        """The floating-point operations of a work unit of so many steps."""
        return steps * self.step.flops + self.result.flops

    @property
    def peak_bytes(self) -> int:
        """The memory that tensors of any of the Programs take at most."""
        parts = (self.step, self.result, self.aggregate, self.outer, self.evaluate)
        return max(part.peak_bytes for part in parts)


@dataclass(frozen=True, slots=True)
class Job:
    """A job, decoded and checked: everything that a peer needs to work on it."""

    manifest: Manifest
    programs: Programs
    contract: Contract
    costs: Costs
    state: State
    train: Rows
    test: State


@dataclass(frozen=True, slots=True)
class Bundle:
    """A submitter's job: what its file says, the checked job, and every blob of it.

    What a unit pays and the most that the job may cost are in smallest units of what it is paid in.
    """

    spec: JobSpec
    job: Job
    blobs: tuple[bytes, ...]
    unit_wei: int
    budget_wei: int

    @property
    def manifest(self) -> Manifest:
        """The job's manifest."""
        return self.job.manifest

    def put(self, store: Store) -> BlobRef:
        """Keep all blobs and the manifest in a store; the manifest's address."""
        for blob in self.blobs:
            store.put(blob)
        return store.put(self.manifest.to_bytes())


def assemble(path: Path, decimals: int | None = None) -> Bundle:
    """Read a job file and the files that it names, and check everything that can be checked.

    `decimals`: of the token that it is paid in; needed if that is not AIN and amounts are in whole
    ones. Raises BadInput: which field or file, what is wrong with it, and the rule.
    """
    spec = read_spec(path)
    price = _price_of(path, spec, decimals)
    files = {
        f"{section}.{name}": _read(path.parent, f"{section}.{name}", value)
        for section, paths in (("programs", spec.programs), ("data", spec.data))
        for name, value in paths
    }
    try:
        programs = _decode_programs({name: files[f"programs.{name}"] for name in PROGRAM_NAMES})
        states = {
            name: _decode_tensors(f"data.{name}", files[f"data.{name}"]) for name in DATA_NAMES
        }
        return _draft(spec, price, programs, states)
    except ManifestError as error:
        raise BadInput(f"The job {path} cannot run: {error}") from error


def load_job(store: Store, manifest: BlobRef) -> Job:
    """Read a job from a store that holds all of its blobs.

    Raises PeerFault where anything in it is malformed, does not fit together or lies about cost;
    whatever the store raises where a blob is missing.
    """
    try:
        return _load(store, read_manifest(store, manifest))
    except ManifestError as error:
        raise PeerFault(f"The job {manifest.root[:16]} is malformed: {error}") from error


def read_manifest(store: Store, ref: BlobRef) -> Manifest:
    """Read a manifest alone from a store; PeerFault where it is malformed."""
    try:
        return Manifest.parse(_read_blob(store, ref, MANIFEST_BYTES_MAX))
    except ManifestError as error:
        raise PeerFault(f"The manifest {ref.root[:16]} is malformed: {error}") from error


def decode_state(what: str, data: bytes, expected: Mapping[str, TensorType]) -> State:
    """Decode a stranger's safetensors bytes that must hold exactly the expected tensors.

    Raises PeerFault, naming `what`, where they do not.
    """
    try:
        state = _decode_tensors(what, data)
        match(what, expected, types_of(state))
    except ManifestError as error:
        raise PeerFault(f"The {what} is malformed: {error}") from error
    return state


def types_of(state: State) -> dict[str, TensorType]:
    """The dtype and shape of every tensor of a state."""
    return {
        name: TensorType(from_numpy(array.dtype), tuple(array.shape))
        for name, array in state.items()
    }


def _price_of(path: Path, spec: JobSpec, decimals: int | None) -> Price:
    if decimals is None and spec.budget.token not in ("", "AIN") and not spec.budget.in_units:
        raise BadInput(
            f"The job {path} is priced in whole {spec.budget.token}; only a network knows the "
            "decimals of that.",
            "Use `ainur job quote` in a home, or give price_wei_per_gflop and budget_wei.",
        )
    try:
        return spec.budget.price(AIN_DECIMALS if decimals is None else decimals)
    except SpecError as error:
        raise BadInput(f"The job {path} is not valid: {error}") from error


def _draft(spec: JobSpec, price: Price, programs: Programs, states: Mapping[str, State]) -> Bundle:
    """Make the manifest; data is encoded anew, whatever tool wrote it, to be canonical."""
    training, costs = spec.training, Costs.of(programs)
    train = states["train"]
    rows = len(next(iter(train.values()))) if train and _has_rows(train) else 0
    sizes = Sizes(slots=training.slots, steps=training.steps, batch_rows=training.batch, rows=rows)
    contract = agree(programs, sizes, *(types_of(states[name]) for name in DATA_NAMES))
    data = {name: tensors.encode(state) for name, state in states.items()}
    codes = {name: getattr(programs, name).to_bytes() for name in PROGRAM_NAMES}
    refs = {name: BlobRef.of(blob) for name, blob in data.items()}
    read_layout(refs["train"], data["train"][:BLOB_CHUNK_BYTES])
    figures = _figures(contract, costs, training.steps)
    manifest = Manifest(
        name=spec.name,
        rounds=training.rounds,
        slots=training.slots,
        steps=training.steps,
        trace_every=training.trace_every,
        batch_rows=training.batch,
        rows=rows,
        unit_timeout_s=spec.limits.unit_timeout_s,
        deadline_s=spec.limits.deadline_s,
        peers_min=spec.limits.peers_min,
        # Its whole part: the escrow is told the price of a unit, which peers compare with this.
        price_wei_per_gflop=int(price.per_gflop),
        programs=ProgramRefs(**{name: BlobRef.of(code) for name, code in codes.items()}),
        state=refs["state"],
        train=refs["train"],
        test=refs["test"],
        unit_flops=figures["unit_flops"],
        aggregate_flops=figures["aggregate_flops"],
        outer_flops=figures["outer_flops"],
        evaluate_flops=figures["evaluate_flops"],
        peak_bytes=figures["peak_bytes"],
        result_bytes=figures["result_bytes"],
        aggregate_bytes=figures["aggregate_bytes"],
        checkpoint_bytes=figures["checkpoint_bytes"],
    )
    job = Job(
        manifest, programs, contract, costs, states["state"], WholeRows(train), states["test"]
    )
    return Bundle(
        spec=spec,
        job=job,
        blobs=(*codes.values(), *data.values()),
        unit_wei=ceil(price.per_gflop * figures["unit_flops"] / GFLOP),
        budget_wei=price.budget,
    )


def _load(store: Store, manifest: Manifest) -> Job:
    refs = {name: getattr(manifest.programs, name) for name in PROGRAM_NAMES}
    programs = _decode_programs(
        {name: _read_blob(store, ref, DEFAULT_LIMITS.program_bytes) for name, ref in refs.items()}
    )
    state, test = (
        _decode_tensors(name, _read_blob(store, getattr(manifest, name), DATA_BYTES_MAX))
        for name in ("state", "test")
    )
    train = _open_rows(store, manifest.train)
    sizes = Sizes(manifest.slots, manifest.steps, manifest.batch_rows, manifest.rows)
    contract = agree(programs, sizes, types_of(state), train.types, types_of(test))
    costs = Costs.of(programs)
    for name, value in _figures(contract, costs, manifest.steps).items():
        if getattr(manifest, name) != value:
            raise ManifestError(f"{name} = {getattr(manifest, name)}, the Programs say {value}")
    return Job(manifest, programs, contract, costs, state, train, test)


def _figures(contract: Contract, costs: Costs, steps: int) -> dict[str, int]:
    """The consequences of the Programs that a manifest states."""
    return {
        "unit_flops": costs.unit_flops(steps),
        "aggregate_flops": costs.aggregate.flops,
        "outer_flops": costs.outer.flops,
        "evaluate_flops": costs.evaluate.flops,
        "peak_bytes": costs.peak_bytes,
        "result_bytes": tensors.encoded_bytes(contract.result),
        "aggregate_bytes": tensors.encoded_bytes(contract.aggregate),
        "checkpoint_bytes": tensors.encoded_bytes(contract.round_state),
    }


def _open_rows(store: Store, ref: BlobRef) -> StoredRows:
    """The training data, of which only what a unit reads need be here."""
    if ref.size > DATA_BYTES_MAX:
        raise ManifestError(f"training data of {ref.size} bytes is over {DATA_BYTES_MAX}")
    try:
        return StoredRows(store, ref)
    except ManifestError as error:
        raise ManifestError(f"train: {error}") from error


def _has_rows(train: State) -> bool:
    return all(array.ndim for array in train.values())


def read_spec(path: Path) -> JobSpec:
    """What a job file says; BadInput with a line for each wrong field."""
    text = read_text(path, "job file")
    try:
        return parse_spec(text)
    except SpecError as error:
        raise BadInput(f"The job file {path} is wrong:\n{error}") from error


def _read(folder: Path, field: str, relative: str) -> bytes:
    """The bytes of a file that a job file names."""
    path = folder / relative
    try:
        size = path.stat().st_size
        if size > DATA_BYTES_MAX:
            raise BadInput(f"{field} = {relative!r}: {size} bytes, may have {DATA_BYTES_MAX}")
        return path.read_bytes()
    except OSError as error:
        reason = error.strerror or str(error)
        raise BadInput(f"{field} = {relative!r}: {path} cannot be read: {reason}") from error


def _read_blob(store: Store, ref: BlobRef, bytes_max: int) -> bytes:
    if ref.size > bytes_max:
        raise ManifestError(f"blob {ref.root[:16]} of {ref.size} bytes is over {bytes_max}")
    return store.read(ref)


def _decode_programs(codes: Mapping[str, bytes]) -> Programs:
    programs: dict[str, Program] = {}
    for name, code in codes.items():
        try:
            programs[name] = decode(code)
        except EngineError as error:
            raise ManifestError(f"program {name}: {error}") from error
    return Programs(**programs)


def _decode_tensors(what: str, data: bytes) -> State:
    try:
        return tensors.decode(data)
    except EngineError as error:
        raise ManifestError(f"{what}: {error}") from error
