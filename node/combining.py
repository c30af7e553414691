"""Combining a round's results, once: early, while their claims travel to the chain, or when due.

Results that are here and checked lead to one aggregate and one checkpoint, whatever the chain says
of their claims later. So a coordinator combines them as soon as all are here, lets its workers
prepare for what that gives, and has it at hand when the claims stand.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

import trio

from node.compute import Combination, Compute
from node.ledger import JobView
from scheduler.blob_ref import BlobRef
from scheduler.terms import Metrics

Value = TypeVar("Value")


class Combining:
    """The last combination of each job that this node coordinated, and its evaluation.

    Who asks for the same again, or while it is under way, has it without another computation.
    ComputeError where the worker fails.
    """

    def __init__(self, compute: Compute) -> None:
        self._compute = compute
        self._aggregated, self._made = _Last[BlobRef](), _Last[Combination]()
        self._evaluated = _Last[Metrics]()

    async def aggregate(self, job: JobView, before: BlobRef, results: Sequence[BlobRef]) -> BlobRef:
        """The aggregate of these results, in the order of slots."""

        async def aggregate() -> BlobRef:
            return await self._compute.aggregate(job.manifest, before, results)

        return await self._aggregated.get(job.job_id, (before, tuple(results)), aggregate)

    async def make(self, job: JobView, before: BlobRef, results: Sequence[BlobRef]) -> Combination:
        """What these results, in the order of slots, lead to from the checkpoint `before`."""

        async def make() -> Combination:
            aggregate = await self.aggregate(job, before, results)
            return Combination(
                aggregate, await self._compute.outer(job.manifest, before, aggregate)
            )

        return await self._made.get(job.job_id, (before, tuple(results)), make)

    async def evaluate(self, job: JobView, checkpoint: BlobRef) -> Metrics:
        """A checkpoint's metrics, sorted by name."""

        async def evaluate() -> Metrics:
            return tuple(sorted((await self._compute.evaluate(job.manifest, checkpoint)).items()))

        return await self._evaluated.get(job.job_id, checkpoint, evaluate)


class _Last(Generic[Value]):
    """The last value of each job, and of what it was made."""

    def __init__(self) -> None:
        self._known: dict[bytes, tuple[object, Value]] = {}
        self._under_way: dict[tuple[bytes, object], trio.Event] = {}

    async def get(self, job_id: bytes, of: object, make: Callable[[], Awaitable[Value]]) -> Value:
        key = job_id, of
        while True:
            known = self._known.get(job_id)
            if known is not None and known[0] == of:
                return known[1]
            if key not in self._under_way:
                break
            await self._under_way[key].wait()
        done = self._under_way[key] = trio.Event()
        try:
            value = await make()
            self._known[job_id] = of, value
            return value
        finally:
            del self._under_way[key]
            done.set()
