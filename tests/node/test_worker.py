"""The compute worker: its answers, its refusals, and the real process behind a supervisor."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from engine import state as tensors
from engine.backend import list_devices, open_backend
from engine.commitment import state_root
from engine.errors import DeviceError
from node.blobs import BlobMissing, BlobStore
from node.bundle import Bundle, State
from node.compute import Compute, DoesNotFit
from node.compute_messages import (
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
    UnitDone,
)
from node.errors import NoDevice, PeerFault
from node.execution import LoadedJob, UnitOutput, build, combine, evaluate, run_unit
from node.worker import Worker
from scheduler.blob_ref import BlobRef

MEMORY = 1 << 30


class Desk:
    """A worker over a store that holds the tiny job."""

    def __init__(self, tiny: Bundle, folder: Path, memory_bytes: int = MEMORY) -> None:
        self.store = BlobStore(folder)
        self.manifest = tiny.put(self.store)
        self.start = tiny.manifest.state
        self.worker = Worker(self.store, open_backend("reference"), memory_bytes)

    def unit(self, slot: int, checkpoint: BlobRef | None = None, round: int = 0) -> Answer:
        """Ask for a unit."""
        request = ComputeUnit(
            kind="unit",
            manifest=self.manifest,
            checkpoint=checkpoint or self.start,
            round=round,
            slot=slot,
        )
        return self.worker.answer(request)

    def aggregate(self, *results: BlobRef) -> Answer:
        """Ask for the aggregate."""
        request = AggregateRound(manifest=self.manifest, checkpoint=self.start, results=results)
        return self.worker.answer(request)

    def outer(self, aggregate: BlobRef) -> Answer:
        """Ask for the next checkpoint."""
        request = OuterStep(manifest=self.manifest, checkpoint=self.start, aggregate=aggregate)
        return self.worker.answer(request)


@pytest.fixture
def desk(tiny: Bundle, tmp_path: Path) -> Desk:
    """A worker with enough memory."""
    return Desk(tiny, tmp_path / "store")


@pytest.fixture(scope="module")
def loaded(tiny: Bundle) -> LoadedJob:
    """What the worker must agree with."""
    return build(open_backend("reference"), tiny.job)


def test_a_unit_needs_only_its_chunks(wide: Bundle, tmp_path: Path) -> None:
    """With the first and the sixth of seven the unit has its bits; without one it is missing."""
    whole, train = Desk(wide, tmp_path / "whole"), wide.manifest.train
    part = Desk(wide, tmp_path / "part")
    expected = whole.unit(2)
    assert isinstance(expected, UnitDone)
    for chunks in ({0}, {0, 5}):
        part.store.remove(train)
        with part.store.begin(train, whole.store.chunk_hashes(train), chunks) as partial:
            for index in chunks:
                partial.write_chunk(index, whole.store.chunk(train, index))
        if chunks == {0}:
            assert "Chunk 5" in failed(part.unit(2), "missing")
    done = part.unit(2)
    assert isinstance(done, UnitDone)
    assert (done.result_root, done.trace_root) == (expected.result_root, expected.trace_root)


def failed(answer: Answer, blame: str) -> str:
    """The message of a failure with this culprit."""
    assert isinstance(answer, Failed), answer
    assert answer.blame == blame
    return answer.message


def test_a_round_through_the_worker_is_the_round(desk: Desk, loaded: LoadedJob) -> None:
    """Roots are those of node/execution.py; blobs hold what the roots say."""
    state, outputs, refs = loaded.job.state, [], []
    for slot in range(3):
        done, output = desk.unit(slot), run_unit(loaded, loaded.job.state, 0, slot)
        assert isinstance(done, UnitDone)
        assert (done.result_root, done.trace_root) == (output.result_root, output.trace_root)
        assert (done.metrics, done.flops) == (output.metrics, loaded.job.manifest.unit_flops)
        assert state_root(tensors.decode(desk.store.read(done.result))) == done.result_root
        outputs.append(output.result)
        refs.append(done.result)
    following = combine(loaded, state, outputs)
    aggregated = desk.aggregate(*refs)
    assert isinstance(aggregated, AggregateDone)
    assert aggregated.aggregate.size == loaded.job.manifest.aggregate_bytes
    made = desk.outer(aggregated.aggregate)
    assert isinstance(made, OuterDone)
    assert made.root == state_root(following)
    asked = EvaluateCheckpoint(manifest=desk.manifest, checkpoint=made.checkpoint)
    answer = desk.worker.answer(asked)
    assert isinstance(answer, EvaluateDone)
    assert answer.metrics == evaluate(loaded, following)
    assert isinstance(desk.unit(0, made.checkpoint, 1), UnitDone)


def test_equal_results_are_equal_blobs(desk: Desk) -> None:
    """Canonical bytes: the same unit gives the same address."""
    first, second = desk.unit(1), desk.unit(1)
    assert isinstance(first, UnitDone)
    assert isinstance(second, UnitDone)
    assert first.result == second.result


def test_check_blob_gives_the_root_or_the_blame(desk: Desk, tiny: Bundle) -> None:
    """A result is no checkpoint, and a checkpoint no result."""
    done = desk.unit(0)
    assert isinstance(done, UnitDone)
    blobs = {"check_result": done.result, "check_checkpoint": desk.start}
    roots = {"check_result": done.result_root, "check_checkpoint": state_root(tiny.job.state)}
    for kind, other in (("check_result", "check_checkpoint"), ("check_checkpoint", "check_result")):
        right = CheckBlob(kind=kind, manifest=desk.manifest, blob=blobs[kind])
        assert desk.worker.answer(right) == BlobChecked(root=roots[kind])
        wrong = CheckBlob(kind=kind, manifest=desk.manifest, blob=blobs[other])
        assert "bytes, must have" in failed(desk.worker.answer(wrong), "input")


@pytest.mark.parametrize("spoil", ["name", "shape", "dtype", "junk"])
def test_malformed_result_is_blamed_by_slot(desk: Desk, spoil: str) -> None:
    """Right size, wrong content: refused before it is combined, and the worker lives on."""
    done = desk.unit(0)
    assert isinstance(done, UnitDone)
    good = tensors.decode(desk.store.read(done.result))
    delta = good.pop("delta")
    bad = {
        "name": {**good, "delto": delta},
        "shape": {**good, "delta": delta.reshape(1, 3)},
        "dtype": {**good, "delta": delta.view(np.int32)},
        "junk": {},
    }[spoil]
    data = tensors.encode(bad) if bad else b"\xff" * done.result.size
    assert len(data) == done.result.size
    answer = desk.aggregate(done.result, desk.store.put(data), done.result)
    assert failed(answer, "input").startswith("The result of slot 1 is malformed")
    assert isinstance(desk.aggregate(done.result, done.result, done.result), AggregateDone)


@pytest.mark.parametrize("spoil", ["name", "shape", "dtype", "more", "size", "junk"])
def test_malformed_aggregate_is_refused(desk: Desk, spoil: str) -> None:
    """Whoever sent it; no outer step is taken from it, and the worker lives on."""
    done = desk.unit(0)
    assert isinstance(done, UnitDone)
    made = desk.aggregate(done.result, done.result, done.result)
    assert isinstance(made, AggregateDone)
    good = tensors.decode(desk.store.read(made.aggregate))
    delta = good.pop("delta")
    bad = {
        "name": {**good, "delto": delta},
        "shape": {**good, "delta": delta.reshape(1, 3)},
        "dtype": {**good, "delta": delta.view(np.int32)},
        "more": {**good, "delta": delta} | {f"t{i}": np.zeros((), np.float32) for i in range(99)},
        "size": {**good, "delta": np.zeros((3, 2), np.float32)},
        "junk": {},
    }[spoil]
    data = tensors.encode(bad) if bad else b"\xff" * made.aggregate.size
    message = failed(desk.outer(desk.store.put(data)), "input")
    assert message.startswith("The aggregate ")
    assert isinstance(desk.outer(made.aggregate), OuterDone)


def test_impossible_requests_are_refused(desk: Desk) -> None:
    """A slot, a round, a number of results that the job does not have."""
    done = desk.unit(0)
    assert isinstance(done, UnitDone)
    assert "slot 3 is not in 0..2" in failed(desk.unit(3), "input")
    assert "round 2 is not in 0..1" in failed(desk.unit(0, round=2), "input")
    assert "2 results for 3 slots" in failed(desk.aggregate(done.result, done.result), "input")


def test_missing_blob_is_said_to_be_missing(desk: Desk) -> None:
    """The daemon fetches it; nobody is blamed."""
    absent = BlobRef(root="ab" * 32, size=desk.start.size)
    assert "abab" in failed(desk.unit(0, absent), "missing")
    answer = desk.worker.answer(LoadJob(manifest=BlobRef(root="cd" * 32, size=100)))
    failed(answer, "missing")


def test_job_that_is_no_job_is_a_strangers_fault(desk: Desk) -> None:
    """Whatever lies at the manifest's address."""
    answer = desk.worker.answer(LoadJob(manifest=desk.store.put(b"{}")))
    assert "malformed" in failed(answer, "input")


def test_job_over_the_memory_limit_is_refused_with_both_figures(
    tiny: Bundle, tmp_path: Path
) -> None:
    """Before anything is loaded; exactly enough is enough."""
    needed = tiny.manifest.memory_bytes
    desk = Desk(tiny, tmp_path, needed - 1)
    message = failed(desk.unit(0), "memory")
    assert f"needs {needed} bytes" in message
    assert f"gives {needed - 1}" in message
    assert isinstance(Desk(tiny, tmp_path, needed).unit(0), UnitDone)


def test_checkpoint_of_another_job_is_not_taken_from_memory(desk: Desk, tiny: Bundle) -> None:
    """The last checkpoint is kept for its own job alone."""
    assert isinstance(desk.unit(0), UnitDone)
    other = tiny.manifest.model_copy(update={"name": "other"})
    desk.manifest = desk.store.put(other.to_bytes())
    assert isinstance(desk.unit(0), UnitDone)


def test_checkpoint_that_was_made_here_is_not_read_for_its_units(desk: Desk) -> None:
    """Its bits are those of the blob."""
    slots = range(desk.worker._load(desk.manifest).job.manifest.slots)
    results = [desk.unit(slot) for slot in slots]
    aggregate = desk.aggregate(*(done.result for done in results if isinstance(done, UnitDone)))
    assert isinstance(aggregate, AggregateDone)
    made = desk.outer(aggregate.aggregate)
    assert isinstance(made, OuterDone)
    read = Worker(desk.store, open_backend("reference"), MEMORY)
    kept, desk.worker = desk.worker, read
    expected = desk.unit(0, made.checkpoint, round=1)
    assert isinstance(expected, UnitDone)
    desk.worker = kept
    desk.store.remove(made.checkpoint)
    again = desk.unit(0, made.checkpoint, round=1)
    assert isinstance(again, UnitDone)
    assert (again.result_root, again.trace_root) == (expected.result_root, expected.trace_root)


class FaultyWorker(Worker):
    """Fails in a chosen way."""

    def __init__(self, error: Exception, desk: Desk) -> None:
        super().__init__(desk.store, open_backend("reference"), MEMORY)
        self.error = error

    def unit(
        self, kind: str, loaded: LoadedJob, checkpoint: State, round: int, slot: int
    ) -> UnitOutput:
        """Raise."""
        raise self.error


@pytest.mark.parametrize(
    ("error", "blame"),
    [
        (DeviceError("out of resources"), "device"),
        (MemoryError(), "memory"),
        (OSError(28, "No space left on device"), "store"),
    ],
)
def test_failures_have_a_culprit(desk: Desk, error: Exception, blame: str) -> None:
    """The environment's failures are answers, with a message that is never empty."""
    desk.worker = FaultyWorker(error, desk)
    assert failed(desk.unit(0), blame)


def test_our_own_bug_is_not_hidden(desk: Desk) -> None:
    """Nothing catches what nobody foresaw: the process dies and the supervisor says so."""
    desk.worker = FaultyWorker(RuntimeError("bug"), desk)
    with pytest.raises(RuntimeError):
        desk.unit(0)


def test_worker_imports_neither_chain_nor_network() -> None:
    """It starts fast and has nothing to attack: no web3, no libp2p, no trio."""
    code = (
        "import sys, node.worker\n"
        "print(sorted({'web3', 'libp2p', 'trio', 'eth_account', 'click'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.fixture
def compute(tiny: Bundle, tmp_path: Path) -> Iterator[Compute]:
    """A supervisor of real workers on the reference backend."""
    tiny.put(BlobStore(tmp_path / "store"))
    return Compute(
        tmp_path / "store", device="reference", memory_bytes=MEMORY, log=tmp_path / "worker.log"
    )


@pytest.mark.trio
async def test_round_through_the_real_process(
    compute: Compute, tiny: Bundle, loaded: LoadedJob
) -> None:
    """Units, audit, combination, evaluation, checks: over the pipe and through the store."""
    manifest, state = tiny.manifest.ref(), tiny.job.state
    outputs = [run_unit(loaded, state, 0, slot) for slot in range(3)]
    following = combine(loaded, state, [output.result for output in outputs])
    async with compute:
        assert compute.device == "reference"
        assert isinstance(await compute.load(manifest), Loaded)
        units = [await compute.run_unit(manifest, tiny.manifest.state, 0, s) for s in range(3)]
        assert [u.result_root for u in units] == [o.result_root for o in outputs]
        audit = await compute.run_unit(manifest, tiny.manifest.state, 0, 1, audit=True)
        assert audit.trace_root == outputs[1].trace_root
        assert await compute.check_result(manifest, units[2].result) == outputs[2].result_root
        start, results = tiny.manifest.state, [unit.result for unit in units]
        aggregate = await compute.aggregate(manifest, start, results)
        made = await compute.outer(manifest, start, aggregate)
        assert made.root == state_root(following)
        assert await compute.check_checkpoint(manifest, made.checkpoint) == made.root
        assert await compute.evaluate(manifest, made.checkpoint) == evaluate(loaded, following)
        assert compute.gflops > 0
        assert compute.restarts == 0


@pytest.mark.trio
async def test_device_works_under_its_memory_limit(
    tiny: Bundle, loaded: LoadedJob, tmp_path: Path
) -> None:
    """The driver and its compiler live within the overhead; the bits are the reference's."""
    if not list_devices():
        pytest.skip("no OpenCL device")
    manifest = tiny.put(BlobStore(tmp_path / "store"))
    async with Compute(tmp_path / "store", memory_bytes=1 << 20) as compute:
        done = await compute.run_unit(manifest, tiny.manifest.state, 1, 2)
        output = run_unit(loaded, tiny.job.state, 1, 2)
        assert (done.result_root, done.trace_root) == (output.result_root, output.trace_root)


@pytest.mark.trio
async def test_blame_through_the_real_process(compute: Compute, tiny: Bundle) -> None:
    """A stranger's bytes, a missing blob: the process survives both."""
    manifest = tiny.manifest.ref()
    async with compute:
        with pytest.raises(PeerFault, match="malformed"):
            await compute.load(tiny.manifest.programs.step)
        with pytest.raises(BlobMissing):
            await compute.run_unit(manifest, replaced(tiny.manifest.state), 0, 0)
        await compute.run_unit(manifest, tiny.manifest.state, 0, 0)
        assert compute.restarts == 0


def replaced(ref: BlobRef) -> BlobRef:
    """The address of a blob of the same size that nobody has."""
    return ref.model_copy(update={"root": "ab" * 32})


@pytest.mark.trio
async def test_too_large_a_job_is_refused_by_the_real_process(tiny: Bundle, tmp_path: Path) -> None:
    """The figure and the limit arrive at the daemon."""
    manifest = tiny.put(BlobStore(tmp_path / "store"))
    async with Compute(tmp_path / "store", device="reference", memory_bytes=10) as compute:
        with pytest.raises(DoesNotFit, match="this node gives 10"):
            await compute.load(manifest)


@pytest.mark.trio
async def test_unknown_device_is_said_with_the_known_ones(tmp_path: Path) -> None:
    """One clear line, exit code 3."""
    with pytest.raises(NoDevice, match="no-such-device"):
        async with Compute(tmp_path / "store", device="no-such-device"):
            pytest.fail("there is no such device")


@pytest.mark.trio
async def test_supervisor_takes_the_module_it_is_given(tiny: Bundle, tmp_path: Path) -> None:
    """This is how a cheating worker gets in; it cannot change an audit."""
    manifest = tiny.put(BlobStore(tmp_path / "store"))
    honest = run_unit(build(open_backend("reference"), tiny.job), tiny.job.state, 0, 0)
    async with Compute(
        tmp_path / "store", device="reference", worker_module="examples.cheating_worker"
    ) as compute:
        start = tiny.manifest.state
        audit = await compute.run_unit(manifest, start, 0, 0, audit=True)
        assert audit.result_root == honest.result_root
        for _ in range(64):
            unit = await compute.run_unit(manifest, start, 0, 0)
            if unit.result_root != honest.result_root:
                break
        else:
            pytest.fail("64 honest units in a row have odds of 2^-64")
        assert unit.trace_root == honest.trace_root
        assert await compute.check_result(manifest, unit.result) == unit.result_root
