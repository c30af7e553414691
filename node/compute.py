"""The supervisor of the compute worker: OpenCL runs in a process of its own.

A driver that crashes, hangs or eats all memory takes the worker with it, never the node: the one
request it was working on raises, the next one starts a fresh worker. Requests are done one at a
time, at most `QUEUE_MAX` may wait: in the order of their arrival, but units, which take long, after
what takes moments. A cancelled request kills the worker if it had already begun, because a kernel
cannot be interrupted otherwise. The worker dies with us: it leaves when its stdin ends (see
node/worker.py).
"""

import os
import subprocess
import sys
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypeVar

import trio

from node.blobs import BlobMissing
from node.compute_messages import (
    ANSWER,
    LENGTH_BYTES,
    AggregateDone,
    AggregateRound,
    Answer,
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
from node.device_fault import read_fault, write_fault
from node.errors import FaultyDevice, NodeError, NoDevice, PeerFault
from scheduler.blob_ref import BlobRef

QUEUE_MAX = 64
START_TIMEOUT_S = 120.0
REQUEST_TIMEOUT_S = 600.0
BACKOFF_FIRST_S, BACKOFF_MAX_S = 0.25, 30.0
READ_BYTES = 64 * 1024
LOG_TAIL_BYTES = 500
RATE_UNITS = 16
"""GFLOP/s is an average over this many last units."""

AnswerType = TypeVar("AnswerType", bound=Answer)


class ComputeError(NodeError):
    """This request is lost; another one may succeed."""


class ComputeCrashed(ComputeError):
    """The worker process died while it worked on a request, or could not be started."""


class ComputeTimeout(ComputeError):
    """The worker did not answer in time and was killed."""


class ComputeBusy(ComputeError):
    """Too many requests are waiting."""


class DoesNotFit(NodeError):
    """A job needs more memory than this node gives; the message has the figure and the limit."""


@dataclass(frozen=True, slots=True)
class Combination:
    """What a round's results were made into."""

    aggregate: BlobRef
    step: OuterDone


class Compute:
    """A compute worker and the queue before it; an async context manager.

    `device` is a selector of engine.backend.open_backend. `memory_bytes` bounds a job's tensors.
    The worker's diagnostics go to the file `log`, or to our stderr. A device that returned wrong
    bits is marked in the file `fault` and computes no unit until the mark is gone.
    """

    def __init__(
        self,
        store: Path,
        *,
        device: str = "",
        memory_bytes: int = 4 << 30,
        worker_module: str = "node.worker",
        log: Path | None = None,
        fault: Path | None = None,
        timeout_s: float = REQUEST_TIMEOUT_S,
    ) -> None:
        self._command = [sys.executable, "-m", worker_module, "--store", str(store)]
        self._command += ["--device", device, "--memory-bytes", str(memory_bytes)]
        self._log, self._fault = log, fault
        self._timeout_s = timeout_s
        self._turn, self._unit_turn = trio.Lock(), trio.Lock()
        self._waiting = 0
        self._worker: _Worker | None = None
        self._crashes = 0
        self._retry_at = -float("inf")
        self._recent: deque[tuple[int, float]] = deque(maxlen=RATE_UNITS)
        self.device = ""
        self.flops = 0
        self.seconds = 0.0
        self.restarts = 0

    async def __aenter__(self) -> Self:
        async with self._turn:
            await self._ensure_worker()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._kill()

    async def load(self, manifest: BlobRef, *, timeout_s: float | None = None) -> Loaded:
        """Check a whole job and build its kernels, so that the first unit is as fast as any.

        Like every request: raises PeerFault where a stranger's bytes are wrong, BlobMissing where
        one is not in the store, DoesNotFit where the job needs too much memory, ComputeError where
        the worker was lost.
        """
        return await self._ask(LoadJob(manifest=manifest), Loaded, timeout_s)

    async def run_unit(
        self,
        manifest: BlobRef,
        checkpoint: BlobRef,
        round: int,
        slot: int,
        *,
        audit: bool = False,
        timeout_s: float | None = None,
    ) -> UnitDone:
        """Compute one unit; its result blob is in the store when this returns.

        FaultyDevice, now and from now on, where the device returned wrong bits.
        """
        if self.fault:
            raise FaultyDevice(self.fault)
        request = ComputeUnit(
            kind="audit" if audit else "unit",
            manifest=manifest,
            checkpoint=checkpoint,
            round=round,
            slot=slot,
        )
        async with self._in_turn(is_unit=True):
            done = await self._answer(request, UnitDone, timeout_s)
        self._recent.append((done.flops, done.seconds))
        self.flops += done.flops
        self.seconds += done.seconds
        return done

    async def aggregate(
        self, manifest: BlobRef, checkpoint: BlobRef, results: Sequence[BlobRef]
    ) -> BlobRef:
        """The aggregate of all results of a round, in slot order; its blob is in the store."""
        request = AggregateRound(manifest=manifest, checkpoint=checkpoint, results=tuple(results))
        return (await self._ask(request, AggregateDone, None)).aggregate

    async def outer(self, manifest: BlobRef, checkpoint: BlobRef, aggregate: BlobRef) -> OuterDone:
        """Make the next checkpoint from this one and the round's aggregate."""
        request = OuterStep(manifest=manifest, checkpoint=checkpoint, aggregate=aggregate)
        return await self._ask(request, OuterDone, None)

    async def evaluate(
        self, manifest: BlobRef, checkpoint: BlobRef, *, timeout_s: float | None = None
    ) -> dict[str, float]:
        """A checkpoint's metrics on the evaluation data."""
        request = EvaluateCheckpoint(manifest=manifest, checkpoint=checkpoint)
        return (await self._ask(request, EvaluateDone, timeout_s)).metrics

    async def check_result(self, manifest: BlobRef, blob: BlobRef) -> bytes:
        """The state root of a well-formed result blob; PeerFault where it is none."""
        request = CheckBlob(kind="check_result", manifest=manifest, blob=blob)
        return (await self._ask(request, BlobChecked, None)).root

    async def combine(
        self,
        manifest: BlobRef,
        checkpoint: BlobRef,
        results: Sequence[BlobRef],
        roots: Sequence[bytes],
    ) -> Combination:
        """What results with these roots lead to from a checkpoint; no request comes between.

        PeerFault where one is malformed or has another root.
        """
        checks = [CheckBlob(kind="check_result", manifest=manifest, blob=blob) for blob in results]
        together = AggregateRound(manifest=manifest, checkpoint=checkpoint, results=tuple(results))
        async with self._in_turn():
            for slot, (check, root) in enumerate(zip(checks, roots, strict=True)):
                if (await self._answer(check, BlobChecked, None)).root != root:
                    raise PeerFault(f"the result blob of slot {slot} is not the claimed one")
            aggregate = (await self._answer(together, AggregateDone, None)).aggregate
            step = OuterStep(manifest=manifest, checkpoint=checkpoint, aggregate=aggregate)
            return Combination(aggregate, await self._answer(step, OuterDone, None))

    async def check_checkpoint(self, manifest: BlobRef, blob: BlobRef) -> bytes:
        """The state root of a well-formed checkpoint blob; PeerFault where it is none."""
        request = CheckBlob(kind="check_checkpoint", manifest=manifest, blob=blob)
        return (await self._ask(request, BlobChecked, None)).root

    @property
    def pid(self) -> int | None:
        """The worker's process id; None while there is none."""
        return None if self._worker is None else self._worker.pid

    @property
    def fault(self) -> str:
        """What the device did wrong, while it is marked for it; "" for a sound one."""
        return "" if self._fault is None else read_fault(self._fault, self.device)

    @property
    def waiting(self) -> int:
        """Requests that have not been answered yet."""
        return self._waiting

    @property
    def gflops(self) -> float:
        """10^9 floating-point operations per second over the last units; 0.0 before the first."""
        seconds = sum(taken for _, taken in self._recent)
        return sum(flops for flops, _ in self._recent) / seconds / 1e9 if seconds else 0.0

    async def _ask(
        self, request: Request, expected: type[AnswerType], timeout_s: float | None
    ) -> AnswerType:
        async with self._in_turn():
            return await self._answer(request, expected, timeout_s)

    @asynccontextmanager
    async def _in_turn(self, *, is_unit: bool = False) -> AsyncIterator[None]:
        """Wait for the worker, and have it until the end. ComputeBusy where too many wait."""
        if self._waiting >= QUEUE_MAX:
            raise ComputeBusy(f"{self._waiting} requests wait for the device already.")
        self._waiting += 1
        try:
            # A unit that waits does so before the queue, not in it, while another is computed.
            async with self._unit_turn if is_unit else nullcontext(), self._turn:
                yield
        finally:
            self._waiting -= 1

    async def _answer(
        self, request: Request, expected: type[AnswerType], timeout_s: float | None
    ) -> AnswerType:
        worker = await self._ensure_worker()
        # Who gave up while it waited has asked nothing: the worker need not die for it.
        await trio.lowlevel.checkpoint_if_cancelled()
        answer = await self._exchange(worker, request, timeout_s or self._timeout_s)
        if isinstance(answer, Failed):
            if answer.blame == "faulty" and self._fault is not None:
                write_fault(self._fault, self.device, answer.message)
            raise _blamed(answer)
        if not isinstance(answer, expected):
            raise ComputeCrashed(f"The compute worker answered {answer.kind} to {request.kind}.")
        return answer

    async def _exchange(self, worker: "_Worker", request: Request, timeout_s: float) -> Answer:
        """Ask the worker; it does not survive a request that did not end in an answer."""
        answered = False
        try:
            with trio.fail_after(timeout_s):
                answer = await worker.ask(request)
            answered = True
        except trio.TooSlowError:
            raise ComputeTimeout(
                f"The compute worker did not finish {request.kind} within {timeout_s:g} s.",
                "It was stopped; a new one starts with the next request.",
            ) from None
        except (trio.BrokenResourceError, trio.ClosedResourceError, EOFError, ValueError):
            raise ComputeCrashed(
                f"The compute worker died while it worked on {request.kind}: "
                f"{await worker.epitaph()}.",
                "A new one starts with the next request.",
            ) from None
        finally:
            if answered:
                self._crashes = 0
            else:
                self._note_crash()
                await self._kill()
        return answer

    async def _ensure_worker(self) -> "_Worker":
        if self._worker is None:
            await trio.sleep_until(self._retry_at)
            self._worker = worker = await _Worker.start(self._command, self._log)
            await self._greet(worker)
        return self._worker

    async def _greet(self, worker: "_Worker") -> None:
        """Wait until a new worker has opened and checked its device."""
        greeted = False
        try:
            with trio.fail_after(START_TIMEOUT_S):
                answer = await worker.receive()
            if isinstance(answer, Failed):
                raise NoDevice(answer.message, "List the devices: ainur node devices.")
            if not isinstance(answer, Ready):
                raise ComputeCrashed(f"The compute worker began with {answer.kind}.")
            self.device = answer.device
            greeted = True
        except trio.TooSlowError:
            raise ComputeTimeout(
                f"The compute worker did not start within {START_TIMEOUT_S:g} s."
            ) from None
        except (trio.BrokenResourceError, EOFError, ValueError):
            raise ComputeCrashed(
                f"The compute worker died while it started: {await worker.epitaph()}."
            ) from None
        finally:
            if not greeted:
                self._note_crash()
                await self._kill()

    def _note_crash(self) -> None:
        """Put off the next start: a worker that keeps dying is tried ever more rarely."""
        delay = min(BACKOFF_FIRST_S * 2**self._crashes, BACKOFF_MAX_S)
        self._crashes = min(self._crashes + 1, 16)
        self._retry_at = trio.current_time() + delay
        self.restarts += 1

    async def _kill(self) -> None:
        worker, self._worker = self._worker, None
        if worker is not None:
            with trio.CancelScope(shield=True):
                await worker.kill()


class _Worker:
    """One worker process and its pipe."""

    def __init__(self, process: trio.Process, log: Path | None) -> None:
        assert process.stdin is not None  # asked for in start()
        assert process.stdout is not None
        self._process, self._log = process, log
        self._stdin, self._stdout = process.stdin, process.stdout
        self._received = bytearray()

    @classmethod
    async def start(cls, command: list[str], log: Path | None) -> "_Worker":
        # Our settings, a password perhaps, are none of its business: it runs strangers' jobs.
        environment = {k: v for k, v in os.environ.items() if not k.startswith("AINUR_")}
        # It imports from where we import, wherever we were started.
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
        diagnostics = None if log is None else log.open("wb")
        try:
            process = await trio.lowlevel.open_process(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=diagnostics,
                env=environment,
                start_new_session=True,  # Ctrl-C in a terminal is for us, not for the worker
            )
        except OSError as error:
            raise ComputeCrashed(f"The compute worker cannot be started: {error}.") from error
        finally:
            if diagnostics is not None:
                diagnostics.close()
        return cls(process, log)

    @property
    def pid(self) -> int:
        return self._process.pid

    async def ask(self, request: Request) -> Answer:
        await self._stdin.send_all(frame(request))
        return await self.receive()

    async def receive(self) -> Answer:
        """The next answer; EOFError at the end, ValueError for anything that is no answer."""
        length = frame_length(await self._read(LENGTH_BYTES))
        return ANSWER.validate_json(await self._read(length))

    async def _read(self, count: int) -> bytes:
        while len(self._received) < count:
            data = await self._stdout.receive_some(READ_BYTES)
            if not data:
                raise EOFError
            self._received += data
        data = bytes(self._received[:count])
        del self._received[:count]
        return data

    async def epitaph(self) -> str:
        """Why the process ended, in words, with the end of its log. It is killed if it has not."""
        with trio.CancelScope(shield=True):
            await self.kill()
        status = self._process.returncode or 0
        cause = f"signal {-status}" if status < 0 else f"exit status {status}"
        if self._log is None:
            return cause
        text = self._log.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace")
        tail = " | ".join(line.strip() for line in text.splitlines() if line.strip())
        return f"{cause}; its last words: {tail}" if tail else cause

    async def kill(self) -> None:
        """End the process, if it runs, and wait for it."""
        with trio.move_on_after(0.2):
            await self._stdin.aclose()
            await self._process.wait()
        self._process.kill()
        await self._process.wait()
        await self._stdout.aclose()


def _blamed(failed: Failed) -> NodeError:
    match failed.blame:
        case "input":
            return PeerFault(failed.message)
        case "memory":
            return DoesNotFit(failed.message, "Raise the node's memory limit or leave this job.")
        case "missing":
            return BlobMissing(failed.message)
        case "faulty":
            return FaultyDevice(failed.message)
        case "device" | "store":
            return ComputeError(failed.message)
