"""The supervisor against workers that crash, hang, babble and lie; each is a process of its own."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import trio
import trio.testing

from node.blobs import BlobMissing
from node.compute import (
    QUEUE_MAX,
    Compute,
    ComputeBusy,
    ComputeCrashed,
    ComputeError,
    ComputeTimeout,
    DoesNotFit,
)
from node.device_fault import clear_fault, write_fault
from node.errors import FaultyDevice, NoDevice, PeerFault
from scheduler.blob_ref import BlobRef

REF = BlobRef.of(b"job")
OK, ABORT, HANG, BABBLE, TOO_LONG, WRONG_KIND, DEAF, INPUT, MEMORY, DEVICE, MISSING, ENVIRONMENT = (
    range(12)
)
FAULTY = 12

ODD_WORKER = """
import os, signal, sys
from node.compute_messages import *

def read():
    header = sys.stdin.buffer.read(4)
    if not header: os._exit(0)
    return REQUEST.validate_json(sys.stdin.buffer.read(frame_length(header)))

def say(data):
    sys.stdout.buffer.write(data); sys.stdout.flush()

def done(request, flops=1000):
    return frame(UnitDone(result=request.checkpoint, result_root=b"r" * 32, trace_root=b"t" * 32,
        metrics={"loss": float("nan"), "slot": request.slot}, seconds=0.5, flops=flops))

say(frame(Ready(device="odd")))
while True:
    request = read()
    match request.slot:
        case 0: say(done(request))
        case 1: print("something broke", file=sys.stderr, flush=True); os.abort()
        case 2: sys.stdin.buffer.read()
        case 3: say((5).to_bytes(4, "big") + b"hello")
        case 4: say((2**31).to_bytes(4, "big"))
        case 5: say(frame(Loaded(seconds=1.0)))
        case 6:
            while True: signal.pause()
        case 7: say(frame(Failed(blame="input", message="your bytes")))
        case 8: say(frame(Failed(blame="memory", message="needs 9 bytes")))
        case 9: say(frame(Failed(blame="device", message="on fire")))
        case 10: say(frame(Failed(blame="missing", message="no blob ab")))
        case 12: say(frame(Failed(blame="faulty", message="computed ADD wrongly")))
        case 11: say(done(request, sum(k.startswith("AINUR_") for k in os.environ)))
"""


@pytest.fixture
def odd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Compute]:
    """A supervisor of a worker that misbehaves as the slot says."""

    def make(code: str = ODD_WORKER, **options: float) -> Compute:
        (tmp_path / "odd_worker.py").write_text(code)
        log = tmp_path / "worker.log"
        return Compute(tmp_path, worker_module="odd_worker", log=log, **options)

    monkeypatch.syspath_prepend(str(tmp_path))
    return make


async def ask(compute: Compute, slot: int) -> float:
    """Ask for a unit; which slot was computed."""
    return (await compute.run_unit(REF, REF, 0, slot)).metrics["slot"]


def is_running(pid: int) -> bool:
    """Whether a process exists and is not a zombie."""
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False


@pytest.mark.trio
async def test_answers_arrive_and_are_accounted(odd: Callable[..., Compute]) -> None:
    """Metrics may be NaN; FLOPs and seconds add up to a rate."""
    async with odd() as compute:
        assert compute.device == "odd"
        done = await compute.run_unit(REF, REF, 0, OK)
        assert done.metrics["loss"] != done.metrics["loss"]
        assert (done.result, done.result_root, done.flops) == (REF, b"r" * 32, 1000)
        await compute.run_unit(REF, REF, 0, OK, audit=True)
        assert (compute.flops, compute.seconds) == (2000, 1.0)
        assert compute.gflops == pytest.approx(2e-6)


@pytest.mark.trio
@pytest.mark.parametrize("fault", [ABORT, BABBLE, TOO_LONG])
async def test_crash_loses_that_request_alone(odd: Callable[..., Compute], fault: int) -> None:
    """The error is clear, the process is gone, and the next request gets a new one."""
    async with odd() as compute:
        first = compute.pid
        with pytest.raises(ComputeCrashed, match="died while it worked on unit"):
            await ask(compute, fault)
        assert first is not None
        assert not is_running(first)
        assert await ask(compute, OK) == OK
        assert compute.pid != first
        assert compute.restarts == 1


@pytest.mark.trio
async def test_crash_is_reported_with_signal_and_last_words(odd: Callable[..., Compute]) -> None:
    """The log's end is in the message, so that a driver's complaint reaches a person."""
    async with odd() as compute:
        with pytest.raises(ComputeCrashed, match=r"signal 6; its last words: something broke"):
            await ask(compute, ABORT)


@pytest.mark.trio
@pytest.mark.parametrize("fault", [HANG, DEAF])
async def test_timeout_kills_the_worker(odd: Callable[..., Compute], fault: int) -> None:
    """Even a worker that ignores the end of its stdin."""
    async with odd(timeout_s=0.3) as compute:
        first = compute.pid
        with pytest.raises(ComputeTimeout, match=r"did not finish unit within 0\.3 s"):
            await ask(compute, fault)
        assert first is not None
        assert not is_running(first)
        assert await ask(compute, OK) == OK


@pytest.mark.trio
async def test_cancelled_request_leaves_no_answer_behind(odd: Callable[..., Compute]) -> None:
    """The next caller gets its own answer, from a new worker."""
    async with odd() as compute:
        with trio.move_on_after(0.2) as scope:
            await ask(compute, HANG)
        assert scope.cancelled_caught
        assert await ask(compute, OK) == OK
        assert compute.waiting == 0


@pytest.mark.trio
async def test_cancelled_while_waiting_disturbs_nobody(odd: Callable[..., Compute]) -> None:
    """A request that has not begun costs nothing."""
    async with odd(timeout_s=0.5) as compute:
        first = compute.pid
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_expect_timeout, compute)
            await trio.testing.wait_all_tasks_blocked()
            with trio.move_on_after(0.1) as scope:
                await ask(compute, OK)
            assert scope.cancelled_caught
            assert compute.pid == first
        assert compute.waiting == 0


@pytest.mark.trio
async def test_cancelled_when_its_turn_comes_disturbs_nobody(odd: Callable[..., Compute]) -> None:
    """The worker was asked nothing yet."""
    async with odd() as compute, trio.open_nursery() as nursery:
        first = compute.pid
        await compute._turn.acquire()
        nursery.start_soon(ask, compute, OK)
        await trio.testing.wait_all_tasks_blocked()
        compute._turn.release()
        nursery.cancel_scope.cancel()
    assert (compute.restarts, first is None) == (0, False)


async def _expect_timeout(compute: Compute) -> None:
    with pytest.raises(ComputeTimeout):
        await ask(compute, HANG)


@pytest.mark.trio
async def test_queue_is_bounded_and_in_order(odd: Callable[..., Compute]) -> None:
    """One over the bound is refused at once; the rest are answered in the order of arrival."""
    order: list[int] = []

    async def request(compute: Compute, number: int) -> None:
        await ask(compute, OK)
        order.append(number)

    async with odd(timeout_s=1.0) as compute:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_expect_timeout, compute)
            await trio.testing.wait_all_tasks_blocked()
            for number in range(QUEUE_MAX - 1):
                nursery.start_soon(request, compute, number)
                await trio.testing.wait_all_tasks_blocked()
            with pytest.raises(ComputeBusy, match=f"{QUEUE_MAX} requests wait"):
                await ask(compute, OK)
        assert order == list(range(QUEUE_MAX - 1))


@pytest.mark.trio
@pytest.mark.parametrize(
    ("slot", "error", "message"),
    [
        (INPUT, PeerFault, "your bytes"),
        (MEMORY, DoesNotFit, "needs 9 bytes"),
        (DEVICE, ComputeError, "on fire"),
        (MISSING, BlobMissing, "no blob ab"),
        (WRONG_KIND, ComputeCrashed, "answered loaded to unit"),
    ],
)
async def test_blame_becomes_the_right_error(
    odd: Callable[..., Compute], slot: int, error: type[Exception], message: str
) -> None:
    """A peer's fault is not our crash; the worker lives on."""
    async with odd() as compute:
        first = compute.pid
        with pytest.raises(error, match=message):
            await ask(compute, slot)
        assert await ask(compute, OK) == OK
        assert compute.pid == first


@pytest.mark.trio
async def test_worker_gets_none_of_our_settings(
    odd: Callable[..., Compute], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A password in the environment is not handed to the process that runs strangers' jobs."""
    monkeypatch.setenv("AINUR_PASSWORD", "secret")
    async with odd() as compute:
        assert (await compute.run_unit(REF, REF, 0, ENVIRONMENT)).flops == 0


@pytest.mark.trio
async def test_no_device_is_said_at_the_start(odd: Callable[..., Compute]) -> None:
    """The worker's reason arrives, with the remedy."""
    code = ODD_WORKER.replace('Ready(device="odd")', 'Failed(blame="device", message="no driver")')
    with pytest.raises(NoDevice, match="no driver"):
        async with odd(code):
            pytest.fail("a worker without a device must not be used")


@pytest.mark.trio
async def test_worker_that_cannot_start_is_a_crash(odd: Callable[..., Compute]) -> None:
    """An import error is in the message."""
    with pytest.raises(ComputeCrashed, match="No module named 'no_such_module'"):
        async with odd("import no_such_module"):
            pytest.fail("a dead worker must not be used")


@pytest.mark.trio
async def test_leaving_ends_the_worker(odd: Callable[..., Compute]) -> None:
    """Cancelled or not, no process stays."""
    async with odd() as compute:
        pid = compute.pid
    assert pid is not None
    assert not is_running(pid)


def test_worker_dies_with_its_parent(tmp_path: Path) -> None:
    """A parent killed with -9 leaves no worker, here the real one."""
    code = (
        "import sys, trio\n"
        "from pathlib import Path\n"
        "from node.compute import Compute\n"
        "async def main():\n"
        "    async with Compute(Path(sys.argv[1]), device='reference') as compute:\n"
        "        print(compute.pid, flush=True)\n"
        "        await trio.sleep_forever()\n"
        "trio.run(main)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)],
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.getcwd()},
    ) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        watched = os.pidfd_open(worker)
        parent.kill()
        try:
            assert trio.run(_ends, watched)
        finally:
            os.close(watched)


async def _ends(watched: int) -> bool:
    """Whether the process behind a pidfd ends soon."""
    with trio.move_on_after(10):
        await trio.lowlevel.wait_readable(watched)
        return True
    return False


@pytest.mark.trio
async def test_faulty_device_computes_no_unit_until_the_mark_is_gone(
    odd: Callable[..., Compute], tmp_path: Path
) -> None:
    """Nor an audit, nor after a restart; the mark of another device is not ours."""
    mark = tmp_path / "device-fault.json"
    write_fault(mark, "another", "computed MUL wrongly")
    async with odd(fault=mark) as compute:
        assert compute.fault == ""
        with pytest.raises(FaultyDevice, match="computed ADD wrongly"):
            await ask(compute, FAULTY)
        for audit in (False, True):
            with pytest.raises(FaultyDevice, match="computed ADD wrongly"):
                await compute.run_unit(REF, REF, 0, OK, audit=audit)
    async with odd(fault=mark) as compute:
        with pytest.raises(FaultyDevice):
            await ask(compute, OK)
        mark.write_text("{")
        assert "cannot be read" in compute.fault
        clear_fault(mark)
        assert await ask(compute, OK) == OK
        clear_fault(mark)  # twice is no error


@pytest.mark.trio
async def test_without_a_place_for_the_mark_the_unit_alone_is_lost(
    odd: Callable[..., Compute],
) -> None:
    """As for commands that have no home."""
    async with odd() as compute:
        with pytest.raises(FaultyDevice):
            await ask(compute, FAULTY)
        assert compute.fault == ""
        assert await ask(compute, OK) == OK


ORDERLY_WORKER = """
import os, sys
from node.compute_messages import *

def say(answer):
    sys.stdout.buffer.write(frame(answer)); sys.stdout.flush()

say(Ready(device="orderly"))
gate, kinds = True, open("KINDS", "a")
while header := sys.stdin.buffer.read(4):
    request = REQUEST.validate_json(sys.stdin.buffer.read(frame_length(header)))
    if gate: gate = open("GATE").read() == ""
    print(request.kind, file=kinds, flush=True)
    match request:
        case ComputeUnit(): say(UnitDone(result=request.checkpoint, result_root=b"r" * 32,
            trace_root=b"t" * 32, metrics={}, seconds=0.5, flops=1))
        case CheckBlob(): say(BlobChecked(root=b"r" * 32))
        case AggregateRound(): say(AggregateDone(aggregate=request.checkpoint, seconds=0.1))
        case OuterStep(): say(OuterDone(checkpoint=request.checkpoint, root=b"o" * 32, seconds=0.1))
os._exit(0)
"""


@pytest.mark.trio
async def test_what_takes_moments_goes_before_units_and_a_combination_in_one_piece(
    odd: Callable[..., Compute], tmp_path: Path
) -> None:
    """The unit under way is not interrupted; then no audit of a minute delays what is short."""
    gate, kinds = tmp_path / "gate", tmp_path / "kinds"
    os.mkfifo(gate)
    code = ORDERLY_WORKER.replace("GATE", str(gate)).replace("KINDS", str(kinds))
    async with odd(code) as compute, trio.open_nursery() as nursery:
        for request in (
            lambda: compute.run_unit(REF, REF, 0, 0),
            lambda: compute.run_unit(REF, REF, 0, 1, audit=True),
            lambda: compute.combine(REF, REF, [REF, REF], [b"r" * 32] * 2),
            lambda: compute.check_result(REF, REF),
        ):
            nursery.start_soon(request)
            await trio.testing.wait_all_tasks_blocked(0.01)
        assert compute.waiting == 4
        await trio.to_thread.run_sync(gate.write_text, "go")
    combination = ["check_result"] * 2 + ["aggregate", "outer"]
    assert kinds.read_text().split() == ["unit", *combination, "check_result", "audit"]


@pytest.mark.trio
async def test_result_with_another_root_is_combined_with_nothing(
    odd: Callable[..., Compute], tmp_path: Path
) -> None:
    """Whoever told of it is at fault, and nothing is made of it."""
    kinds = tmp_path / "kinds"
    code = ORDERLY_WORKER.replace("gate, kinds = True", "gate, kinds = False")
    async with odd(code.replace("KINDS", str(kinds))) as compute:
        with pytest.raises(PeerFault, match="slot 1 is not the claimed one"):
            await compute.combine(REF, REF, [REF, REF], [b"r" * 32, b"x" * 32])
    assert "aggregate" not in kinds.read_text()
