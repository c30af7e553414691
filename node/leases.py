"""Leases: which jobs this node coordinates, and when it takes one over.

A funded job that nobody coordinates is open to every bonded node that holds it. So that not all
of them try at once, nodes are ranked by a hash of job and wallet, and each waits a little longer
than the one before it. The same rule takes over a job whose coordinator's lease has run out. A
lease is renewed by every step of a round and, because a round may take longer, whenever half of it
is over.
"""

import hashlib
import logging
from collections.abc import Awaitable, Callable

import trio

from node.chain import AsyncChain, Reverted
from node.chain.types import Parameter
from node.chain_watch import ChainWatch
from node.coordination import Coordination
from node.errors import NodeError
from node.ids import JobId
from node.jobs import JobKeeper
from node.ledger import JobView

log = logging.getLogger(__name__)

LOOK_S = 0.5
STAGGER_S = 2.0
RETRY_S = 5.0

StartCoordination = Callable[[JobView], Awaitable[Coordination]]


class Leases:
    """The coordinations of one node; `active` maps job id to each that runs."""

    def __init__(
        self,
        wallet: str,
        watch: ChainWatch,
        chain: AsyncChain,
        jobs: JobKeeper,
        begin: StartCoordination,
    ) -> None:
        self.active: dict[bytes, Coordination] = {}
        self._wallet, self._watch, self._chain = wallet, watch, chain
        self._jobs, self._begin = jobs, begin
        self._free_since: dict[bytes, float] = {}
        self._retry_at: dict[bytes, float] = {}
        self._begin_at: dict[bytes, float] = {}
        self._renew_at_s: dict[bytes, tuple[int, int]] = {}
        self._asked: set[bytes] = set()
        self._draining = False
        self._undone = 0

    def drain(self) -> None:
        """Take no further lease. Those held stay: their journals continue after a restart."""
        self._draining = True

    async def run(self) -> None:
        """Take leases and coordinate, for ever."""
        async with trio.open_nursery() as nursery:
            while True:
                self._begin_again_if_undone()
                for job in self._jobs.workable():
                    if job.job_id not in self.active and self._is_ours(job):
                        await self._resume(nursery, job)
                    elif job.job_id in self._asked:
                        continue
                    elif self._should_take(job) or await self._should_renew(job):
                        self._asked.add(job.job_id)
                        nursery.start_soon(self._take, job)
                await self._settle_jobs()
                await self._watch.changed(LOOK_S)

    def _begin_again_if_undone(self) -> None:
        """Whoever coordinates by events that never happened ends, and is resumed from what did."""
        if self._watch.undone != self._undone:
            self._undone = self._watch.undone
            for coordination in self.active.values():
                coordination.stop()

    async def _resume(self, nursery: trio.Nursery, job: JobView) -> None:
        if trio.current_time() < self._begin_at.get(job.job_id, 0.0):
            return
        try:
            coordination = await self._begin(job)
        except NodeError as error:
            log.warning("job %s cannot be coordinated yet: %s", job.job_id.hex()[:12], error)
            self._begin_at[job.job_id] = trio.current_time() + RETRY_S
            return
        self.active[job.job_id] = coordination
        nursery.start_soon(self._coordinate, job, coordination)

    async def _should_renew(self, job: JobView) -> bool:
        """Whether half of our lease is over, as the chain's parameters measure it now."""
        early = trio.current_time() < self._retry_at.get(job.job_id, 0.0)
        if job.job_id not in self.active or not self._is_ours(job) or early:
            return False
        expires_s, renew_at_s = self._renew_at_s.get(job.job_id, (0, 0))
        if expires_s != job.lease_expires_s:
            try:
                lease_s = await self._chain.read(self._chain.sync.parameters.get, Parameter.LEASE_S)
            except NodeError as error:
                log.info("the length of a lease is unknown: %s", error)
                return False
            expires_s, renew_at_s = job.lease_expires_s, job.lease_expires_s - lease_s // 2
            self._renew_at_s[job.job_id] = expires_s, renew_at_s
        return self._watch.chain_time_s() >= renew_at_s

    async def _settle_jobs(self) -> None:
        """Close the books of jobs that are over: whoever coordinated one last refunds the rest."""
        now = trio.current_time()
        for job in list(self._watch.ledger.jobs.values()):
            ours = job.holder == self._wallet and not job.settled
            ended = job.is_over or self._watch.chain_time_s() >= job.deadline_s
            if not (ours and ended) or now < self._retry_at.get(job.job_id, 0.0):
                continue
            self._retry_at[job.job_id] = now + RETRY_S
            escrow, job_id = self._chain.sync.escrow, JobId(job.job_id)
            try:
                at_s = await self._chain.read(escrow.settleable_at, job_id)
                if self._watch.chain_time_s() >= at_s:
                    await self._chain.send(escrow.settle(job_id))
            except NodeError as error:
                log.info("job %s is not settled yet: %s", job.job_id.hex()[:12], error)

    async def _coordinate(self, job: JobView, coordination: Coordination) -> None:
        log.info("coordinating job %s", job.job_id.hex()[:12])
        try:
            await coordination.run()
        finally:
            del self.active[job.job_id]
        outcome = coordination.state.outcome
        log.info("coordination of job %s is over: %s", job.job_id.hex()[:12], outcome)

    def _is_ours(self, job: JobView) -> bool:
        return job.holder == self._wallet and not self._is_free(job)

    def _is_free(self, job: JobView) -> bool:
        expired = self._watch.chain_time_s() >= job.lease_expires_s
        return not job.holder or expired or not self._watch.ledger.is_active(job.holder)

    def _should_take(self, job: JobView) -> bool:
        """Whether the lease is free and our turn has come."""
        now = trio.current_time()
        if self._draining or not self._is_free(job):
            self._free_since.pop(job.job_id, None)
            return False
        if not self._watch.ledger.is_active(self._wallet) or now < self._retry_at.get(
            job.job_id, 0.0
        ):
            return False
        since = self._free_since.setdefault(job.job_id, now)
        return now >= since + self._rank(job) * STAGGER_S

    def _rank(self, job: JobView) -> int:
        """How many active nodes come before us for this job."""

        def order(wallet: str) -> bytes:
            return hashlib.sha256(job.job_id + wallet.lower().encode()).digest()

        accounts = self._watch.ledger.accounts
        active = [a for a in accounts if accounts[a].active and a != job.holder]
        return sum(order(wallet) < order(self._wallet) for wallet in active)

    async def _take(self, job: JobView) -> None:
        """Ask for the lease and wait until the ledger shows what came of it: to ask again before
        would be to pay again. Other jobs do not wait for it.
        """
        self._retry_at[job.job_id] = trio.current_time() + RETRY_S
        try:
            call = self._chain.sync.ledger.take_lease(JobId(job.job_id))
            receipt = await self._chain.send(call)
            await self._watch.folded(receipt.block)
            log.info("took or renewed the lease of job %s", job.job_id.hex()[:12])
        except Reverted as error:
            log.info("the lease of job %s was not given: %s", job.job_id.hex()[:12], error)
        except NodeError as error:
            log.warning("the lease of job %s: %s", job.job_id.hex()[:12], error)
        finally:
            self._asked.discard(job.job_id)
