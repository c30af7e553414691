"""From checkpoint to checkpoint: how a node follows a job, and how it finds out that it is misled.

A node that holds a round state fetches the round's **aggregate**, which is small, takes the outer
step by itself and compares the root of what it gets with the checkpoint that the chain has. Where
that does not lead there it fetches the checkpoint; where nobody has it any more, the round is
combined anew, from the results that somebody holds and units that are computed for the others: bits
do not depend on who computes (docs/spec/protocol.md, section 4, step 9).

That says what the anchored checkpoint is, not that it is right. Beside its own work, and before it
commits that, a node therefore **rechecks** some rounds: it fetches the results, compares them with
the claims on chain and aggregates them itself. Whether it does so is a private coin, so that a
coordinator cannot know who will. Where it finds the checkpoint wrong it goes on with this job no
more, and `alarm` is told.
"""

import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from random import Random

import trio

from node.blobs import BlobStore
from node.compute import Combination, Compute, ComputeError
from node.compute_messages import UnitDone
from node.errors import NodeError, PeerFault, PeerUnreachable
from node.final_rounds import Finalized
from node.jobs import Fetch
from node.ledger import JobView, UnitView
from node.messages import AcceptedResult, AskRound, RoundResults
from node.round_memory import Refutation, RoundMemory
from scheduler.blob_ref import BlobRef
from scheduler.manifest import Manifest
from scheduler.terms import UnitRef

log = logging.getLogger(__name__)

Sources = Callable[[JobView], Sequence[str]]
FetchWindows = Callable[[JobView, int, int, Sequence[str]], Awaitable[None]]
"""Bring the rows that a round's slot reads into the store, from one of these peers."""

AskRoundResults = Callable[[str, AskRound], Awaitable[RoundResults]]
"""Ask one peer what made a round; PeerUnreachable or PeerFault if it does not tell."""

LOST_S = 15.0
"""How long what made a checkpoint is looked for before the round is combined anew."""

FetchHeld = Callable[[bytes, UnitRef, bytes, BlobRef, str], Awaitable[None]]
"""Bring a result here from those who signed that they hold it, as a peer tells them."""

IsResult = Callable[[BlobRef], Awaitable[bool]]
FindResult = Callable[[bytes, UnitRef, bytes, int, IsResult], Awaitable[BlobRef]]
"""Bring a result with this root and size here from whoever says that it holds it, this node first;
PeerUnreachable where nobody does."""

TELLERS_MAX = 8
"""Peers that are asked what made a round, one after the other."""

RECHECKS_A_ROUND = 2
"""How many of a round's workers recheck it on average."""

RECHECK_ALWAYS_BYTES = 1 << 20
"""Results that are no larger together are rechecked by everybody: that costs next to nothing."""


class Checkpoints:
    """The checkpoints of held jobs: fetched or stepped to, compared with the chain, rechecked."""

    def __init__(
        self,
        compute: Compute,
        store: BlobStore,
        fetch: Fetch,
        fetch_windows: FetchWindows,
        sources: Sources,
        ask_round: AskRoundResults,
        fetch_held: FetchHeld,
        find_result: FindResult,
        memory: RoundMemory,
        chance: Random,
        alarm: Callable[[JobView, int], None],
    ) -> None:
        self._compute, self._store, self._memory = compute, store, memory
        self._fetch, self._fetch_windows = fetch, fetch_windows
        self._sources, self._ask_round, self._fetch_held = sources, ask_round, fetch_held
        self._find_result, self._chance, self._alarm = find_result, chance, alarm
        self._held: dict[_Mark, BlobRef] = {}
        self._doubtful: set[_Mark] = set()
        self._spared: set[_Mark] = set()
        self._proved: set[_Mark] = set()
        self._missed_at: dict[_Mark, float] = {}
        self._ready: dict[bytes, tuple[RoundResults, BlobRef, bytes]] = {}
        self.rechecks = 0

    def trust(self, job: JobView, round: int, checkpoint: bytes) -> None:
        """This checkpoint after `round` was made of its results here: it needs no check."""
        self._proved.add((job.job_id, round, checkpoint))

    def made(self, job: JobView, round: int, blob: BlobRef) -> BlobRef:
        """Take note of what was made here for a round, so that it can be removed one day."""
        self._memory.note(job.job_id, round, blob)
        return blob

    async def get(
        self, job: JobView, manifest: Manifest, round: int, *, rebuild: bool = True
    ) -> BlobRef:
        """The blob that a round starts from, stored here; its root is the one on chain.

        PeerUnreachable or PeerFault while it cannot be had. What nobody has any more is computed
        anew, unless `rebuild` forbids it.
        """
        here = await self._here(job, manifest, round)
        if here is not None:
            return here
        anchored = job.after(round - 1)
        if anchored is None:
            raise PeerFault(f"round {round} was asked for, but round {round - 1} is not anchored")
        stepped = await self._stepped(job, manifest, round - 1)
        if stepped is not None:
            return stepped
        try:
            return await self._fetched(job, manifest, round - 1, anchored)
        except (PeerUnreachable, PeerFault) as error:
            if not rebuild:
                raise
            return await self._rebuilt(job, manifest, round - 1, error)

    async def learn(self, job: JobView, manifest: Manifest, round: int) -> RoundResults:
        """What made the checkpoint after `round`, which is held here, from memory or from a peer.

        Kept from then on. PeerUnreachable while nobody tells it.
        """
        known = self._memory.recall(job.job_id, round)
        # It may be of claims that others have taken the place of since.
        if known is not None and not _other_claims(job, known):
            return known
        for peer_id in self._sources(job)[:TELLERS_MAX]:
            try:
                made_by = await self._told(job, manifest, round, peer_id)
            except (PeerUnreachable, PeerFault) as error:
                log.info("peer %s does not tell what made round %d: %s", peer_id, round, error)
                continue
            self._memory.keep(job.job_id, made_by)
            return made_by
        raise PeerUnreachable(f"nobody tells what made round {round} of job {job.job_id.hex()}")

    async def prepare(self, job: JobView, manifest: Manifest, round: int) -> None:
        """Step to where an open round will lead, as its coordinator tells before it is final.

        Nothing is believed: `get` compares it with what is anchored. It says nothing of who will
        recheck the round either, since everybody does it. PeerUnreachable or PeerFault where the
        coordinator does not tell, ComputeError where what it tells is of no use.
        """
        before = await self._here(job, manifest, round)
        sources = self._sources(job)
        if before is None or not sources or job.after(round) is not None:
            return
        made_by = await self._told(job, manifest, round, sources[0])
        done = await self._step(job, round, before, made_by.aggregate)
        self._ready[job.job_id] = (made_by, *done)

    async def check(self, job: JobView, manifest: Manifest, round: int) -> None:
        """Before own work on what follows `round`: PeerFault where this job is led astray.

        Tosses the coin, once a round, and rechecks the round if it says so.
        """
        self.check_not_refuted(job, round)
        key = _mark(job, round)
        if round < 0 or key in self._proved or key in self._spared:
            return
        units = job.claimed(round)
        if len(units) < job.slots:
            # The chain's units of that round are forgotten here: the round is long final.
            return
        workers = len({unit.worker for unit in units.values()})
        share = 1.0 if key in self._doubtful else recheck_share(manifest, workers)
        if self._chance.random() >= share:
            self._spared.add(key)
            return
        # Or a coordinator whose results cannot be had would have it tossed until it spares.
        self._doubtful.add(key)
        try:
            await self.recheck(job, manifest, round)
        except (PeerUnreachable, PeerFault) as error:
            await self._rebuilt(job, manifest, round, error)

    async def recheck(self, job: JobView, manifest: Manifest, round: int) -> None:
        """Make the checkpoint after `round` from its results; PeerFault if the chain has another.

        PeerUnreachable while the results cannot be had.
        """
        self.check_not_refuted(job, round)
        before = await self.get(job, manifest, round)
        key, problems = _mark(job, round), list[str]()
        for peer_id in self._sources(job)[:TELLERS_MAX]:
            try:
                made_by, made = await self._remade(job, manifest, round, before, peer_id)
            except (PeerUnreachable, PeerFault) as error:
                problems.append(f"{peer_id}: {error}")
                continue
            self.rechecks += 1
            self._compare(job, key, made)
            self._memory.keep(job.job_id, made_by)
            return
        raise PeerUnreachable(
            f"nobody tells the results of round {round}: {'; '.join(problems) or 'alone'}"
        )

    def can_recheck(self, job: JobView, round: int) -> bool:
        """Whether a recheck of the round is possible and its outcome is not known yet."""
        known = _mark(job, round) in self._proved or self.refuted(job) is not None
        return not known and job.after(round) is not None and len(job.claimed(round)) == job.slots

    def check_not_refuted(self, job: JobView, round: int) -> None:
        """PeerFault if this round, or one before it, was found wrong and stands on the chain."""
        refuted = self.refuted(job)
        if refuted is not None and refuted.round <= round:
            raise PeerFault(refuted.reason)

    def refuted(self, job: JobView) -> Refutation | None:
        """The checkpoint that was found wrong, if the chain still has it: an anchor may have been
        withdrawn since, and another taken its place.
        """
        refuted = self._memory.refuted(job.job_id)
        anchored = job.after(refuted.round) if refuted is not None else None
        if refuted is None or anchored is None or anchored.checkpoint != refuted.checkpoint:
            return None
        return refuted

    async def compute_unit(
        self,
        job: JobView,
        manifest: Manifest,
        checkpoint: BlobRef,
        round: int,
        slot: int,
        *,
        audit: bool,
    ) -> UnitDone:
        """Compute a unit from this round state, after its rows of the data were fetched."""
        await self._fetch_windows(job, round, slot, self._sources(job))
        done = await self._compute.run_unit(
            job.manifest,
            checkpoint,
            round,
            slot,
            audit=audit,
            timeout_s=float(manifest.unit_timeout_s),
        )
        self.made(job, round, done.result)
        return done

    async def fetch_input(self, job: JobView, round: int, slot: int) -> None:
        """Have the rows that a unit reads; PeerUnreachable if no peer that is known has them."""
        await self._fetch_windows(job, round, slot, self._sources(job))

    # --- Getting there

    async def _here(self, job: JobView, manifest: Manifest, round: int) -> BlobRef | None:
        """The round state that a round starts from, if it is here already."""
        if round == 0:
            return manifest.state
        known = self._held.get(_mark(job, round - 1))
        if known is not None and self._store.has(known):
            return known
        anchored = job.after(round - 1)
        if anchored is None or not self._store.has(anchored.blob):
            return None
        try:
            return await self._fetched(job, manifest, round - 1, anchored)
        except PeerFault:
            return None

    async def _stepped(self, job: JobView, manifest: Manifest, round: int) -> BlobRef | None:
        """The checkpoint after `round` by the aggregate that some peer tells; None if none fits."""
        before, key = await self._here(job, manifest, round), _mark(job, round)
        if before is None:
            return None
        ready = self._ready.pop(job.job_id, None)
        if ready is not None and ready[2] == key[2]:
            return self._arrived(key, ready[0], ready[1])
        tried: set[BlobRef] = set()
        for peer_id in self._sources(job)[:TELLERS_MAX]:
            try:
                made_by = await self._told(job, manifest, round, peer_id)
                if made_by.aggregate in tried:
                    continue
                tried.add(made_by.aggregate)
                done = await self._step(job, round, before, made_by.aggregate)
            except (PeerUnreachable, PeerFault, ComputeError) as error:
                log.info("peer %s tells no aggregate of round %d: %s", peer_id, round, error)
                continue
            if done[1] == key[2]:
                return self._arrived(key, made_by, done[0])
            log.info("the aggregate of peer %s does not lead to round %d", peer_id, round + 1)
        self._doubtful.add(key)
        return None

    def _arrived(self, key: "_Mark", made_by: RoundResults, checkpoint: BlobRef) -> BlobRef:
        self._held[key] = checkpoint
        self._memory.keep(key[0], made_by)
        return checkpoint

    async def _step(
        self, job: JobView, round: int, before: BlobRef, aggregate: BlobRef
    ) -> tuple[BlobRef, bytes]:
        await self._bring(job, round, aggregate)
        done = await self._compute.outer(job.manifest, before, aggregate)
        return self.made(job, round, done.checkpoint), done.root

    async def _bring(self, job: JobView, round: int, blob: BlobRef) -> None:
        """Fetch what a peer tells of a round: whatever it is worth, it goes with the round."""
        self._memory.note(job.job_id, round, blob)
        await self._fetch(blob, self._sources(job))

    async def _fetched(
        self, job: JobView, manifest: Manifest, round: int, anchored: Finalized
    ) -> BlobRef:
        """The anchored blob after `round`; PeerFault unless it holds the anchored checkpoint."""
        if anchored.blob.size != manifest.checkpoint_bytes:
            raise PeerFault(
                f"the checkpoint blob of round {round} has {anchored.blob.size} bytes, "
                f"must have {manifest.checkpoint_bytes}"
            )
        await self._bring(job, round, anchored.blob)
        root = await self._compute.check_checkpoint(job.manifest, anchored.blob)
        if root != anchored.checkpoint:
            raise PeerFault(
                f"the checkpoint blob of round {round} has root {root.hex()}, "
                f"the chain says {anchored.checkpoint.hex()}"
            )
        self._held[job.job_id, round, root] = anchored.blob
        return anchored.blob

    # --- What a round was made of

    async def _told(
        self, job: JobView, manifest: Manifest, round: int, peer_id: str
    ) -> RoundResults:
        """What a peer says made the round, checked against the chain as far as words can be."""
        answer = await self._ask_round(peer_id, AskRound(job_id=job.job_id.hex(), round=round))
        if answer.round != round or [r.slot for r in answer.results] != list(range(job.slots)):
            raise PeerFault(f"the results of round {round} are not one per slot")
        if answer.aggregate.size != manifest.aggregate_bytes:
            raise PeerFault(f"the aggregate of round {round} is {answer.aggregate.size} long")
        for slot in _other_claims(job, answer):
            raise PeerFault(f"slot {slot} of round {round} names another result")
        for result in answer.results:
            if result.blob.size != manifest.result_bytes:
                raise PeerFault(f"the result blob of slot {result.slot} is {result.blob.size} long")
        return answer

    async def _remade(
        self, job: JobView, manifest: Manifest, round: int, before: BlobRef, peer_id: str
    ) -> tuple[RoundResults, Combination]:
        """What the claimed results of a round lead to, as far as this peer tells where they are.

        All are fetched before the device is asked for: it may be busy with a unit meanwhile.
        """
        units = job.claimed(round)
        made_by = await self._told(job, manifest, round, peer_id)
        for result in made_by.results:
            await self._fetch_result(job, result, units[result.slot], peer_id)
        blobs = [result.blob for result in made_by.results]
        roots = [units[slot].result_root for slot in range(job.slots)]
        return made_by, await self._compute.combine(job.manifest, before, blobs, roots)

    async def _fetch_result(
        self, job: JobView, result: AcceptedResult, unit: UnitView, teller: str
    ) -> None:
        """From who is connected; if nobody of them has it, from all who signed that they do."""
        try:
            await self._bring(job, unit.key.round, result.blob)
        except PeerUnreachable:
            await self._fetch_held(job.job_id, unit.key, unit.result_root, result.blob, teller)

    def _compare(self, job: JobView, key: "_Mark", made: Combination) -> BlobRef:
        """The anchored checkpoint after a round, as it was made here; PeerFault if it is not."""
        _, round, anchored = key
        checkpoint = self.made(job, round, made.step.checkpoint)
        self.made(job, round, made.aggregate)
        if _mark(job, round) != key:
            raise PeerFault(f"the anchor of round {round} was withdrawn meanwhile")
        if made.step.root != anchored:
            if self._memory.refuted(job.job_id) is not None and self.refuted(job) is None:
                self._memory.forget_refuted(job.job_id)
            reason = (
                f"checkpoint {anchored.hex()} of round {round} does not follow from its results, "
                f"which give {made.step.root.hex()}"
            )
            self._memory.refute(job.job_id, Refutation(round, anchored, reason))
            self._alarm(job, round)
            self.check_not_refuted(job, round)
        self._proved.add(key)
        self._held[key] = checkpoint
        return checkpoint

    async def _rebuilt(
        self, job: JobView, manifest: Manifest, round: int, missing: NodeError
    ) -> BlobRef:
        """The checkpoint after `round`, computed anew once it was `missing` for long enough."""
        self.check_not_refuted(job, round)
        now, key = trio.current_time(), _mark(job, round)
        if now - self._missed_at.setdefault(key, now) < LOST_S:
            raise missing
        log.warning("round %d of job %s is combined anew: %s", round, job.job_id.hex(), missing)
        before = await self.get(job, manifest, round)
        blobs, roots = list[BlobRef](), list[bytes]()
        for slot in range(job.slots):
            blob, root = await self._found_or_computed(job, manifest, before, round, slot)
            blobs.append(blob)
            roots.append(root)
        made = await self._compute.combine(job.manifest, before, blobs, roots)
        return self._compare(job, key, made)

    async def _found_or_computed(
        self, job: JobView, manifest: Manifest, before: BlobRef, round: int, slot: int
    ) -> tuple[BlobRef, bytes]:
        """The result that was claimed for a slot, from who holds it, else from computing it."""
        unit = job.claimed(round).get(slot)
        if unit is not None:
            root, size = unit.result_root, manifest.result_bytes

            async def is_right(blob: BlobRef) -> bool:
                with contextlib.suppress(PeerFault):
                    return await self._compute.check_result(job.manifest, blob) == root
                return False

            with contextlib.suppress(PeerUnreachable):
                return await self._find_result(job.job_id, unit.key, root, size, is_right), root
        log.warning("slot %d of round %d is computed anew: nobody has its result", slot, round)
        done = await self.compute_unit(job, manifest, before, round, slot, audit=True)
        return done.result, done.result_root


_Mark = tuple[bytes, int, bytes]
"""Job, round, checkpoint after it: an anchor may be withdrawn and another take its place."""


def _mark(job: JobView, round: int) -> _Mark:
    anchored = job.after(round)
    return job.job_id, round, anchored.checkpoint if anchored is not None else b""


def _other_claims(job: JobView, made_by: RoundResults) -> list[int]:
    """The slots whose claim on chain has another result than this says."""
    units = job.claimed(made_by.round)
    return [
        result.slot
        for result in made_by.results
        if result.slot in units
        and units[result.slot].result_root != bytes.fromhex(result.result_root)
    ]


def recheck_share(manifest: Manifest, workers: int) -> float:
    """The probability with which each of a round's workers rechecks it.

    RECHECKS_A_ROUND of them do on average, so that what all of them fetch grows with the number of
    slots and not with its square. With the honest share h of w workers a false aggregate is missed
    by all with probability (1 - 2/w)^(hw), about exp(-2h): 0.14 where all are honest, 0.26 where
    two thirds are. Small results, and those of a round that at most two nodes computed, are always
    rechecked.
    """
    if manifest.slots * manifest.result_bytes <= RECHECK_ALWAYS_BYTES:
        return 1.0
    return min(1.0, RECHECKS_A_ROUND / max(1, workers))
