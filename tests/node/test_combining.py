"""node/combining.py: what was made early is not made again when it is due."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import cast

import pytest
import trio
import trio.testing

from node.combining import Combining
from node.compute import Compute, ComputeError
from node.compute_messages import OuterDone
from node.ledger import JobView
from scheduler.blob_ref import BlobRef

ONE, OTHER = (
    cast(JobView, SimpleNamespace(job_id=name * 32, manifest=None)) for name in (b"1", b"2")
)
A, B, C = (BlobRef.of(name) for name in (b"a", b"b", b"c"))


class Device:
    """Takes a second for everything and counts it; fails while told to."""

    def __init__(self) -> None:
        self.made: list[object] = []
        self.fails = False

    async def aggregate(self, _m: object, before: BlobRef, results: Sequence[BlobRef]) -> BlobRef:
        await trio.sleep(1)
        if self.fails:
            raise ComputeError("the worker is gone")
        self.made.append((before, tuple(results)))
        return results[0]

    async def outer(self, _m: object, _before: object, aggregate: BlobRef) -> OuterDone:
        await trio.sleep(1)
        return OuterDone(checkpoint=aggregate, root=b"r" * 32, seconds=1)

    async def evaluate(self, _m: object, checkpoint: BlobRef) -> dict[str, float]:
        await trio.sleep(1)
        self.made.append(checkpoint)
        return {"loss": 2.0, "accuracy": 0.5}


@pytest.mark.trio
async def test_the_same_results_are_combined_once(autojump_clock: trio.testing.MockClock) -> None:
    """Who comes while that is under way waits for it; other results, and other jobs, are others."""
    device = Device()
    combining = Combining(cast(Compute, device))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(combining.make, ONE, A, [B, C])
        await trio.sleep(0.5)
        assert (await combining.make(ONE, A, [B, C])).aggregate == B
    assert (device.made, trio.current_time()) == ([(A, (B, C))], 2.0)
    await combining.make(OTHER, A, [B, C])
    await combining.make(ONE, A, [C, B])
    await combining.make(ONE, A, [C, B])
    assert device.made[1:] == [(A, (B, C)), (A, (C, B))]


@pytest.mark.trio
async def test_an_evaluation_is_made_once(autojump_clock: trio.testing.MockClock) -> None:
    """Metrics by name, in order."""
    device = Device()
    combining = Combining(cast(Compute, device))
    for _ in range(2):
        assert await combining.evaluate(ONE, A) == (("accuracy", 0.5), ("loss", 2.0))
    assert device.made == [A]


@pytest.mark.trio
async def test_what_failed_early_is_tried_again(autojump_clock: trio.testing.MockClock) -> None:
    """A failure is no result."""
    device = Device()
    combining = Combining(cast(Compute, device))
    device.fails = True
    with pytest.raises(ComputeError):
        await combining.make(ONE, A, [B])
    device.fails = False
    for _ in range(2):
        await combining.make(ONE, A, [B])
    assert len(device.made) == 1
