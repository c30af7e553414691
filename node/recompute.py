"""Units as this node computes them: its own work and what it recomputes for audits and juries.

The computation is the same for all three; only the label differs. The round state that a unit
starts from is the one on chain; before our own work it may be rechecked where it came from
(node/checkpoints.py), so that a coordinator cannot slip in another model.
"""

from node.checkpoints import Checkpoints
from node.compute import Compute
from node.compute_messages import UnitDone
from node.ledger import JobView
from scheduler.manifest import Manifest
from scheduler.terms import UnitRef


class Recompute:
    """Runs units of held jobs on the node's device."""

    def __init__(self, compute: Compute, checkpoints: Checkpoints) -> None:
        self._compute, self.checkpoints = compute, checkpoints

    async def run(
        self, job: JobView, manifest: Manifest, unit: UnitRef, *, audit: bool
    ) -> UnitDone:
        """Compute a unit from the anchored checkpoint of its round.

        Without `audit` it is our own work: PeerFault where the job is led astray.
        """
        checkpoint = await self.checkpoints.get(job, manifest, unit.round)
        if not audit:
            await self.checkpoints.check(job, manifest, unit.round - 1)
        return await self.checkpoints.compute_unit(
            job, manifest, checkpoint, unit.round, unit.slot, audit=audit
        )

    async def fetch_input(self, job: JobView, unit: UnitRef) -> None:
        """Have the data that a unit reads; PeerUnreachable if nobody serves it."""
        await self.checkpoints.fetch_input(job, unit.round, unit.slot)

    @property
    def fault(self) -> str:
        """What the device did wrong, if it may not compute units; "" for a sound one."""
        return self._compute.fault
