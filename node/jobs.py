"""Which jobs this node holds: program and data of every funded job, fetched, checked and kept.

A job's blobs come from its submitter (an offer, as long as the submitter is online) or from any
peer that holds them. A node holds a job once every blob is stored and the compute worker has
checked that the five Programs and the data fit together; only held jobs are worked on. What a
stranger's manifest may cost in disk is bounded by the store's quota. A job that was found malformed
stays refused and its blobs are removed; one that the compute worker did not survive is not tried
again soon.

All funded jobs are held, whatever they are paid in, for an audit of any may fall on this node; work
is done for those alone that pay in what the node accepts.
"""

import json
import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import NoReturn, Protocol

import trio

from engine.ops import ARITHMETIC_VERSION
from node.blobs import BlobStore
from node.chain.types import ZERO_ADDRESS
from node.chain_watch import ChainWatch
from node.compute import Compute, ComputeCrashed, ComputeTimeout
from node.errors import NodeError, PeerFault, PeerUnreachable
from node.journal import Journal
from node.ledger import JobView
from node.messages import JobHeld, Message, OfferJob, Refused
from node.rows import Layout, read_layout, unit_chunks
from scheduler.blob_ref import BlobRef
from scheduler.errors import ManifestError
from scheduler.manifest import Manifest

log = logging.getLogger(__name__)


class Fetch(Protocol):
    """How a blob comes into the store."""

    async def __call__(
        self, ref: BlobRef, sources: Sequence[str], chunks: Collection[int] | None = None, /
    ) -> None:
        """Bring it, or only these chunks of it, from these peers; PeerUnreachable if none has."""
        ...


OFFER_WAIT_S = 30.0
RETRY_S = 5.0
RETRY_S_MAX = 120.0
LOST_FIRST_S, LOST_MAX_S = 30.0, 3600.0
"""Pauses, four times as long each, after a job that cost a compute worker its life or all the time
that a request may take."""

HEADER = (0,)
"""The chunk of the training data that says where its tensors lie: without it no job is held."""

_HELD, _BEGUN = "held/", "begun/"


class JobKeeper:
    """The jobs that this node holds; `held` maps job id to manifest."""

    def __init__(
        self,
        watch: ChainWatch,
        store: BlobStore,
        journal: Journal,
        compute: Compute,
        fetch: Fetch,
        wallet: str,
        accepted_tokens: Collection[str] = (),
    ) -> None:
        self.held: dict[bytes, Manifest] = {}
        self.problems: dict[bytes, str] = {}
        self.out_of_reach: set[bytes] = set()
        """Funded jobs of which some blob was nowhere to be had when it was last looked for."""
        self.arriving: dict[bytes, Manifest] = {}
        """Jobs being fetched and checked: what is here already of their blobs has to stay."""
        self._watch, self._store, self._journal = watch, store, journal
        self._compute, self._fetch, self._wallet = compute, fetch, wallet
        self._locks: dict[bytes, trio.Lock] = {}
        self._refused: dict[bytes, str] = {}
        self._not_before: dict[bytes, float] = {}
        self._lost_s: dict[bytes, float] = {}
        self._accepted = {ZERO_ADDRESS, *accepted_tokens}
        self._left: set[bytes] = set()
        self._layouts: dict[BlobRef, Layout] = {}

    def recover(self) -> None:
        """Take up the jobs that were held when the node stopped; their blobs are still here."""
        for key in self._journal.keys(_HELD):
            data = self._journal.get(key) or b""
            manifest = Manifest.parse(data)
            if self._has_all(manifest):
                self.held[bytes.fromhex(key.removeprefix(_HELD))] = manifest

    def manifest_of(self, job: JobView) -> Manifest | None:
        """The manifest of a job that is held, or was and has lost blobs; else None."""
        data = self._journal.get(_HELD + job.job_id.hex())
        return None if data is None else Manifest.parse(data)

    def begun(self, job: JobView) -> list[BlobRef]:
        """What was not here when a job was first fetched that is neither held nor refused yet."""
        data = self._journal.get(_BEGUN + job.job_id.hex())
        return [BlobRef.model_validate(each) for each in json.loads(data or b"[]")]

    def forget(self, job_id: bytes) -> None:
        """Hold a job no more; its blobs are the caller's business."""
        self._left.discard(job_id)
        self.held.pop(job_id, None)
        for prefix in (_HELD, _BEGUN):
            self._journal.delete(prefix + job_id.hex())

    def workable(self) -> list[JobView]:
        """Held jobs that can still be worked on and pay in what is accepted here, oldest first."""
        return [job for job in self._open() if self._accepts(job)]

    def why_idle(self) -> str:
        """Why no job is `workable`, for people."""
        if any(not self._accepts(job) for job in self._open()):
            return "idle: every funded job here pays in a token that accepted_tokens does not name"
        return "idle: no funded job is held here"

    def why_left(self, job: JobView) -> str:
        """Why this node does no work for a job that it holds; empty if it does."""
        if job.token in self._accepted:
            return ""
        return f"left to others: it pays in {job.token}, which accepted_tokens does not name"

    def _open(self) -> list[JobView]:
        now_s = self._watch.chain_time_s()
        jobs = [job for job in self._watch.ledger.jobs.values() if job.job_id in self.held]
        jobs.sort(key=lambda job: job.funded_at)
        return [job for job in jobs if job.accepts_work(now_s)]

    def _accepts(self, job: JobView) -> bool:
        """Whether this node works for what the job pays in; the log has once why it does not."""
        if job.token in self._accepted:
            return True
        if job.job_id not in self._left:
            self._left.add(job.job_id)
            log.info(
                "job %s is %s; audits and juries are done all the same",
                job.job_id.hex()[:12],
                self.why_left(job),
            )
        return False

    async def hold(self, job: JobView, sources: Sequence[str], *, whole: bool = False) -> Manifest:
        """Fetch and check the job unless it is held; the `whole` training data only if asked for.

        NodeError says what stands in the way.
        """
        async with self._locks.setdefault(job.job_id, trio.Lock()):
            if job.job_id in self.held:
                manifest = self.held[job.job_id]
                if whole:
                    await self._fetch(manifest.train, sources)
                return manifest
            self._check_not_put_off(job)
            try:
                manifest = await self._fetch_manifest(job, sources)
            except ManifestError as error:
                self._refuse(job, [], str(error))
            self.arriving[job.job_id] = manifest
            try:
                await self._bring(job, manifest, sources, whole)
            finally:
                del self.arriving[job.job_id]
            self.held[job.job_id] = manifest
            self.problems.pop(job.job_id, None)
            self.out_of_reach.discard(job.job_id)
            log.info("job %s (%s) is held here", job.job_id.hex()[:12], manifest.name)
            return manifest

    async def _bring(
        self, job: JobView, manifest: Manifest, sources: Sequence[str], whole: bool
    ) -> None:
        """Fetch and check what a manifest names, and keep that it is held."""
        self._begin(job, manifest)
        for ref in manifest.needed():
            await self._fetch(ref, sources)
        await self._fetch(manifest.train, sources, None if whole else HEADER)
        try:
            await self._compute.load(job.manifest)
        except PeerFault as error:
            self._refuse(job, self.begun(job), str(error))
        except (ComputeCrashed, ComputeTimeout):
            pause_s = self._lost_s.get(job.job_id, LOST_FIRST_S)
            self._lost_s[job.job_id] = min(4 * pause_s, LOST_MAX_S)
            self._not_before[job.job_id] = trio.current_time() + pause_s
            raise
        if not self._has_all(manifest):
            raise NodeError("some of the job's data was removed meanwhile; it is fetched again")
        with self._journal.transaction():
            self._journal.set(_HELD + job.job_id.hex(), manifest.to_bytes())
            self._journal.delete(_BEGUN + job.job_id.hex())

    def _begin(self, job: JobView, manifest: Manifest) -> None:
        key = _BEGUN + job.job_id.hex()
        if self._journal.get(key) is None:
            # A stranger may name any blob: what was here before is not its to have removed.
            new = [ref.model_dump() for ref in manifest.blobs() if not self._store.has(ref)]
            self._journal.set(key, json.dumps(new).encode())

    def _has_all(self, manifest: Manifest) -> bool:
        """Whether everything is here that every unit of a job needs."""
        needed = all(self._store.has(ref) for ref in manifest.needed())
        return needed and self._store.has_chunks(manifest.train, HEADER)

    async def fetch_windows(
        self, job: JobView, round: int, slot: int, sources: Sequence[str]
    ) -> None:
        """Have the chunks of a held job's training data that a unit reads.

        PeerUnreachable if the sources have not got them.
        """
        manifest = self.held[job.job_id]
        if self._store.has(manifest.train):
            return
        chunks = unit_chunks(self._layout(manifest.train), manifest, round, slot)
        await self._fetch(manifest.train, sources, chunks)

    def _layout(self, ref: BlobRef) -> Layout:
        if ref not in self._layouts:
            self._layouts[ref] = read_layout(ref, self._store.chunk(ref, 0))
        return self._layouts[ref]

    async def answer_offer(self, peer_id: str, message: Message) -> Message:
        """Serve the offer protocol: hold the offered job if the chain says it is funded."""
        if not isinstance(message, OfferJob):
            raise PeerFault(f"an offer was due, {type(message).__name__} came")
        job_id = bytes.fromhex(message.job_id)
        job = await self._funded(job_id)
        if job is None:
            return Refused(reason="the chain does not know this job; fund it first")
        if job.manifest != message.manifest:
            return Refused(reason="the chain names another manifest for this job")
        await self.hold(job, [peer_id], whole=True)
        return JobHeld(job_id=message.job_id, wallet=self._wallet)

    async def run(self, connected: Callable[[], Sequence[str]]) -> None:
        """Fetch what is funded and not held from whoever is connected, again and again."""
        retry_at: dict[bytes, tuple[float, float]] = {}
        while True:
            for job in self._wanted():
                at, pause = retry_at.get(job.job_id, (0.0, RETRY_S))
                if trio.current_time() < at:
                    continue
                try:
                    await self.hold(job, connected())
                except NodeError as error:
                    self.problems[job.job_id] = str(error)
                    if isinstance(error, PeerUnreachable):
                        self.out_of_reach.add(job.job_id)
                    else:
                        self.out_of_reach.discard(job.job_id)
                    log.info("job %s is not held yet: %s", job.job_id.hex()[:12], error)
                    doubled = min(pause * 2, RETRY_S_MAX)
                    retry_at[job.job_id] = (trio.current_time() + pause, doubled)
            await self._watch.changed(RETRY_S / 2)

    def _wanted(self) -> list[JobView]:
        now_s = self._watch.chain_time_s()
        jobs = self._watch.ledger.jobs.values()
        known = {*self.held, *self._refused}
        return [job for job in jobs if job.job_id not in known and job.accepts_work(now_s)]

    def _check_not_put_off(self, job: JobView) -> None:
        if job.job_id in self._refused:
            raise PeerFault(self._refused[job.job_id])
        wait_s = self._not_before.get(job.job_id, 0.0) - trio.current_time()
        if wait_s > 0:
            raise NodeError(
                f"job {job.job_id.hex()[:12]} cost the compute worker its life; "
                f"it is tried again in {wait_s:.0f} s"
            )

    def _refuse(self, job: JobView, blobs: Iterable[BlobRef], reason: str) -> NoReturn:
        """Never try the job again: what is addressed by content does not change."""
        self._refused[job.job_id] = self.problems[job.job_id] = reason
        arriving = [other for key, other in self.arriving.items() if key != job.job_id]
        others = (*self.held.values(), *arriving)
        shared = {ref for manifest in others for ref in manifest.blobs()}
        for ref in blobs:
            if ref not in shared:
                self._store.remove(ref)
        self._journal.delete(_BEGUN + job.job_id.hex())
        raise PeerFault(reason)

    async def _funded(self, job_id: bytes) -> JobView | None:
        with trio.move_on_after(OFFER_WAIT_S):
            while job_id not in self._watch.ledger.jobs:
                await self._watch.changed(OFFER_WAIT_S)
        return self._watch.ledger.jobs.get(job_id)

    async def _fetch_manifest(self, job: JobView, sources: Sequence[str]) -> Manifest:
        await self._fetch(job.manifest, sources)
        manifest = Manifest.parse(self._store.read(job.manifest))
        facts = (manifest.digest(), manifest.rounds, manifest.slots)
        if facts != (job.manifest_digest, job.rounds, job.slots):
            raise ManifestError("the manifest is not the one that was funded")
        if refusal := job.versions.refusal(ARITHMETIC_VERSION, manifest.version):
            raise ManifestError(refusal)
        if job.unit_flops != manifest.unit_flops:
            # The manifest's own figure is checked against the Programs when they are here.
            raise ManifestError(
                f"the escrow counts {job.unit_flops} FLOPs a unit, "
                f"the manifest says {manifest.unit_flops}"
            )
        if job.unit_wei < manifest.unit_wei:
            raise ManifestError(
                f"the escrow pays {job.unit_wei} wei a unit, the manifest says {manifest.unit_wei}"
            )
        return manifest
