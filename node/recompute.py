"""Units as this node computes them: its own work and what it recomputes for audits and juries.

The computation is the same for all three; only the label differs. Before the first unit of a
round the checkpoint is fetched and checked: its state root must be the one on chain and, for our
own work, it must follow from the accepted results of the round before (docs/spec/protocol.md,
section 4, step 9), so that a coordinator cannot slip in another model. Where nobody has a
checkpoint or its results any more, the round that led there is computed anew: bits do not depend on
who computes. A checkpoint whose blob is not the anchored one counts as lost: whoever anchored it
must not be able to stop the job.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence

import trio

from node.blobs import BlobStore
from node.compute import Compute
from node.compute_messages import UnitDone
from node.errors import NodeError, PeerFault, PeerUnreachable
from node.jobs import Fetch
from node.ledger import Finalized, JobView, UnitView
from node.messages import AskRound, RoundResults
from scheduler.blob_ref import BlobRef
from scheduler.manifest import Manifest
from scheduler.terms import UnitRef

log = logging.getLogger(__name__)

AskRoundResults = Callable[[JobView, AskRound], Awaitable[RoundResults]]
Sources = Callable[[JobView], Sequence[str]]
FetchWindows = Callable[[JobView, int, int, Sequence[str]], Awaitable[None]]
"""Bring the rows that a round's slot reads into the store, from one of these peers."""
Remember = Callable[[JobView, RoundResults], None]
"""Keep what made the checkpoint after a round, for others who want to check it."""

LOST_S = 15.0
"""How long what made a checkpoint is looked for before the round is computed anew."""


class Recompute:
    """Runs units of held jobs on the node's device."""

    def __init__(
        self,
        compute: Compute,
        store: BlobStore,
        fetch: Fetch,
        fetch_windows: FetchWindows,
        sources: Sources,
        ask_round: AskRoundResults,
        remember: Remember,
    ) -> None:
        self._compute, self._store, self._remember = compute, store, remember
        self._fetch, self._fetch_windows = fetch, fetch_windows
        self._sources, self._ask_round = sources, ask_round
        self._checked: dict[tuple[bytes, int], BlobRef] = {}
        self._followed: set[tuple[bytes, int]] = set()
        self._missed_at: dict[tuple[bytes, int], float] = {}
        self._refuted: dict[tuple[bytes, int], str] = {}

    async def run(
        self, job: JobView, manifest: Manifest, unit: UnitRef, *, audit: bool
    ) -> UnitDone:
        """Compute a unit from the anchored checkpoint of its round."""
        checkpoint = await self.checkpoint(job, manifest, unit.round)
        if not audit:
            await self._follows(job, manifest, unit.round - 1)
        return await self._unit(job, manifest, checkpoint, unit.round, unit.slot, audit=audit)

    @property
    def fault(self) -> str:
        """What the device did wrong, if it may not compute units; "" for a sound one."""
        return self._compute.fault

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
        try:
            await self._fetch_checkpoint(job, manifest, round - 1, anchored)
        except (PeerUnreachable, PeerFault) as error:
            return await self._rebuilt(job, manifest, round - 1, error)
        self._checked[job.job_id, round] = anchored.blob
        return anchored.blob

    async def _fetch_checkpoint(
        self, job: JobView, manifest: Manifest, round: int, anchored: Finalized
    ) -> None:
        if anchored.blob.size != manifest.checkpoint_bytes:
            raise PeerFault(
                f"the checkpoint blob of round {round} has {anchored.blob.size} bytes, "
                f"must have {manifest.checkpoint_bytes}"
            )
        await self._fetch(anchored.blob, self._sources(job))
        root = await self._compute.check_checkpoint(job.manifest, anchored.blob)
        if root != anchored.checkpoint:
            raise PeerFault(
                f"the checkpoint blob of round {round} has root {root.hex()}, "
                f"the chain says {anchored.checkpoint.hex()}"
            )

    async def _unit(
        self,
        job: JobView,
        manifest: Manifest,
        checkpoint: BlobRef,
        round: int,
        slot: int,
        *,
        audit: bool,
    ) -> UnitDone:
        await self._fetch_windows(job, round, slot, self._sources(job))
        return await self._compute.run_unit(
            job.manifest,
            checkpoint,
            round,
            slot,
            audit=audit,
            timeout_s=float(manifest.unit_timeout_s),
        )

    async def _follows(self, job: JobView, manifest: Manifest, round: int) -> None:
        """Check that the checkpoint after `round` is the combination of its accepted results."""
        if round < 0 or (job.job_id, round) in self._followed:
            return
        units = job.accepted(round)
        if len(units) < job.slots:
            # The chain's units of that round are forgotten here: the round is long final.
            return
        self._check_not_refuted(job, round)
        try:
            made_by = await self._results(job, manifest, round, units)
        except (PeerUnreachable, PeerFault) as error:
            await self._rebuilt(job, manifest, round, error)
            return
        before = await self.checkpoint(job, manifest, round)
        await self._combined(job, round, before, [result.blob for result in made_by.results])
        self._remember(job, made_by)

    async def _results(
        self, job: JobView, manifest: Manifest, round: int, units: Mapping[int, UnitView]
    ) -> RoundResults:
        """The results of a finished round, stored here and checked against their claims."""
        answer = await self._ask_round(job, AskRound(job_id=job.job_id.hex(), round=round))
        if [result.slot for result in answer.results] != list(range(job.slots)):
            raise PeerFault(f"the results of round {round} are not one per slot")
        for result in answer.results:
            if bytes.fromhex(result.result_root) != units[result.slot].result_root:
                raise PeerFault(f"slot {result.slot} of round {round} names another result")
            if result.blob.size != manifest.result_bytes:
                raise PeerFault(f"the result blob of slot {result.slot} is {result.blob.size} long")
            await self._fetch(result.blob, self._sources(job))
            root = await self._compute.check_result(job.manifest, result.blob)
            if root != units[result.slot].result_root:
                raise PeerFault(f"the result blob of slot {result.slot} is not the claimed one")
        return answer

    async def _combined(
        self, job: JobView, round: int, before: BlobRef, results: Sequence[BlobRef]
    ) -> BlobRef:
        """The anchored checkpoint after `round`, made of its results; PeerFault if it is not."""
        aggregate = await self._compute.aggregate(job.manifest, before, results)
        done = await self._compute.outer(job.manifest, before, aggregate)
        anchored = job.finalized[round].checkpoint
        if done.root != anchored:
            self._refuted[job.job_id, round] = (
                f"checkpoint {anchored.hex()} of round {round} does not follow from its results, "
                f"which give {done.root.hex()}"
            )
            self._check_not_refuted(job, round)
        self._followed.add((job.job_id, round))
        self._checked[job.job_id, round + 1] = done.checkpoint
        return done.checkpoint

    def _check_not_refuted(self, job: JobView, round: int) -> None:
        """The chain does not change: what was found wrong once is not computed again."""
        refuted = self._refuted.get((job.job_id, round))
        if refuted is not None:
            raise PeerFault(refuted)

    async def _rebuilt(
        self, job: JobView, manifest: Manifest, round: int, missing: NodeError
    ) -> BlobRef:
        """The checkpoint after `round`, computed anew once it was `missing` for long enough."""
        self._check_not_refuted(job, round)
        now = trio.current_time()
        if now - self._missed_at.setdefault((job.job_id, round), now) < LOST_S:
            raise missing
        log.warning("round %d of job %s is computed anew: %s", round, job.job_id.hex(), missing)
        before = await self.checkpoint(job, manifest, round)
        results = [
            (await self._unit(job, manifest, before, round, slot, audit=True)).result
            for slot in range(job.slots)
        ]
        return await self._combined(job, round, before, results)
