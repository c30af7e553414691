"""How a coordinator's standing commands are carried out: one attempt each.

An attempt returns the event that reports its outcome, or None where the chain will report it. It
may be repeated at any time; where somebody else was faster, that is fine.
"""

import logging
from collections.abc import Callable, Sequence

from node.chain import AsyncChain, Reverted
from node.chain.handle import Transaction
from node.chain.types import Claim, Parameter
from node.chain_watch import ChainWatch
from node.claims import accusation
from node.combining import Combining
from node.compute import Combination, Compute, ComputeError
from node.custody import Custody
from node.errors import NodeError, PeerFault, PeerUnreachable
from node.holders import Holders
from node.ids import JobId, unit_id
from node.jobs import Fetch
from node.ledger import JobState, JobView, UnitState, UnitView
from node.recompute import Recompute
from node.transfer import NotServed
from scheduler.blob_ref import BlobRef
from scheduler.commands import (
    AnchorRound,
    AskHolder,
    AwaitChallengeWindow,
    CaptureDraw,
    Combine,
    CommitRound,
    ExpireUnit,
    FetchResult,
    FinalizeRound,
    FinishJob,
    PublishRound,
    RecoverResult,
    ResolveDispute,
    StandingCommand,
    WithdrawAnchors,
)
from scheduler.events import (
    AnchorRefused,
    ChallengeWindowOver,
    CombineFailed,
    CombineFinished,
    CommitRefused,
    Event,
    FinalizeRefused,
    ResultFault,
    ResultRefused,
    ResultStored,
)
from scheduler.manifest import Manifest
from scheduler.terms import Holding, Metrics, UnitRef, Wallet

log = logging.getLogger(__name__)


class Tasks:
    """What every coordination of this node carries its commands out with."""

    def __init__(
        self,
        watch: ChainWatch,
        chain: AsyncChain,
        compute: Compute,
        recompute: Recompute,
        fetch: Fetch,
        custody: Custody,
        holders: Holders,
        connected: Callable[[], Sequence[str]],
        peer_id: str,
    ) -> None:
        self._watch, self._chain = watch, chain
        self._compute, self._recompute, self._fetch = compute, recompute, fetch
        self._combining = Combining(compute)
        self._custody, self._holders, self._connected = custody, holders, connected
        self._peer_id = peer_id

    async def is_expired(self, job: JobView) -> bool:
        """Whether the escrow takes no more work for the job: it is settled, or overdue."""
        if job.settled and job.state is not JobState.COMPLETED:
            return True
        if job.is_over or self._watch.chain_time_s() < job.deadline_s:
            return False
        job_id = JobId(job.job_id)
        try:
            started = await self._chain.read(self._chain.sync.ledger.round_started, job_id)
            accepts = self._chain.sync.escrow.accepts_work
            return not await self._chain.read(accepts, job_id, started)
        except NodeError as error:
            log.info("whether job %s has expired is unknown: %s", job.job_id.hex()[:12], error)
            return False

    async def attempt(
        self, job: JobView, manifest: Manifest, command: StandingCommand
    ) -> Event | None:
        """Try a command once. NodeError where it should be tried again later."""
        match command:
            case PublishRound() | FinishJob():
                pass
            case FetchResult():
                return await self._fetch_result(job, command)
            case RecoverResult():
                return await self._recover_result(job, manifest, command)
            case AskHolder():
                return await self._holders.ask_to_hold(job.job_id, command)
            case CommitRound():
                return await self._commit_round(job, command)
            case CaptureDraw():
                await self._capture_draw(job, command)
            case ExpireUnit():
                await self._expire(job, command.unit)
            case ResolveDispute():
                await self._resolve(job, command.unit)
            case Combine():
                return await self._combine(job, command)
            case AnchorRound():
                return await self._anchor(job, command)
            case WithdrawAnchors():
                return await self._withdraw(job, command)
            case AwaitChallengeWindow():
                return self._await_window(command)
            case FinalizeRound():
                return await self._finalize(job, command)
        return None

    async def _fetch_result(self, job: JobView, command: FetchResult) -> Event:
        with self._custody.trials.of(job.job_id, command.unit.round, command.blob):
            return await self._fetch_on_trial(job, command)

    async def _fetch_on_trial(self, job: JobView, command: FetchResult) -> Event:
        refused = ResultFault.MALFORMED
        try:
            if command.peer != self._peer_id:
                await self._fetch(command.blob, [command.peer])
            root = await self._compute.check_result(job.manifest, command.blob)
            if root == command.result_root:
                holding = self._sign(job, command.unit, root, command.blob)
                return ResultStored(command.unit, command.blob, holding)
        except PeerFault as error:
            log.warning("the result of unit %s is none: %s", command.unit, error)
        except PeerUnreachable as error:
            absent = isinstance(error, NotServed) and command.peer in error.absent
            refused = ResultFault.UNAVAILABLE if absent else ResultFault.SILENT
            # Who is silent may be away, and is asked again and again.
            level = logging.WARNING if absent else logging.INFO
            log.log(level, "the result of unit %s did not come: %s", command.unit, error)
        return ResultRefused(command.unit, command.blob, command.peer, refused)

    async def _recover_result(
        self, job: JobView, manifest: Manifest, command: RecoverResult
    ) -> Event | None:
        """From whoever signed that it holds it, this node included; else, if the command says so,
        it is also computed here: a unit has one result.

        Where the chain has another one, that is a lie which the lot spared and nobody holds: it is
        challenged, or the round could never be combined.
        """
        if command.anew:
            return await self._found_or_computed(job, manifest, command)
        try:
            return await self._found(job, manifest, command)
        except PeerUnreachable as error:
            log.info("the result of unit %s is not here yet: %s", command.unit, error)
            return None

    async def _found(
        self, job: JobView, manifest: Manifest, command: RecoverResult
    ) -> ResultStored:
        """The result as somebody holds it; PeerUnreachable if nobody who answers does."""
        unit, root = command.unit, command.result_root

        async def is_right(blob: BlobRef) -> bool:
            return await self._has_root(job, blob, root)

        size, tellers = manifest.result_bytes, self._connected()
        blob = await self._holders.find(
            job.job_id, unit, root, size, is_right, tellers, blame=command.anew
        )
        return ResultStored(unit, blob, self._sign(job, unit, root, blob))

    async def _found_or_computed(
        self, job: JobView, manifest: Manifest, command: RecoverResult
    ) -> ResultStored:
        """Computed anew beside one more search, so that nobody can drag that out until the time
        for a challenge is over. Whichever ends first counts.
        """

        async def search() -> ResultStored:
            return await self._found(job, manifest, command)

        unit = command.unit
        done = await self._recompute.run_unless_found(job, manifest, unit, search)
        if isinstance(done, ResultStored):
            return done
        if done.result_root != command.result_root:
            await self._challenge(job, unit)
            raise NodeError(f"unit {unit} of an earlier coordinator has a wrong result")
        holding = self._sign(job, unit, done.result_root, done.result)
        return ResultStored(unit, done.result, holding, recomputed=True)

    async def _has_root(self, job: JobView, blob: BlobRef, root: bytes) -> bool:
        """Whether a blob is the result with this root."""
        try:
            return await self._compute.check_result(job.manifest, blob) == root
        except PeerFault as error:
            log.info("blob %s is no result: %s", blob.root, error)
            return False

    def _sign(self, job: JobView, unit: UnitRef, root: bytes, blob: BlobRef) -> Holding:
        """This node's word that it holds a result, as the state machine counts it."""
        signature = self._custody.sign(job.job_id, unit, root, blob)
        return Holding(Wallet(self._custody.wallet), signature)

    async def _challenge(self, job: JobView, unit: UnitRef) -> None:
        """Put a wrong unit before the committee, while that can be done."""
        view = job.units.get(unit)
        if view is None or view.state not in (UnitState.PASSED, UnitState.VERIFIED):
            return
        if self._watch.chain_time_s() > view.deadline_s:
            log.error("unit %s has a wrong result and can be challenged no more", unit)
            return
        chain = self._chain.sync
        deposit = await self._chain.read(chain.parameters.get, Parameter.CHALLENGE_DEPOSIT_WEI)
        log.warning("unit %s has a wrong result and is challenged", unit)
        await self._send_unless_done(chain.token.approve(chain.ledger.address, deposit))
        await self._send_unless_done(chain.ledger.challenge(*accusation(view)))

    async def _commit_round(self, job: JobView, command: CommitRound) -> Event | None:
        claims = [
            Claim(c.slot, c.attempt, c.worker, c.result_root, c.commitment, c.signature)
            for c in command.claims
        ]
        job_id = JobId(job.job_id)
        try:
            await self._send(self._chain.sync.ledger.commit_round(job_id, command.round, claims))
        except Reverted as error:
            return CommitRefused(command.round, str(error)[:200], self._blamed(job, claims, error))
        return None

    def _blamed(self, job: JobView, claims: Sequence[Claim], error: Reverted) -> tuple[int, ...]:
        """The slots of the worker that the chain names. Where its bond is too small for all of
        them, the last ones: those that it covers are sent again.
        """
        named = (error.arguments.get("worker"), error.arguments.get("account"))
        slots = tuple(claim.slot for claim in claims if claim.worker in named)
        if error.name != "InsufficientFreeBond":
            return slots
        covered = self._watch.ledger.covers(str(error.arguments.get("worker")), job)
        return slots[min(covered, len(slots) - 1) :]

    async def _capture_draw(self, job: JobView, command: CaptureDraw) -> None:
        batch = job.batches.get((command.round, command.batch))
        if batch is None or batch.is_captured or self._watch.ledger.head <= batch.draw_block:
            return
        job_id = JobId(job.job_id)
        await self._send_unless_done(
            self._chain.sync.ledger.capture_draw(job_id, batch.round, batch.index, batch.claims)
        )

    async def _expire(self, job: JobView, unit: UnitRef) -> None:
        view = job.units.get(unit)
        if view is not None and self._watch.chain_time_s() > view.deadline_s:
            name = unit_id(JobId(job.job_id), unit.round, unit.slot, unit.attempt)
            await self._send_unless_done(self._chain.sync.ledger.expire(name))

    async def _resolve(self, job: JobView, unit: UnitRef) -> None:
        view = job.units.get(unit)
        if view is None or view.state is not UnitState.DISPUTED:
            return
        name = unit_id(JobId(job.job_id), unit.round, unit.slot, unit.attempt)
        if not view.jurors:
            if view.dispute_draw_block and self._watch.ledger.head > view.dispute_draw_block:
                await self._send_unless_done(self._chain.sync.committee.draw(name))
        elif self._resolvable(view):
            await self._send_unless_done(self._chain.sync.committee.resolve(name))

    def _resolvable(self, unit: UnitView) -> bool:
        everyone = len(unit.votes_revealed) == len(unit.jurors) and bool(unit.unit_root)
        return everyone or self._watch.chain_time_s() > unit.vote_reveal_deadline_s

    async def _combine(self, job: JobView, command: Combine) -> Event:
        blobs = [result.blob for result in command.results]
        try:
            made = await self.make(job, command.round, command.blob, blobs)
            metrics = await self.evaluate(job, made.step.checkpoint)
        except ComputeError as error:
            return CombineFailed(command.round, command.generation, str(error)[:200])
        self._recompute.checkpoints.trust(job, command.round, made.step.root)
        return CombineFinished(
            command.round,
            command.generation,
            made.step.root,
            made.step.checkpoint,
            made.aggregate,
            metrics,
        )

    async def aggregate(
        self, job: JobView, round: int, before: BlobRef, results: Sequence[BlobRef]
    ) -> BlobRef:
        """What a round's results, which are here, come to. ComputeError where the worker fails."""
        aggregate = await self._combining.aggregate(job, before, results)
        return self._recompute.checkpoints.made(job, round, aggregate)

    async def make(
        self, job: JobView, round: int, before: BlobRef, results: Sequence[BlobRef]
    ) -> Combination:
        """What a round's results lead to; errors as in `aggregate`."""
        await self.aggregate(job, round, before, results)
        made = await self._combining.make(job, before, results)
        self._recompute.checkpoints.made(job, round, made.step.checkpoint)
        return made

    async def evaluate(self, job: JobView, checkpoint: BlobRef) -> Metrics:
        """A checkpoint's metrics; errors as in `aggregate`."""
        return await self._combining.evaluate(job, checkpoint)

    async def _anchor(self, job: JobView, command: AnchorRound) -> Event | None:
        call = self._chain.sync.ledger.anchor_round(
            JobId(job.job_id), command.round, *_checkpoint(command)
        )
        return await self._send_or(call, lambda why: AnchorRefused(command.round, why))

    async def _withdraw(self, job: JobView, command: WithdrawAnchors) -> Event | None:
        call = self._chain.sync.ledger.withdraw_anchors(JobId(job.job_id), command.round)
        return await self._send_or(call, lambda why: AnchorRefused(command.round, why))

    def _await_window(self, command: AwaitChallengeWindow) -> Event | None:
        # Blocks count whole seconds, and the contract wants the deadline's second to be over.
        over = self._watch.chain_time_s() > command.until_ms // 1000
        return ChallengeWindowOver(command.round) if over else None

    async def _finalize(self, job: JobView, command: FinalizeRound) -> Event | None:
        call = self._chain.sync.ledger.finalize_round(
            JobId(job.job_id), command.round, *_checkpoint(command), job.shown(command.round)
        )
        return await self._send_or(call, lambda why: FinalizeRefused(command.round, why))

    async def _send_or(self, call: Transaction, refused: Callable[[str], Event]) -> Event | None:
        """Send a call of this coordinator's; the event for a refusal, with the chain's reason."""
        try:
            await self._send(call)
        except Reverted as error:
            return refused(str(error)[:200])
        return None

    async def _send_unless_done(self, call: Transaction) -> None:
        """Send a call that anyone may make; if it is refused, the ledger will show why."""
        try:
            await self._send(call)
        except Reverted as error:
            log.info("the chain refused: %s", error)

    async def _send(self, call: Transaction) -> None:
        """Send a call and wait until the ledger shows what came of it: to repeat it sooner would
        only be refused. A chain that drops it meanwhile shows nothing, and it is sent again.
        """
        receipt = await self._chain.send(call)
        await self._watch.folded(receipt.block)


def _checkpoint(command: AnchorRound | FinalizeRound) -> tuple[bytes, bytes, int]:
    """A checkpoint as the ledger takes it: its root, and the root and the size of its blob."""
    return command.checkpoint, bytes.fromhex(command.blob.root), command.blob.size
