"""After a job's last round: keep what it was trained for, so that it does not hang on one node.

While rounds go on every worker has the checkpoint, because it works on it. The last one nobody
works on: only its coordinator has it. So the nodes that took the submitter's offer, and some of
those that computed in the last round, fetch the round's aggregate, step to the final checkpoint,
evaluate it, and keep all three. Whoever comes back later for the weights finds them there, and the
evaluation too, when the coordinator is gone.

What nobody has any more is not computed anew: nobody pays for it, and `ainur job replay` can.
"""

import hashlib
import logging

import trio

from node.blobs import BlobStore
from node.chain import events as on_chain
from node.chain_watch import ChainWatch
from node.checkpoints import Checkpoints
from node.compute import Compute
from node.errors import NodeError
from node.jobs import JobKeeper
from node.journal import Journal
from node.ledger import JobState, JobView
from node.round_memory import RoundMemory

log = logging.getLogger(__name__)

KEEPERS_MAX = 8
"""Workers of the last round that keep its checkpoint, besides the nodes that took the offer."""

LOOK_S = 5.0
RETRY_FIRST_S, RETRY_MAX_S = 2.0, 600.0
GIVE_UP_S = 86_400
"""Seconds of the chain's time after which a checkpoint that nobody has is looked for no more."""

_KEPT = "kept/"


class LastRounds:
    """The final checkpoints that this node keeps. `run` is the task."""

    def __init__(
        self,
        wallet: str,
        watch: ChainWatch,
        jobs: JobKeeper,
        checkpoints: Checkpoints,
        compute: Compute,
        store: BlobStore,
        journal: Journal,
        memory: RoundMemory,
    ) -> None:
        self._wallet, self._watch, self._jobs = wallet, watch, jobs
        self._checkpoints, self._compute, self._store = checkpoints, compute, store
        self._journal, self._memory = journal, memory
        self._retry: dict[bytes, tuple[float, float]] = {}
        self._seen_s: dict[bytes, int] = {}
        self._keeper: dict[bytes, bool] = {}

    async def run(self) -> None:
        """Keep what is to be kept, for ever."""
        while True:
            for job in self._due():
                await self._try(job)
            await self._watch.changed(LOOK_S)

    def _due(self) -> list[JobView]:
        """Jobs that were completed, are held here and whose end this node is to keep."""
        now, now_s = trio.current_time(), self._watch.chain_time_s()
        due = []
        for job in self._watch.ledger.jobs.values():
            if job.state is not JobState.COMPLETED or job.job_id not in self._jobs.held:
                continue
            ended_s = self._seen_s.setdefault(job.job_id, now_s)
            patient = now_s - ended_s < GIVE_UP_S
            early = now < self._retry.get(job.job_id, (0.0, 0.0))[0]
            if patient and not early and self._is_keeper(job) and not self._is_kept(job):
                due.append(job)
        return due

    def _is_kept(self, job: JobView) -> bool:
        misled = self._checkpoints.refuted(job) is not None
        return misled or self._journal.get(_KEPT + job.job_id.hex()) is not None

    def _is_keeper(self, job: JobView) -> bool:
        if job.job_id not in self._keeper:
            self._keeper[job.job_id] = self._should_keep(job)
        return self._keeper[job.job_id]

    def _should_keep(self, job: JobView) -> bool:
        """Whether this node took the offer (it has all of the data) or is one of the workers."""
        if self._store.has(self._jobs.held[job.job_id].train):
            return True
        workers = {
            claim.worker
            for event in job.log
            if isinstance(event, on_chain.RoundCommitted) and event.round == job.rounds - 1
            for claim in event.claims
        }
        order = sorted(workers, key=lambda wallet: _rank(job.job_id, wallet))
        return self._wallet in order[:KEEPERS_MAX]

    async def _try(self, job: JobView) -> None:
        try:
            await self._keep(job)
        except NodeError as error:
            _, pause_s = self._retry.get(job.job_id, (0.0, RETRY_FIRST_S))
            self._retry[job.job_id] = (
                trio.current_time() + pause_s,
                min(2 * pause_s, RETRY_MAX_S),
            )
            log.info("job %s: its last checkpoint: %s", job.job_id.hex()[:12], error)

    async def _keep(self, job: JobView) -> None:
        """Have the final checkpoint and what made it; its evaluation is this node's own."""
        manifest, last = self._jobs.held[job.job_id], job.rounds - 1
        checkpoint = await self._checkpoints.get(job, manifest, job.rounds, rebuild=False)
        made_by = await self._checkpoints.learn(job, manifest, last)
        metrics = await self._compute.evaluate(job.manifest, checkpoint)
        self._memory.keep(job.job_id, made_by.model_copy(update={"metrics": metrics}))
        self._journal.set(_KEPT + job.job_id.hex(), b"")
        log.info("job %s: its last checkpoint is kept here", job.job_id.hex()[:12])


def _rank(job_id: bytes, wallet: str) -> bytes:
    return hashlib.sha256(job_id + wallet.lower().encode()).digest()
