"""What a coordinator anchored wrongly neither stops a job nor keeps a device busy for ever."""

from typing import cast

import pytest
import trio
import trio.testing

from node.blobs import BlobStore
from node.chain import events as e
from node.chain.events import Place
from node.chain.types import JobTerms
from node.compute import Compute
from node.compute_messages import OuterDone, UnitDone
from node.errors import PeerFault, PeerUnreachable
from node.ids import JobId
from node.ledger import JobView, Ledger
from node.messages import AskRound, RoundResults
from node.recompute import LOST_S, Recompute
from scheduler.blob_ref import BlobRef
from scheduler.manifest import Manifest, ProgramRefs

pytestmark = pytest.mark.trio

JOB = JobId(b"j" * 32)
BLOB, NEXT = BlobRef(root="cd" * 32, size=7), BlobRef(root="ef" * 32, size=7)
RIGHT, WRONG = b"r" * 32, b"w" * 32
MANIFEST = Manifest(
    name="tiny", rounds=2, slots=2, steps=1, trace_every=1, batch_rows=1, rows=2,
    unit_timeout_s=60, deadline_s=600, price_wei_per_gflop=1,
    programs=ProgramRefs(step=BLOB, result=BLOB, aggregate=BLOB, outer=BLOB, evaluate=BLOB),
    state=BLOB, train=BLOB, test=BLOB, unit_flops=1, aggregate_flops=1,
    outer_flops=1, evaluate_flops=1, peak_bytes=100, result_bytes=7, aggregate_bytes=7,
    checkpoint_bytes=7,
)  # fmt: skip


def job(checkpoint: bytes, size: int) -> JobView:
    """A job whose first round is final with this checkpoint in a blob of this size."""
    ledger = Ledger()
    terms = JobTerms(b"m" * 32, 100, b"b" * 32, rounds=2, slots=2, unit_wei=10, deadline=10**6)
    ledger.apply(e.JobFunded(Place(1, 0, b""), JOB, "0x" + "1" * 40, terms, 5, 66))
    final = (JOB, 0, checkpoint, b"\xab" * 32, size, b"w" * 32, 20)
    ledger.apply(e.RoundFinalized(Place(1, 1, b""), *final))
    return ledger.jobs[JOB]


class Device:
    """Every blob holds a checkpoint with root WRONG; the round's units combine to RIGHT."""

    def __init__(self) -> None:
        self.units = 0
        self.windows: list[tuple[int, int]] = []

    async def check_checkpoint(self, _manifest: BlobRef, _blob: BlobRef) -> bytes:
        return WRONG

    async def run_unit(self, *_: object, audit: bool, timeout_s: float) -> UnitDone:
        self.units += 1
        return UnitDone(
            result=BLOB, result_root=b"r" * 32, trace_root=b"t" * 32, metrics={}, seconds=1, flops=1
        )

    async def aggregate(self, *_: object) -> BlobRef:
        return BLOB

    async def outer(self, *_: object) -> OuterDone:
        return OuterDone(checkpoint=NEXT, root=RIGHT, seconds=1)


class Store:
    """Nothing is here."""

    def has(self, _ref: BlobRef) -> bool:
        return False


def recompute(device: Device) -> Recompute:
    async def fetch(_ref: BlobRef, _sources: object) -> None:
        """Everything is found."""

    async def fetch_windows(_job: JobView, round: int, slot: int, _sources: object) -> None:
        device.windows.append((round, slot))

    async def ask(_job: JobView, _message: AskRound) -> RoundResults:
        raise PeerUnreachable("nobody tells")

    return Recompute(
        cast(Compute, device),
        cast(BlobStore, Store()),
        fetch,
        fetch_windows,
        lambda _job: (),
        ask,
        lambda *_: None,
    )


@pytest.mark.parametrize("size", [7, 8], ids=["another checkpoint", "another size"])
async def test_a_wrong_blob_of_a_right_checkpoint_is_computed_anew(
    size: int, autojump_clock: trio.testing.MockClock
) -> None:
    """Otherwise one coordinator could end a job for good."""
    device = Device()
    computing = recompute(device)
    with pytest.raises(PeerFault):
        await computing.checkpoint(job(RIGHT, size), MANIFEST, 1)
    await trio.sleep(LOST_S)
    assert await computing.checkpoint(job(RIGHT, size), MANIFEST, 1) == NEXT
    assert device.units == MANIFEST.slots
    assert device.windows == [(0, slot) for slot in range(MANIFEST.slots)]


async def test_a_wrong_checkpoint_is_refuted_once(autojump_clock: trio.testing.MockClock) -> None:
    """Each further question costs nothing."""
    device = Device()
    computing = recompute(device)
    refuted = job(bytes(31) + b"1", 7)
    with pytest.raises(PeerFault):
        await computing.checkpoint(refuted, MANIFEST, 1)
    await trio.sleep(LOST_S)
    for _ in range(3):
        with pytest.raises(PeerFault, match="does not follow"):
            await computing.checkpoint(refuted, MANIFEST, 1)
    assert device.units == MANIFEST.slots
