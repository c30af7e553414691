"""Units as this node computes them: its own work and what it recomputes for audits and juries.

The computation is the same for all three; only the label differs. Before the first unit of a
round the checkpoint is fetched and checked: its state root must be the one on chain and, for our
own work, it must follow from the accepted results of the round before (docs/spec/protocol.md,
section 4, step 9), so that a coordinator cannot slip in another model.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence

from node.blobs import BlobStore
from node.compute import Compute
from node.compute_messages import UnitDone
from node.errors import PeerFault
from node.jobs import Fetch
from node.ledger import JobView
from node.messages import AskRound, RoundResults
from scheduler.blob_ref import BlobRef
from scheduler.manifest import Manifest
from scheduler.terms import UnitRef

log = logging.getLogger(__name__)

AskRoundResults = Callable[[JobView, AskRound], Awaitable[RoundResults]]
Sources = Callable[[JobView], Sequence[str]]


class Recompute:
    """Runs units of held jobs on the node's device."""

    def __init__(
        self,
        compute: Compute,
        store: BlobStore,
        fetch: Fetch,
        sources: Sources,
        ask_round: AskRoundResults,
    ) -> None:
        self._compute, self._store = compute, store
        self._fetch, self._sources, self._ask_round = fetch, sources, ask_round
        self._checked: dict[tuple[bytes, int], BlobRef] = {}
        self._followed: set[tuple[bytes, int]] = set()

    async def run(
        self, job: JobView, manifest: Manifest, unit: UnitRef, *, audit: bool
    ) -> UnitDone:
        """Compute a unit from the anchored checkpoint of its round."""
        checkpoint = await self.checkpoint(job, manifest, unit.round)
        if not audit:
            await self._follows(job, unit.round - 1)
        return await self._compute.run_unit(
            job.manifest,
            checkpoint,
            unit.round,
            unit.slot,
            audit=audit,
            timeout_s=float(manifest.unit_timeout_s),
        )

    def trust(self, job: JobView, round: int) -> None:
        """The checkpoint after `round` was combined here: it needs no check."""
        self._followed.add((job.job_id, round))

    async def checkpoint(self, job: JobView, manifest: Manifest, round: int) -> BlobRef:
        """The blob that a round starts from, stored here and checked against the chain."""
        if round == 0:
            return manifest.state
        known = self._checked.get((job.job_id, round))
        if known is not None and self._store.has(known):
            return known
        anchored = job.finalized.get(round - 1)
        if anchored is None:
            raise PeerFault(f"round {round} was asked for, but round {round - 1} is not final")
        await self._fetch(anchored.blob, self._sources(job))
        root = await self._compute.check_checkpoint(job.manifest, anchored.blob)
        if root != anchored.checkpoint:
            raise PeerFault(
                f"the checkpoint blob of round {round - 1} has root {root.hex()}, "
                f"the chain says {anchored.checkpoint.hex()}"
            )
        self._checked[job.job_id, round] = anchored.blob
        return anchored.blob

    async def _follows(self, job: JobView, round: int) -> None:
        """Check that the checkpoint after `round` is the combination of its accepted results."""
        if round < 0 or (job.job_id, round) in self._followed:
            return
        units = job.accepted(round)
        if len(units) < job.slots:
            # The chain's units of that round are forgotten here: the round is long final.
            return
        answer = await self._ask_round(job, AskRound(job_id=job.job_id.hex(), round=round))
        if [result.slot for result in answer.results] != list(range(job.slots)):
            raise PeerFault(f"the results of round {round} are not one per slot")
        for result in answer.results:
            if bytes.fromhex(result.result_root) != units[result.slot].result_root:
                raise PeerFault(f"slot {result.slot} of round {round} names another result")
            await self._fetch(result.blob, self._sources(job))
            root = await self._compute.check_result(job.manifest, result.blob)
            if root != units[result.slot].result_root:
                raise PeerFault(f"the result blob of slot {result.slot} is not the claimed one")
        before = await self.checkpoint(job, self._manifest(job), round)
        done = await self._compute.combine(job.manifest, before, [r.blob for r in answer.results])
        anchored = job.finalized[round].checkpoint
        if done.root != anchored:
            raise PeerFault(
                f"checkpoint {anchored.hex()} of round {round} does not follow from its results, "
                f"which give {done.root.hex()}"
            )
        self._followed.add((job.job_id, round))

    def _manifest(self, job: JobView) -> Manifest:
        return Manifest.parse(self._store.read(job.manifest))
