"""Making room: removing what no job needs any more, so that the store does not only fill.

Removed is what is known to be of no use, and nothing else:

- all of a job that has been over for `keep_s` of the chain's time (programs, data, rounds), or
  what came of one that was never held whole;
- once the store is fuller than FULL_PERCENT of its quota, what made rounds before the last
  ROUNDS_KEPT final ones, oldest first, until it is down to LOW_PERCENT.

So old checkpoints can be had for as long as there is room. Never removed is what another job needs
too, what made the last final rounds of a running job or belongs to its open one, what a
coordination under way names, and what a job that is just being fetched found here. A job that is
over stays whole as long as a unit of it is under audit or in dispute.

Blobs go first and the notes that name them last, with who holds them and the roots that were
committed to: killed in between, the next pass goes on.
"""

import logging
from collections.abc import Callable, Iterable, Iterator

import trio

from node.blobs import BlobStore
from node.chain_watch import ChainWatch
from node.commitments import Commitments
from node.custody import Custody
from node.errors import NodeError
from node.jobs import JobKeeper
from node.journal import Journal
from node.ledger import UNSETTLED, JobView
from node.round_memory import RoundMemory
from scheduler.blob_ref import BlobRef
from scheduler.terms import ROUNDS_AHEAD_MAX

log = logging.getLogger(__name__)

ROUNDS_KEPT = 2
FULL_PERCENT, LOW_PERCENT = 80, 60
LOOK_S = 60.0
REMOVED_MAX = 4096
"""Blobs that one pass removes at most, so that the daemon is not kept from its work."""
REMOVED_AT_ONCE = 64
"""Blobs that go between two looks at what is in use."""

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
        commitments: Commitments,
        custody: Custody,
        busy: Busy,
        keep_s: int,
    ) -> None:
        self.freed_bytes = self.used_bytes = 0
        self._watch, self._jobs, self._store = watch, jobs, store
        self._journal, self._memory = journal, memory
        self._commitments, self._custody = commitments, custody
        self._busy, self._keep_s = busy, keep_s
        self._gone: set[bytes] = set()
        self._spent: set[bytes] = set()
        self._left = 0

    async def run(self) -> None:
        """Clean now and then, for ever."""
        while True:
            try:
                self.used_bytes = await trio.to_thread.run_sync(self._store.used_bytes)
                await self.clean()
            except (NodeError, OSError) as error:
                log.warning("cleaning is tried again: %s", error)
            await trio.sleep(LOOK_S)

    async def clean(self) -> None:
        """One pass over what is known, given that the store holds `used_bytes`.

        The daemon's own work goes on meanwhile: keys alone are read, a round at a time, and what
        is in use is looked at again before each few blobs, which go in a thread.
        """
        self._left = REMOVED_MAX
        spent = [job for job in self._known() if self._is_spent(job)]
        self._spent = {job.job_id for job in spent}
        if spent:
            shared = await self._made_by_living()
            for job in spent:
                await self._remove_job(job, shared)
        full = self._store.quota_bytes * FULL_PERCENT // 100
        if self.used_bytes > full:
            await self._make_room(self._store.quota_bytes * LOW_PERCENT // 100)

    def _known(self) -> list[JobView]:
        """The jobs of which something may be here."""
        jobs = self._watch.ledger.jobs.values()
        return [job for job in jobs if job.job_id not in self._gone]

    def _living(self) -> list[JobView]:
        return [job for job in self._known() if job.job_id not in self._spent]

    # --- Jobs that are over

    def _is_spent(self, job: JobView) -> bool:
        """Whether a job left something here and has been over for long enough."""
        now_s = self._watch.chain_time_s()
        if job.accepts_work(now_s) or job.job_id in self._jobs.arriving:
            return False
        settled = not any(unit.state in UNSETTLED for unit in job.units.values())
        begun = self._jobs.manifest_of(job) is not None or self._jobs.begun(job)
        # Of a job whose manifest never came there is what an auditor said of it.
        here = begun or self._store.has(job.manifest) or self._commitments.any(job.job_id)
        if not here:
            if settled:
                self._gone.add(job.job_id)
            return False
        key = _OVER + job.job_id.hex()
        since = self._journal.get(key)
        if since is None:
            self._journal.set(key, str(now_s).encode())
            return False
        return settled and now_s - int(since) >= self._keep_s

    async def _remove_job(self, job: JobView, shared: set[BlobRef]) -> None:
        before = self.freed_bytes
        await self._remove(set(self._lasting(job)) - shared)
        for round in self._rounds(job):
            await self._remove(self._made(job, round) - shared)
        if self._left <= 0 or job.job_id in self._jobs.arriving:
            return
        name = job.job_id.hex()
        with self._journal.transaction():
            self._memory.forget(job.job_id)
            self._commitments.forget(job.job_id)
            for key in (_OVER + name, _CLEANED + name, f"order/{name}"):
                self._journal.delete(key)
            for prefix in ("holding", "finding", "custody", "own", "receipt"):
                for key in self._journal.keys(f"{prefix}/{name}/"):
                    self._journal.delete(key)
            for stream in self._journal.streams():
                if stream.startswith(f"coordination/{name}/"):
                    self._journal.drop(stream)
            self._jobs.forget(job.job_id)
        self._gone.add(job.job_id)
        log.info("job %s: %d bytes were removed", name[:12], self.freed_bytes - before)

    async def _made_by_living(self) -> set[BlobRef]:
        """Everything that was made in the rounds of jobs that are not to be removed."""
        made = set[BlobRef]()
        for job in self._living():
            for round in self._rounds(job):
                made |= self._made(job, round)
                await trio.lowlevel.checkpoint()
        return made

    def _lasting(self, job: JobView) -> Iterator[BlobRef]:
        """What a job needs in every round."""
        manifest = self._jobs.manifest_of(job)
        yield job.manifest
        yield from self._jobs.begun(job) if manifest is None else manifest.blobs()

    def _rounds(self, job: JobView) -> list[int]:
        """The rounds of which something may be here, in order."""
        first = int(self._journal.get(_CLEANED + job.job_id.hex()) or 0)
        final = range(first, job.open_round)
        return sorted({*self._memory.rounds(job.job_id), *final, *job.anchors})

    def _made(self, job: JobView, round: int) -> set[BlobRef]:
        """What was made in a round and led to its checkpoint, the checkpoint included."""
        anchored = job.after(round)
        return self._memory.blobs(job.job_id, round) | ({anchored.blob} if anchored else set())

    # --- Old rounds

    async def _make_room(self, wanted_bytes: int) -> None:
        old = list[tuple[int, JobView, int]]()
        for job in self._living():
            last = len(job.finalized) - ROUNDS_KEPT
            old += [(round - last, job, round) for round in self._rounds(job) if round < last]
            await trio.lowlevel.checkpoint()
        for _, job, round in sorted(old, key=lambda row: (row[0], row[1].job_id)):
            if self.used_bytes <= wanted_bytes:
                return
            refs = self._made(job, round)
            await self._remove(refs)
            if self._left <= 0:
                return
            key = _CLEANED + job.job_id.hex()
            with self._journal.transaction():
                first = max(round + 1, int(self._journal.get(key) or 0))
                self._journal.set(key, str(first).encode())
                self._commitments.forget(job.job_id, round)
                self._custody.forget_round(job.job_id, round)
                for ref in refs:
                    self._memory.forget_blob(job.job_id, round, ref)

    # --- Removing

    def _needed(self) -> set[BlobRef]:
        """What is in use now, or may be: nothing that a job found here may go meanwhile."""
        arriving = (ref for manifest in self._jobs.arriving.values() for ref in manifest.blobs())
        needed = {*self._busy(), *arriving}
        for job in self._living():
            needed.update(self._lasting(job))
            last = max(0, job.open_round - ROUNDS_KEPT)
            # Anchors may have been withdrawn: rounds ahead count whether they are anchored or not.
            for round in range(last, job.open_round + ROUNDS_AHEAD_MAX + 1):
                needed |= self._made(job, round)
        return needed

    async def _remove(self, refs: set[BlobRef]) -> None:
        """Remove those that are not needed, as far as the pass may."""
        todo = sorted(refs, key=lambda ref: ref.root)
        while todo and self._left > 0:
            count = min(REMOVED_AT_ONCE, self._left)
            some, todo = todo[:count], todo[count:]
            needed = self._needed()
            freed = await trio.to_thread.run_sync(
                self._unlink, [ref for ref in some if ref not in needed]
            )
            self._left -= sum(size > 0 for size in freed)
            self.freed_bytes += sum(freed)
            self.used_bytes -= sum(freed)

    def _unlink(self, refs: list[BlobRef]) -> list[int]:
        return [self._store.remove(ref) for ref in refs]
