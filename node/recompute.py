"""Units as this node computes them: its own work and what it recomputes for audits and juries.

The computation is the same for all three; only the label differs. The round state that a unit
starts from is the one on chain; beside our own work it may be rechecked where it came from
(node/checkpoints.py), so that a coordinator cannot slip in another model. What that needs travels
while the device computes the unit, and the device does the rest in a moment after it.
"""

import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

import trio

from node.checkpoints import Checkpoints
from node.compute import Compute
from node.compute_messages import UnitDone
from node.errors import NodeError
from node.ledger import JobView
from scheduler.manifest import Manifest
from scheduler.terms import UnitRef

log = logging.getLogger(__name__)

Found = TypeVar("Found")


class Recompute:
    """Runs units of held jobs on the node's device."""

    def __init__(self, compute: Compute, checkpoints: Checkpoints) -> None:
        self._compute, self.checkpoints = compute, checkpoints

    async def run(
        self, job: JobView, manifest: Manifest, unit: UnitRef, *, audit: bool = True
    ) -> UnitDone:
        """Compute a unit from the anchored checkpoint of its round."""
        checkpoint = await self.checkpoints.get(job, manifest, unit.round)
        return await self.checkpoints.compute_unit(
            job, manifest, checkpoint, unit.round, unit.slot, audit=audit
        )

    async def run_own(
        self, job: JobView, manifest: Manifest, unit: UnitRef, keep: Callable[[UnitDone], None]
    ) -> None:
        """Compute our own unit, give it to `keep`, and recheck meanwhile what it starts from.

        PeerFault where the job is led astray, PeerUnreachable where that cannot be known yet: then
        what was kept is not to be committed.
        """
        self.checkpoints.check_not_refuted(job, unit.round - 1)
        await self.checkpoints.get(job, manifest, unit.round)
        doubts: list[NodeError] = []

        async def recheck() -> None:
            try:
                await self.recheck(job, manifest, unit)
            except NodeError as error:
                # Outside the nursery it must not be a group.
                doubts.append(error)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(recheck)
            try:
                keep(await self.run(job, manifest, unit, audit=False))
            except NodeError as error:
                doubts.insert(0, error)
                nursery.cancel_scope.cancel()
        for doubt in doubts:
            raise doubt

    async def run_unless_found(
        self,
        job: JobView,
        manifest: Manifest,
        unit: UnitRef,
        search: Callable[[], Awaitable[Found]],
    ) -> UnitDone | Found:
        """Compute a unit and search for its result meanwhile; what ends first with an outcome.

        Where neither has one: the computation's error.
        """
        found: list[Found] = []
        done: UnitDone | None = None
        failure: NodeError | None = None

        async def look() -> None:
            try:
                found.append(await search())
                nursery.cancel_scope.cancel()
            except NodeError as error:
                log.warning("unit %s is computed anew: %s", unit, error)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(look)
            try:
                done = await self.run(job, manifest, unit, audit=True)
                nursery.cancel_scope.cancel()
            except NodeError as error:
                # Outside the nursery it must not be a group; and the search goes on.
                failure = error
        if done is not None:
            return done
        if found:
            return found[0]
        assert failure is not None  # or one of the two had ended with an outcome
        raise failure

    async def recheck(self, job: JobView, manifest: Manifest, unit: UnitRef) -> None:
        """Toss the coin on the checkpoint that a unit starts from; errors as in `run_own`."""
        await self.checkpoints.check(job, manifest, unit.round - 1)

    async def fetch_input(self, job: JobView, unit: UnitRef) -> None:
        """Have the data that a unit reads; PeerUnreachable if nobody serves it."""
        await self.checkpoints.fetch_input(job, unit.round, unit.slot)

    @property
    def fault(self) -> str:
        """What the device did wrong, if it may not compute units; "" for a sound one."""
        return self._compute.fault
