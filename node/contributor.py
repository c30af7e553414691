"""Working: pull a unit from a job's coordinator, compute it, commit to it.

One unit at a time, because there is one device; audits and jury duty go first, since they have
deadlines on chain. A node with one job whose coordinator has nothing for it asks with patience: the
answer comes when there is a unit, instead of a question every second. A unit counts once the
coordinator's receipt is here. If the coordinator does not answer the finished commit is offered
again until it does or the round is over: computing is dear, asking is cheap.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import trio

from node.chain_watch import ChainWatch
from node.claim_signature import ClaimDomain, Statement
from node.commitments import Commitments, Roots
from node.compute_messages import UnitDone
from node.custody import Custody
from node.duties import Duties
from node.errors import NodeError, PeerFault, PeerUnreachable
from node.ids import JobId, UnitId, unit_id
from node.jobs import JobKeeper
from node.ledger import JobView
from node.messages import (
    PULL_WAIT_MS_MAX,
    CommitUnit,
    Message,
    PullUnit,
    Receipt,
    Refused,
    UnitAssigned,
    UnitDeclined,
    UnitKey,
    expect,
)
from node.own_results import OwnResult, OwnResults
from node.receipts import Receipts, SignedReceipt
from node.wallet import Signer
from scheduler.blob_ref import BlobRef
from scheduler.commands import DeclineReason
from scheduler.manifest import GFLOP
from scheduler.shares import Offer, Shares
from scheduler.terms import UnitRef

log = logging.getLogger(__name__)

AIN = 10**18

IDLE_S = 1.0
CATCH_UP_S = 10.0
RETRY_FIRST_S, RETRY_MAX_S = 0.5, 15.0
RETRY_MIN_S = 0.05
READY_MAX = 64
COMMIT_RETRY_MAX_S = 5.0
"""Well within the time that a coordinator which was killed and came back waits for its workers
(`Policy.reconnect_grace_ms`): later the unit would be given to another."""
COMMIT_PATIENCE_S = 600.0
"""Long enough for another node to take a dead coordinator's lease over and to ask for results."""

AskCoordinator = Callable[[JobView, Message], Awaitable[Message]]
"""Send a request to whoever holds the job's lease; PeerUnreachable if nobody answers."""


@dataclass(slots=True)
class WorkCounts:
    """What this node computed since it started, and what it does now."""

    units: int = 0
    lost: int = 0
    activity: str = "starting"


@dataclass(frozen=True, slots=True)
class _Result:
    """A computed unit, from which checkpoint, the commitment to it, the word that it is here."""

    unit: UnitRef
    name: UnitId
    parent: bytes
    root: bytes
    blob: BlobRef
    commitment: bytes
    holding: bytes


class Contributor:
    """The work of one node. `run` is the task; it ends soon after `drain` is called.

    `preferred`: ids of jobs, in hexadecimal, that go before all others, the first one first.
    """

    def __init__(
        self,
        signer: Signer,
        watch: ChainWatch,
        jobs: JobKeeper,
        duties: Duties,
        memory_bytes: int,
        commitments: Commitments,
        domain: ClaimDomain,
        ask: AskCoordinator,
        receipts: Receipts,
        custody: Custody,
        own: OwnResults,
        preferred: Sequence[str] = (),
    ) -> None:
        self.counts = WorkCounts()
        self.drained = trio.Event()
        self._signer, self._watch, self._jobs, self._duties = signer, watch, jobs, duties
        self._memory_bytes, self._commitments = memory_bytes, commitments
        self._domain, self._ask, self._preferred = domain, ask, preferred
        self._receipts, self._examined = receipts, dict[bytes, int]()
        self._custody = custody
        self._own = own
        self._shares = Shares()
        self._draining = False
        self._alone = True
        self._declined: set[bytes] = set()
        self._combined: dict[bytes, int] = {}
        self._resting = trio.CancelScope()
        self._pause_until: dict[bytes, float] = {}
        self._paused_in: dict[bytes, tuple[int, int]] = {}
        self._pauses: dict[bytes, float] = {}

    def drain(self) -> None:
        """Take no further unit; the one under way is finished and committed."""
        self._draining = True
        self._resting.cancel()

    async def run(self) -> None:
        """Work until drained."""
        while not self._draining:
            job = self._next_job()
            if job is None:
                await self._rest(IDLE_S)
                continue
            try:
                await self._work_on(job)
                self._pauses.pop(job.job_id, None)
            except NodeError as error:
                self.counts.activity = f"waiting: {error}"
                # Once is ordinary: a coordinator may be starting, or have just changed.
                level = logging.WARNING if job.job_id in self._pauses else logging.INFO
                log.log(level, "job %s: %s", job.job_id.hex()[:12], error)
                self._pause(job)
        self.counts.activity = "drained"
        self.drained.set()

    def _next_job(self) -> JobView | None:
        """The job to ask for work now; says in `activity` why there is none."""
        if not self._watch.ledger.is_active(self._signer.address):
            self.counts.activity = (
                "idle: the bond is below the minimum; see `ainur stake add` and `ainur stake earn`"
            )
            return None
        fault = self._duties.recompute.fault
        if fault:
            self.counts.activity = f"stopped: {fault}"
            return None
        if self._duties.busy:
            self.counts.activity = "auditing"
            return None
        jobs = self._jobs.workable()
        if not jobs:
            self.counts.activity = self._jobs.why_idle()
            return None
        led = [job for job in jobs if job.holder]
        self._alone = len(led) == 1
        if not led:
            self.counts.activity = "waiting: no node holds the lease of any job"
            return None
        now = trio.current_time()
        ready = [
            job
            for job in led
            if self._pause_until.get(job.job_id, 0.0) <= now
            or self._paused_in.get(job.job_id) != _stage(job)
        ]
        chosen = self._shares.choose(self._offer(job) for job in ready)
        return next((job for job in ready if chosen and job.job_id == chosen.job_id), None)

    def _offer(self, job: JobView) -> Offer:
        """What the job asks of this node and pays for it, counted in AIN as locks are."""
        flops = max(1, self._jobs.held[job.job_id].unit_flops)
        name = job.job_id.hex()
        place = self._preferred.index(name) if name in self._preferred else len(self._preferred)
        return Offer(job.job_id, flops, job.unit_value_wei * GFLOP // flops, -place)

    async def _work_on(self, job: JobView) -> None:
        """One request for work, and the unit that it gives."""
        if self._examined.get(job.job_id) != job.open_round:
            self._examined[job.job_id] = job.open_round
            self._receipts.examine(job)
            self._own.forget_before(job.job_id, job.open_round)
        waits = self._alone and job.job_id in self._declined
        answer = await self._pull(job, waits)
        if answer is None:
            return
        self._declined.discard(job.job_id)
        if isinstance(answer, UnitDeclined):
            self._declined.add(job.job_id)
            self.counts.activity = f"waiting: {self._explained(job, answer.reason)}"
            if await self._prepare(job, answer.combined) or (self._alone and not waits):
                return
            pause_s = min(max(answer.retry_after_ms / 1000, RETRY_MIN_S), RETRY_MAX_S)
            self._put_off(job, pause_s)
            await self._rest(pause_s)
            return
        assigned = expect(answer, UnitAssigned)
        self._shares.charge(self._offer(job))
        unit = UnitRef(assigned.unit.round, assigned.unit.slot, assigned.unit.attempt)
        await self._catch_up(job, unit.round)
        if unit.round != job.head_round or unit.slot >= job.slots:
            raise PeerFault(f"the coordinator assigned unit {unit}, round {job.head_round} is open")
        self.counts.activity = f"computing round {unit.round + 1}, slot {unit.slot}"
        try:
            result = await self._compute_unit(job, unit)
        except NodeError:
            self.counts.lost += 1
            raise
        await self._commit(job, result)

    def _explained(self, job: JobView, reason: str) -> str:
        """The coordinator's reason; where the bond is too small, in this node's own figures."""
        if reason != DeclineReason.BOND_COVERS:
            return reason
        each_wei = max(1, self._watch.ledger.lock_wei(job))
        tally = self._watch.ledger.tally(self._signer.address)
        covered = tally.cover_wei // each_wei
        return (
            f"the bond covers {covered} open units of this job: each locks {each_wei / AIN:g} AIN, "
            f"{tally.locked_wei / AIN:g} AIN are locked, {tally.free_wei / AIN:g} AIN free until "
            "some are final; see `ainur stake add`"
        )

    async def _pull(self, job: JobView, waits: bool) -> Message | None:
        """The coordinator's answer; None where a duty came up meanwhile, or we drain.

        Only after a refusal that says why a node `waits`, and only for one job at a time.
        """
        pull = PullUnit(
            job_id=job.job_id.hex(),
            memory_bytes=self._memory_bytes,
            ready=self._at_hand(job),
            wait_ms=PULL_WAIT_MS_MAX if waits else 0,
            combined=self._combined.get(job.job_id),
        )
        answer: Message | None = None
        failure: NodeError | None = None
        async with trio.open_nursery() as nursery:
            self._resting = nursery.cancel_scope
            if waits:
                nursery.start_soon(self._stop_for_duties, nursery.cancel_scope)
            try:
                answer = await self._ask(job, pull)
            except NodeError as error:
                # Outside the nursery it must not be a group.
                failure = error
            nursery.cancel_scope.cancel()
        if failure is not None:
            raise failure
        return None if self._draining else answer

    async def _prepare(self, job: JobView, round: int | None) -> bool:
        """Make ready for what follows the open round, if its results are combined; once a round.

        Whether there was anything to do.
        """
        if round is None or round == self._combined.get(job.job_id):
            return False
        self._combined[job.job_id] = round
        manifest = self._jobs.held[job.job_id]
        if round == job.head_round and not self._duties.busy:
            try:
                await self._duties.recompute.checkpoints.prepare(job, manifest, round)
            except NodeError as error:
                log.info("round %d is not prepared for: %s", round + 1, error)
        return True

    async def _stop_for_duties(self, waiting: trio.CancelScope) -> None:
        while not self._duties.busy:
            await self._watch.changed(IDLE_S)
        waiting.cancel()

    def _at_hand(self, job: JobView) -> tuple[UnitKey, ...]:
        """The units of the open round whose results are here and not on the chain."""
        units = self._own.units(job.job_id, job.head_round)
        return tuple(_key(unit) for unit in units if unit not in job.units)[:READY_MAX]

    async def _catch_up(self, job: JobView, round: int) -> None:
        """Wait for our own view of the chain, which may be a moment behind the coordinator's: of a
        round that was anchored, or of anchors that were withdrawn.
        """
        if job.head_round != round:
            self._watch.hurry()
        with trio.move_on_after(CATCH_UP_S):
            while job.head_round != round:
                await self._watch.changed(CATCH_UP_S)

    async def _compute_unit(self, job: JobView, unit: UnitRef) -> _Result:
        manifest = self._jobs.held[job.job_id]
        parent = job.parent(unit.round)
        own = self._own.find(job.job_id, unit)
        recompute = self._duties.recompute
        if own is not None and own.parent == parent:
            await recompute.recheck(job, manifest, unit)
        else:

            def keep(done: UnitDone) -> None:
                nonlocal own
                own = OwnResult(unit, parent, done.result_root, done.trace_root, done.result)
                self._own.keep(job.job_id, own)

            await recompute.run_own(job, manifest, unit, keep)
        assert own is not None
        name = unit_id(JobId(job.job_id), unit.round, unit.slot, unit.attempt)
        roots = Roots(own.result_root, own.trace_root)
        commitment = self._commitments.commit("worker", name, roots, job.job_id, unit.round)
        holding = self._custody.sign(job.job_id, unit, own.result_root, own.blob)
        return _Result(unit, name, parent, own.result_root, own.blob, commitment, holding)

    def _signed(self, job: JobView, result: _Result) -> CommitUnit:
        """The result as a claim under the present lease, which may be another's by now."""
        statement = Statement(
            result.name, result.parent, job.lease_epoch, result.root, result.commitment
        )
        unit = result.unit
        return CommitUnit(
            job_id=job.job_id.hex(),
            unit=_key(unit),
            parent=result.parent.hex(),
            lease_epoch=job.lease_epoch,
            result_root=result.root.hex(),
            blob=result.blob,
            commitment=result.commitment.hex(),
            signature=self._domain.sign(self._signer, statement).hex(),
            holding=result.holding.hex(),
        )

    async def _commit(self, job: JobView, result: _Result) -> None:
        """Offer the commit until there is a receipt or a refusal, or the round is over.

        A new coordinator has not assigned the unit: it is asked for it, and told that it is ready.

        Not for ever: a coordinator that falls silent must not keep this node from other jobs. A
        draining node does not wait at all. The unit is then computed again.
        """
        pause_s = RETRY_FIRST_S
        give_up = trio.current_time() + COMMIT_PATIENCE_S
        unit, epoch = result.unit, job.lease_epoch
        while _stands(job, result) and not job.settled:
            if job.lease_epoch != epoch:
                return
            holder = job.holder
            try:
                answer = await self._ask(job, self._signed(job, result))
            except PeerUnreachable as error:
                log.info("the commit of unit %s waits: %s", unit, error)
                if self._draining or trio.current_time() > give_up:
                    break
                await self._rest(pause_s)
                pause_s = min(pause_s * 2, COMMIT_RETRY_MAX_S)
                continue
            if isinstance(answer, Refused):
                log.info("the commit of unit %s was refused: %s", unit, answer.reason)
                self.counts.lost += 1
                return
            self._take(job, holder, result, expect(answer, Receipt))
            self.counts.units += 1
            log.info(
                "job %s: computed round %d, slot %d",
                job.job_id.hex()[:12],
                unit.round + 1,
                unit.slot,
            )
            return
        self.counts.lost += 1

    def _take(self, job: JobView, holder: str, result: _Result, receipt: Receipt) -> None:
        """Keep the receipt; PeerFault unless it is the coordinator's word for this very result."""
        signature = bytes.fromhex(receipt.signature)
        signed = SignedReceipt(job.job_id, result.unit, result.root, result.commitment, signature)
        self._receipts.take(signed, holder)

    async def _rest(self, pause_s: float) -> None:
        """Wait for news, for so long or until drained."""
        with trio.CancelScope() as self._resting:
            if not self._draining:
                await self._watch.changed(pause_s)

    def _pause(self, job: JobView) -> None:
        if self._paused_in.get(job.job_id) != _stage(job):
            self._pauses.pop(job.job_id, None)
        pause_s = min(self._pauses.get(job.job_id, RETRY_FIRST_S / 2) * 2, RETRY_MAX_S)
        self._pauses[job.job_id] = pause_s
        self._put_off(job, pause_s)

    def _put_off(self, job: JobView, pause_s: float) -> None:
        """Do not ask for so long, unless a new round is a reason to ask sooner, once."""
        self._pause_until[job.job_id] = trio.current_time() + pause_s
        self._paused_in[job.job_id] = _stage(job)


def _stage(job: JobView) -> tuple[int, int]:
    """A new round, or a new coordinator, is a reason to ask sooner than it was meant."""
    return job.head_round, job.lease_epoch


def _stands(job: JobView, result: _Result) -> bool:
    """Whether the unit's round is not final and starts from the checkpoint that it was made of."""
    return result.unit.round >= job.open_round and job.start_of(result.unit.round) == result.parent


def _key(unit: UnitRef) -> UnitKey:
    return UnitKey(round=unit.round, slot=unit.slot, attempt=unit.attempt)
