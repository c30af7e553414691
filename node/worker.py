"""The compute worker: the only process of a node that touches OpenCL.

`python -m node.worker --store FOLDER --device SELECTOR --memory-bytes N` opens a device, checks its
bits against the golden vectors, says `Ready` on stdout and then answers requests from stdin one by
one (node/compute_messages.py). Blobs come from and go to the store. It leaves at once when stdin
ends, so it never outlives its supervisor, and it refuses a job that needs more than N bytes before
it allocates any. What strangers got wrong becomes an answer; a driver's crash is the supervisor's.
"""

import argparse
import os
import queue
import sys
import threading
import time
from collections import OrderedDict
from pathlib import Path
from random import Random, SystemRandom
from typing import BinaryIO

from pydantic import ValidationError

from engine import state as tensors
from engine.backend import Backend, open_backend
from engine.commitment import state_root
from engine.errors import DeviceError
from engine.program import TensorType
from node.blobs import BlobMissing, BlobStore
from node.bundle import State, decode_state, load_job, read_manifest
from node.compute_messages import (
    LENGTH_BYTES,
    MESSAGE_CHARACTERS_MAX,
    REQUEST,
    AggregateDone,
    AggregateRound,
    Answer,
    Blame,
    BlobChecked,
    CheckBlob,
    ComputeUnit,
    EvaluateCheckpoint,
    EvaluateDone,
    Failed,
    Loaded,
    LoadJob,
    OuterDone,
    OuterStep,
    Ready,
    Request,
    UnitDone,
    frame,
    frame_length,
)
from node.errors import FaultyDevice, NodeError, PeerFault
from node.execution import LoadedJob, UnitOutput, aggregate, build, evaluate, outer, run_unit
from node.memory import limit_memory
from scheduler.blob_ref import BlobRef
from scheduler.manifest import Manifest
from scheduler.windows import window

JOBS_KEPT = 2
"""Jobs whose kernels and data stay loaded."""

REQUESTS_WAITING_MAX = 2

REFERENCE = "reference"
"""The backend that need not be compared with itself."""


class TooLarge(NodeError):
    """A job needs more memory than this worker may use."""


class Worker:
    """Answers requests over one backend and one store. A faulty worker overrides `unit`.

    With `random` a sample of every unit is recomputed on the reference (node/self_check.py).
    """

    def __init__(
        self, store: BlobStore, backend: Backend, memory_bytes: int, random: Random | None = None
    ) -> None:
        self._store, self._backend, self._memory_bytes = store, backend, memory_bytes
        self._random = random
        self._jobs: OrderedDict[BlobRef, LoadedJob] = OrderedDict()
        self._checkpoint: tuple[BlobRef, BlobRef, State] | None = None

    def unit(
        self, kind: str, loaded: LoadedJob, checkpoint: State, round: int, slot: int
    ) -> UnitOutput:
        """Compute a unit; `kind` is "unit" for our own work and "audit" for another's."""
        return run_unit(loaded, checkpoint, round, slot)

    def answer(self, request: Request) -> Answer:
        """Do what a request asks; a failure with a known culprit is an answer too."""
        try:
            return self._dispatch(request)
        except TooLarge as error:
            return _failed("memory", error)
        except PeerFault as error:
            return _failed("input", error)
        except MemoryError as error:
            return _failed("memory", error)
        except DeviceError as error:
            return _failed("device", error)
        except FaultyDevice as error:
            return _failed("faulty", error)
        except BlobMissing as error:
            return _failed("missing", error)
        except (NodeError, OSError) as error:
            return _failed("store", error)

    def _dispatch(self, request: Request) -> Answer:
        started = time.perf_counter()
        loaded = self._load(request.manifest)
        match request:
            case LoadJob():
                return Loaded(seconds=time.perf_counter() - started)
            case ComputeUnit():
                return self._unit(request, loaded)
            case AggregateRound():
                return self._aggregate(request, loaded)
            case OuterStep():
                return self._outer(request, loaded)
            case EvaluateCheckpoint():
                checkpoint = self._read_checkpoint(request.checkpoint, loaded, request.manifest)
                metrics = evaluate(loaded, checkpoint)
                return EvaluateDone(metrics=metrics, seconds=time.perf_counter() - started)
            case CheckBlob():
                return self._check(request, loaded)

    def _unit(self, request: ComputeUnit, loaded: LoadedJob) -> UnitDone:
        started = time.perf_counter()
        try:
            window(loaded.job.manifest, request.round, request.slot, 0)
        except ValueError as error:
            raise PeerFault(f"The job has no such unit: {error}") from error
        checkpoint = self._read_checkpoint(request.checkpoint, loaded, request.manifest)
        output = self.unit(request.kind, loaded, checkpoint, request.round, request.slot)
        return UnitDone(
            result=self._store.put(tensors.encode(output.result)),
            result_root=output.result_root,
            trace_root=output.trace_root,
            metrics=output.metrics,
            seconds=time.perf_counter() - started,
            flops=loaded.job.manifest.unit_flops,
        )

    def _aggregate(self, request: AggregateRound, loaded: LoadedJob) -> AggregateDone:
        started = time.perf_counter()
        slots, expected = loaded.job.manifest.slots, loaded.job.contract.result
        if len(request.results) != slots:
            raise PeerFault(f"There are {len(request.results)} results for {slots} slots.")
        checkpoint = self._read_checkpoint(request.checkpoint, loaded, request.manifest)
        results = [
            self._read(f"result of slot {slot}", ref, expected)
            for slot, ref in enumerate(request.results)
        ]
        made = aggregate(loaded, checkpoint, results)
        return AggregateDone(
            aggregate=self._store.put(tensors.encode(made)), seconds=time.perf_counter() - started
        )

    def _outer(self, request: OuterStep, loaded: LoadedJob) -> OuterDone:
        started = time.perf_counter()
        checkpoint = self._read_checkpoint(request.checkpoint, loaded, request.manifest)
        expected = loaded.job.contract.aggregate
        following = outer(loaded, checkpoint, self._read("aggregate", request.aggregate, expected))
        made = self._store.put(tensors.encode(following))
        # The next unit starts from it; the device may want the memory of its outputs again.
        kept = {name: array.copy() for name, array in following.items()}
        self._checkpoint = (request.manifest, made, kept)
        return OuterDone(
            checkpoint=made,
            root=state_root(following),
            seconds=time.perf_counter() - started,
        )

    def _check(self, request: CheckBlob, loaded: LoadedJob) -> BlobChecked:
        contract = loaded.job.contract
        is_result = request.kind == "check_result"
        expected = contract.result if is_result else contract.round_state
        state = self._read("result" if is_result else "checkpoint", request.blob, expected)
        return BlobChecked(root=state_root(state))

    def _load(self, ref: BlobRef) -> LoadedJob:
        if ref in self._jobs:
            self._jobs.move_to_end(ref)
            return self._jobs[ref]
        self._check_fits(read_manifest(self._store, ref))
        while len(self._jobs) >= JOBS_KEPT:
            self._jobs.popitem(last=False)
        self._jobs[ref] = loaded = build(self._backend, load_job(self._store, ref), self._random)
        return loaded

    def _check_fits(self, manifest: Manifest) -> None:
        needed = manifest.memory_bytes
        if needed > self._memory_bytes:
            raise TooLarge(
                f"The job {manifest.name} needs {needed} bytes of memory, "
                f"this node gives {self._memory_bytes}."
            )

    def _read_checkpoint(self, ref: BlobRef, loaded: LoadedJob, manifest: BlobRef) -> State:
        """A round state; the last one read or made is kept: the units of a round share it."""
        if self._checkpoint is None or self._checkpoint[:2] != (manifest, ref):
            state = self._read("checkpoint", ref, loaded.job.contract.round_state)
            self._checkpoint = (manifest, ref, state)
        return self._checkpoint[2]

    def _read(self, what: str, ref: BlobRef, expected: dict[str, TensorType]) -> State:
        if ref.size != tensors.encoded_bytes(expected):
            raise PeerFault(
                f"The {what} has {ref.size} bytes, must have {tensors.encoded_bytes(expected)}."
            )
        return decode_state(what, self._store.read(ref), expected)


def main(worker_type: type[Worker] = Worker) -> None:
    """Serve requests until stdin ends."""
    parser = argparse.ArgumentParser(prog="node.worker")
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--device", default="")
    parser.add_argument("--memory-bytes", type=int, required=True)
    options = parser.parse_args()
    output = _take_stdout()
    requests: queue.Queue[Request] = queue.Queue(REQUESTS_WAITING_MAX)
    threading.Thread(target=_read_requests, args=(requests,), daemon=True).start()
    limit_memory(options.memory_bytes)
    try:
        backend = open_backend(options.device)
    except DeviceError as error:
        _send(output, _failed("device", error))
        sys.exit(1)
    _send(output, Ready(device=backend.name))
    random = None if backend.name == REFERENCE else SystemRandom()
    worker = worker_type(BlobStore(options.store), backend, options.memory_bytes, random)
    while True:
        _send(output, worker.answer(requests.get()))


def _take_stdout() -> BinaryIO:
    """Keep stdout for answers alone: whatever a driver prints goes to stderr."""
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return output


def _read_requests(requests: "queue.Queue[Request]") -> None:
    """Runs beside the work, so that the end of stdin is noticed in the middle of a unit."""
    while True:
        payload = _read_frame(sys.stdin.buffer)
        if payload is None:
            os._exit(0)
        try:
            requests.put(REQUEST.validate_json(payload))
        except ValidationError as error:
            print(f"not a request: {error}", file=sys.stderr, flush=True)
            os._exit(2)


def _read_frame(stream: BinaryIO) -> bytes | None:
    header = stream.read(LENGTH_BYTES)
    if len(header) < LENGTH_BYTES:
        return None
    length = frame_length(header)
    payload = stream.read(length)
    return payload if len(payload) == length else None


def _send(output: BinaryIO, answer: Answer) -> None:
    output.write(frame(answer))
    output.flush()


def _failed(blame: Blame, error: Exception) -> Failed:
    message = str(error) or type(error).__name__
    return Failed(blame=blame, message=message[:MESSAGE_CHARACTERS_MAX])


if __name__ == "__main__":
    main()
