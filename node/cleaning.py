"""Making room: removing what no job needs any more, so that the store does not only fill.

Removed is what is known to be of no use, and nothing else:

- all of a job that has been over for `keep_s` of the chain's time (programs, data, rounds);
- once the store is fuller than FULL_PERCENT of its quota, what made rounds before the last
  ROUNDS_KEPT final ones, oldest first, until it is down to LOW_PERCENT.

So old checkpoints can be had for as long as there is room. Never removed is what another job needs
too, what made the last final rounds or belongs to an open one, what a coordination under way names,
and anything of a job with a unit under audit or in dispute.

Blobs go first and the notes that name them last: killed in between, the next pass goes on.
"""

import logging
from collections.abc import Callable, Iterable, Iterator

import trio

from node.blobs import BlobStore
from node.chain_watch import ChainWatch
from node.errors import NodeError
from node.jobs import JobKeeper
from node.journal import Journal
from node.ledger import JobView, UnitState
from node.round_memory import RoundMemory
from scheduler.blob_ref import BlobRef

log = logging.getLogger(__name__)

ROUNDS_KEPT = 2
FULL_PERCENT, LOW_PERCENT = 80, 60
LOOK_S = 60.0
REMOVED_MAX = 4096
"""Blobs that one pass removes at most, so that the daemon is not kept from its work."""

UNSETTLED = (UnitState.DRAWN, UnitState.AUDIT_COMMITTED, UnitState.DISPUTED)
_OVER, _CLEANED = "over/", "cleaned/"

Busy = Callable[[], Iterable[BlobRef]]
"""The blobs that a coordination under way names."""


class Cleaner:
    """The cleaning of one node. `run` is the task; `freed_bytes` counts since the start."""

    def __init__(
        self,
        watch: ChainWatch,
        jobs: JobKeeper,
        store: BlobStore,
        journal: Journal,
        memory: RoundMemory,
        busy: Busy,
        keep_s: int,
    ) -> None:
        self.freed_bytes = self.used_bytes = 0
        self._watch, self._jobs, self._store = watch, jobs, store
        self._journal, self._memory = journal, memory
        self._busy, self._keep_s = busy, keep_s
        self._gone: set[bytes] = set()
        self._left = 0

    async def run(self) -> None:
        """Clean now and then, for ever."""
        while True:
            try:
                self.used_bytes = await trio.to_thread.run_sync(self._store.used_bytes)
                self.clean()
            except (NodeError, OSError) as error:
                log.warning("cleaning is tried again: %s", error)
            await trio.sleep(LOOK_S)

    def clean(self) -> None:
        """One pass over what is known, given that the store holds `used_bytes`."""
        self._left = REMOVED_MAX
        over = [job for job in self._watch.ledger.jobs.values() if self._is_spent(job)]
        for job in over:
            self._remove_job(job)
        full = self._store.quota_bytes * FULL_PERCENT // 100
        if self.used_bytes > full:
            self._make_room(self._store.quota_bytes * LOW_PERCENT // 100)

    # --- Jobs that are over

    def _is_spent(self, job: JobView) -> bool:
        """Whether a job left something here and has been over for long enough."""
        now_s = self._watch.chain_time_s()
        if job.job_id in self._gone or job.accepts_work(now_s):
            return False
        if job.job_id in self._jobs.arriving:
            return False
        if self._jobs.manifest_of(job) is None and not self._store.has(job.manifest):
            self._gone.add(job.job_id)
            return False
        key = _OVER + job.job_id.hex()
        since = self._journal.get(key)
        if since is None:
            self._journal.set(key, str(now_s).encode())
            return False
        settled = not any(unit.state in UNSETTLED for unit in job.units.values())
        return settled and now_s - int(since) >= self._keep_s

    def _remove_job(self, job: JobView) -> None:
        others = (other for other in self._watch.ledger.jobs.values() if other is not job)
        shared = {ref for other in others for ref in self._all_of(other)} | self._under_way()
        before = self.freed_bytes
        self._remove(ref for ref in self._all_of(job) if ref not in shared)
        if self._left <= 0:
            return
        name = job.job_id.hex()
        with self._journal.transaction():
            self._memory.forget(job.job_id)
            for key in (_OVER + name, _CLEANED + name, f"order/{name}"):
                self._journal.delete(key)
            for prefix in ("holding", "custody"):
                for key in self._journal.keys(f"{prefix}/{name}/"):
                    self._journal.delete(key)
            for stream in self._journal.streams():
                if stream.startswith(f"coordination/{name}/"):
                    self._journal.drop(stream)
            self._jobs.forget(job.job_id)
        self._gone.add(job.job_id)
        log.info("job %s: %d bytes were removed", name[:12], self.freed_bytes - before)

    def _under_way(self) -> set[BlobRef]:
        """What no note names yet, or not for long: of coordinations, and of jobs being fetched."""
        arriving = (ref for manifest in self._jobs.arriving.values() for ref in manifest.blobs())
        return {*self._busy(), *arriving}

    def _all_of(self, job: JobView) -> Iterator[BlobRef]:
        """Every blob that is known to belong to a job, unless that was removed already."""
        if job.job_id in self._gone:
            return
        yield from self._lasting(job)
        for refs in self._rounds_of(job).values():
            yield from refs

    def _lasting(self, job: JobView) -> Iterator[BlobRef]:
        """What a job needs in every round."""
        manifest = self._jobs.manifest_of(job)
        yield job.manifest
        if manifest is not None:
            yield from manifest.blobs()

    def _rounds_of(self, job: JobView) -> dict[int, set[BlobRef]]:
        """What was made in each round and led to its checkpoint, the checkpoint included."""
        rounds = self._memory.blobs(job.job_id)
        for round, anchored in (*job.finalized.items(), *job.anchors.items()):
            rounds.setdefault(round, set()).add(anchored.blob)
        first = int(self._journal.get(_CLEANED + job.job_id.hex()) or 0)
        return {round: refs for round, refs in rounds.items() if round >= first}

    # --- Old rounds

    def _make_room(self, wanted_bytes: int) -> None:
        jobs = [job for job in self._watch.ledger.jobs.values() if job.job_id not in self._gone]
        needed, old = self._under_way(), list[tuple[int, JobView, int, set[BlobRef]]]()
        for job in jobs:
            needed.update(self._lasting(job))
            last = len(job.finalized) - ROUNDS_KEPT
            for round, refs in self._rounds_of(job).items():
                if round >= last:
                    needed |= refs
                else:
                    old.append((round - last, job, round, refs))
        for _, job, round, refs in sorted(old, key=lambda row: (row[0], row[1].job_id)):
            if self.used_bytes <= wanted_bytes or self._left <= 0:
                return
            self._remove(refs - needed)
            if self._left <= 0:
                return
            self._journal.set(_CLEANED + job.job_id.hex(), str(round + 1).encode())
            self._memory.forget_blobs(job.job_id, round)

    def _remove(self, refs: Iterable[BlobRef]) -> None:
        for ref in sorted(set(refs), key=lambda ref: ref.root):
            if self._left <= 0:
                return
            freed = self._store.remove(ref)
            if freed:
                self._left -= 1
                self.freed_bytes += freed
                self.used_bytes -= freed
