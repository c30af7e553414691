"""What the chain says about jobs, units and nodes: a fold over the contracts' events.

Every daemon keeps one `Ledger`, folded from the log's cache at each start, so nothing here needs to
be stored. It is a pure function of the events; the loop that feeds it lives in
`node/chain_watch.py`. Units of finished rounds are forgotten. A view is a convenience for deciding
what to do next: the contracts check everything again.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from node.chain import events as on_chain
from node.chain.events import Event
from node.chain.types import ZERO_ADDRESS, ClaimedUnit, Parameter
from node.final_rounds import Finalized, FinalRounds
from node.ids import unit_id
from node.job_log import JobLog
from node.parameters import ANY_VERSION, Versions
from scheduler.audit import lock_wei
from scheduler.blob_ref import BLOB_BYTES_MAX, BlobRef
from scheduler.manifest import GFLOP
from scheduler.terms import Position, UnitRef


class JobState(StrEnum):
    """Where a job stands, as far as events tell; the deadline is the reader's to compare."""

    FUNDED = "funded"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    INPUT_UNAVAILABLE = "input unavailable"


class UnitState(StrEnum):
    """Where a unit stands; the names are those of the contract's UnitStatus."""

    COMMITTED = "committed"
    PASSED = "passed"
    DRAWN = "drawn"
    AUDIT_COMMITTED = "audit committed"
    VERIFIED = "verified"
    DISPUTED = "disputed"
    FAULTED = "faulted"
    VOIDED = "voided"


UNSETTLED = (UnitState.DRAWN, UnitState.AUDIT_COMMITTED, UnitState.DISPUTED)
"""Somebody may still have to say what the unit's result is."""


@dataclass(slots=True)
class BatchView:
    """One batch of a round: what the chain must be shown again, for it keeps a root only."""

    round: int
    index: int
    dissolutions: int
    draw_block: int
    claims: tuple[ClaimedUnit, ...]
    is_captured: bool = False


@dataclass(slots=True)
class UnitView:
    """One unit that was committed on chain. Deadlines in Unix seconds, 0 where there is none."""

    unit_id: bytes
    job_id: bytes
    key: UnitRef
    worker: str
    coordinator: str
    result_root: bytes
    commitment: bytes
    batch: BatchView
    state: UnitState = UnitState.COMMITTED
    auditor: str = ""
    unit_root: bytes = b""
    audit_revealed: bool = False
    deadline_s: int = 0
    jurors: tuple[str, ...] = ()
    votes_committed: set[str] = field(default_factory=set)
    votes_revealed: set[str] = field(default_factory=set)
    vote_commit_deadline_s: int = 0
    vote_reveal_deadline_s: int = 0
    dispute_draw_block: int = 0
    disputed_by: str = ""
    input_unavailable: bool = False
    """The verdict was that the job's data is not to be had."""
    is_released: bool = False
    """What was locked for it came back before its round was final."""
    challenger: str = ""
    """Whose deposit waits for the dispute's end."""


@dataclass(slots=True)
class JobView:
    """One job. `units` are those of rounds that are not final, and of the last final one.

    Its amounts are in smallest units of `token`, wei if that is ZERO_ADDRESS: AIN. `unit_value_wei`
    is what a unit's price counts as in AIN, from which locks are computed.

    `anchors`: checkpoints after rounds that are not final, which the next rounds start from.
    """

    job_id: bytes
    submitter: str
    manifest_digest: bytes
    manifest: BlobRef
    rounds: int
    slots: int
    unit_wei: int
    audit_wei: int
    deadline_s: int
    deposited_wei: int
    funded_at: Position
    state: JobState = JobState.FUNDED
    holder: str = ""
    lease_expires_s: int = 0
    lease_epoch: int = 0
    rounds_ahead: int = 0
    unit_flops: int = 0
    token: str = ZERO_ADDRESS
    unit_value_wei: int = 0
    versions: Versions = ANY_VERSION
    """What was accepted when it was funded: a later vote is about later jobs."""
    finalized: FinalRounds = field(default_factory=FinalRounds)
    anchors: dict[int, Finalized] = field(default_factory=dict)
    units: dict[UnitRef, UnitView] = field(default_factory=dict)
    batches: dict[tuple[int, int], BatchView] = field(default_factory=dict)
    dissolutions: Counter[int] = field(default_factory=Counter)
    """How often all claims of a round were dissolved."""
    refunded_wei: int = 0
    paid_wei: int = 0
    fees_wei: int = 0
    data_wei: int = 0
    """Of what was deposited: what answers for the data, until it is charged or refunded."""
    charged_wei: int = 0
    settled: bool = False
    """Whether the rest was refunded: nothing more happens to it."""
    log: JobLog = field(default_factory=JobLog)
    """What a coordinator follows, in order; where a command reads the chain, every event."""

    @property
    def open_round(self) -> int:
        """The oldest round that is not final; equal to `rounds` once all are."""
        return len(self.finalized)

    @property
    def head_round(self) -> int:
        """The round that is being computed: the first that is neither final nor anchored."""
        return len(self.finalized) + len(self.anchors)

    def after(self, round: int) -> Finalized | None:
        """The final or anchored checkpoint after a round, if the chain has one."""
        return self.finalized.get(round) or self.anchors.get(round)

    def start_of(self, round: int) -> bytes | None:
        """The checkpoint that claims to this round must name; None if the chain has none."""
        if round == 0:
            return bytes(32)
        before = self.after(round - 1)
        return before.checkpoint if before is not None else None

    @property
    def gflop_wei(self) -> int | None:
        """What a verified GFLOP earns its worker, rounded down; None if a unit has no FLOPs."""
        return self.unit_wei * GFLOP // self.unit_flops if self.unit_flops else None

    @property
    def is_over(self) -> bool:
        """Whether no new round of it can be started any more, apart from its deadline."""
        return self.state is not JobState.FUNDED

    def accepts_work(self, now_s: int) -> bool:
        """Whether a round may be worked on: a new one, or one that was started in time.

        The chain knows better when the time for a started round is over: then it refuses.
        """
        if self.settled or self.state is JobState.COMPLETED:
            return False
        started = any(round == self.open_round for round, _ in self.batches)
        return started or (not self.is_over and now_s < self.deadline_s)

    def parent(self, round: int) -> bytes:
        """The checkpoint that claims to this round must name: zeros in the first round.

        KeyError while the round before is neither final nor anchored.
        """
        start = self.start_of(round)
        if start is None:
            raise KeyError(round)
        return start

    def claimed(self, round: int) -> dict[int, UnitView]:
        """The unit of each slot of a round that was neither faulted nor void, as yet."""
        lost = (UnitState.FAULTED, UnitState.VOIDED)
        return {
            key.slot: unit
            for key, unit in self.units.items()
            if key.round == round and unit.state not in lost
        }

    def shown(self, round: int) -> list[tuple[ClaimedUnit, ...]]:
        """By batch, the claims that the round's end must show: of batches of which a unit that
        counts may not be on record.
        """
        spared = {
            unit.batch.index: unit.batch.claims
            for unit in self.accepted(round).values()
            if unit.state is UnitState.PASSED
        }
        return [spared.get(index, ()) for index in range(max(spared, default=-1) + 1)]

    def accepted(self, round: int) -> dict[int, UnitView]:
        """The passed or verified unit of each slot of a round, as far as there is one."""
        good = (UnitState.PASSED, UnitState.VERIFIED)
        return {
            key.slot: unit
            for key, unit in self.units.items()
            if key.round == round and unit.state in good
        }


@dataclass(slots=True)
class Tally:
    """What the chain says of one account, summed up."""

    bond_wei: int = 0
    pending_wei: int = 0
    delegated_wei: int = 0
    """What others have delegated to it and are not withdrawing."""
    locked_wei: int = 0
    active: bool = False
    peer_id: bytes = b""
    units: int = 0
    audits: int = 0
    faults: int = 0
    slashed_wei: int = 0
    earned: Counter[str] = field(default_factory=Counter)
    """By the token's address, in its smallest units; AIN has its own contract's."""
    claimed: Counter[str] = field(default_factory=Counter)

    @property
    def free_wei(self) -> int:
        """What may be locked for further units."""
        return max(0, self.cover_wei - self.locked_wei)

    @property
    def cover_wei(self) -> int:
        """What may be locked for units: of others' tokens no more than of its own."""
        own = self.bond_wei - self.pending_wei
        return own + min(own, self.delegated_wei)


class Ledger:
    """The fold. `apply` takes each event once, in the order of the chain.

    `whole_logs`: jobs keep every event of theirs, for who explains what is over.
    """

    def __init__(self, *, whole_logs: bool = False) -> None:
        self._whole_logs = whole_logs
        self.reset()

    def reset(self) -> None:
        """Begin anew: the events that were folded have not all happened."""
        self.jobs: dict[bytes, JobView] = {}
        self.units: dict[bytes, UnitView] = {}
        self.accounts: dict[str, Tally] = {}
        self.parameters: dict[Parameter, int] = {}
        self.dissolved: dict[bytes, UnitView] = {}
        """Units that were dissolved and whose locks nobody has given back yet."""
        self.deposits: dict[bytes, UnitView] = {}
        """Units that were dissolved and whose challengers have not had their deposits back."""
        self.head = 0
        self.head_time_s = 0
        self.slashed_wei = 0
        self.verdicts: Counter[str] = Counter()

    def tally(self, account: str) -> Tally:
        """The account's tally, made on first sight."""
        return self.accounts.setdefault(account, Tally())

    def is_active(self, account: str) -> bool:
        """Whether the account's bond suffices for work."""
        return account in self.accounts and self.accounts[account].active

    def lock_wei(self, job: JobView) -> int:
        """What a unit of the job locks of its worker's bond now."""
        floor_bps = self.parameters.get(Parameter.AUDIT_FLOOR_BPS, 1)
        return lock_wei(
            job.unit_value_wei, self.parameters.get(Parameter.LOCK_FACTOR_BPS, 0), floor_bps
        )

    def covers(self, account: str, job: JobView) -> int:
        """How many more units of the job the account's free bond answers for; at most a round's."""
        each = self.lock_wei(job)
        tally = self.accounts.get(account)
        free_wei = tally.free_wei if tally is not None else 0
        return min(job.slots, free_wei // each) if each else job.slots

    def apply(self, event: Event) -> None:
        """Fold one event. Events that change nothing here are ignored."""
        match event:
            case (
                on_chain.Bonded()
                | on_chain.Withdrawn()
                | on_chain.Slashed()
                | on_chain.DelegatedChanged()
                | on_chain.UnbondRequested()
                | on_chain.UnbondCancelled()
                | on_chain.BondLocked()
                | on_chain.BondUnlocked()
                | on_chain.ActiveChanged()
                | on_chain.PeerIdChanged()
            ):
                self._apply_vault(event)
            case (
                on_chain.JobFunded()
                | on_chain.JobCancelled()
                | on_chain.JobCompleted()
                | on_chain.JobSettled()
                | on_chain.JobRefunded()
                | on_chain.RoundPaid()
                | on_chain.DataDeposited()
                | on_chain.DataCharged()
            ):
                self._apply_escrow(event)
            case on_chain.ParameterChanged():
                self.parameters[event.parameter] = event.new_value
            case on_chain.Credited():
                for account, amount in zip(event.accounts, event.amounts, strict=True):
                    self.tally(account).earned[event.token] += amount
            case on_chain.Claimed():
                self.tally(event.account).claimed[event.token] += event.amount
            case (
                on_chain.JurorsDrawn()
                | on_chain.VoteCommitted()
                | on_chain.VotingClosed()
                | on_chain.VoteRevealed()
                | on_chain.DisputeOpened()
            ):
                self._apply_committee(event)
            case _:
                self._apply_rounds(event)
                self._apply_unit(event)
        self._log(event)

    def _log(self, event: Event) -> None:
        """Keep the event for who follows the job; what was forgotten is of no use to it."""
        unit = self.units.get(getattr(event, "unit_id", b""))
        job_id = unit.job_id if unit is not None else getattr(event, "job_id", b"")
        job = self.jobs.get(job_id)
        if job is not None:
            round = unit.key.round if unit is not None else getattr(event, "round", job.open_round)
            job.log.add(event, round)
            job.log.forget_final(job.open_round)

    def _apply_vault(self, event: Event) -> None:
        match event:
            case on_chain.Bonded():
                self.tally(event.account).bond_wei = event.bond
            case on_chain.Withdrawn():
                tally = self.tally(event.account)
                tally.bond_wei, tally.pending_wei = event.bond, 0
            case on_chain.UnbondRequested():
                self.tally(event.account).pending_wei = event.pending
            case on_chain.UnbondCancelled():
                self.tally(event.account).pending_wei = 0
            case on_chain.BondLocked() | on_chain.BondUnlocked():
                self.tally(event.account).locked_wei = event.locked
            case on_chain.Slashed():
                tally = self.tally(event.account)
                tally.bond_wei = event.bond
                tally.pending_wei = min(tally.pending_wei, tally.bond_wei)
                tally.slashed_wei += event.amount
                self.slashed_wei += event.amount
            case on_chain.DelegatedChanged():
                self.tally(event.account).delegated_wei = event.staying
            case on_chain.ActiveChanged():
                self.tally(event.account).active = event.active
            case on_chain.PeerIdChanged():
                self.tally(event.account).peer_id = event.peer_id

    def _apply_escrow(self, event: Event) -> None:
        if isinstance(event, on_chain.JobFunded):
            versions = Versions.of(self.parameters)
            log = JobLog(is_whole=self._whole_logs)
            self.jobs[event.job_id] = _funded(event, versions, log)
            return
        job = self.jobs.get(event.job_id) if hasattr(event, "job_id") else None
        if job is None:
            return
        match event:
            case on_chain.JobCancelled():
                job.state = JobState.CANCELLED
            case on_chain.JobCompleted():
                job.state = JobState.COMPLETED
            case on_chain.JobSettled():
                job.settled = True
                if job.state is JobState.FUNDED:
                    job.state = JobState.EXPIRED
                # Units of a round that was left open may still be drawn, opened and judged.
                self._forget_units(job, before=job.open_round)
            case on_chain.JobRefunded():
                job.refunded_wei += event.amount
            case on_chain.DataDeposited():
                job.data_wei = event.amount
            case on_chain.DataCharged():
                job.charged_wei = job.data_wei
                job.state = JobState.INPUT_UNAVAILABLE
            case on_chain.RoundPaid():
                job.paid_wei += event.amount
                job.fees_wei += event.fee

    def _apply_rounds(self, event: Event) -> None:
        match event:
            case on_chain.LeaseTaken() | on_chain.LeaseRenewed():
                job = self.jobs[event.job_id]
                job.holder, job.lease_expires_s = event.holder, event.expires_at
                if isinstance(event, on_chain.LeaseTaken):
                    job.lease_epoch = event.epoch
            case on_chain.RoundCommitted():
                self._commit_round(event)
            case on_chain.DrawMissed():
                missed = self.jobs[event.job_id].batches.get((event.round, event.batch))
                if missed is not None:
                    missed.draw_block = event.draw_block
            case on_chain.DrawCaptured():
                batch = self.jobs[event.job_id].batches.get((event.round, event.batch))
                if batch is not None:
                    batch.is_captured = True
            case on_chain.RoundAnchored():
                blob = _blob_ref(event.checkpoint_blob_root, event.checkpoint_size)
                self.jobs[event.job_id].anchors[event.round] = Finalized(event.checkpoint, blob)
            case on_chain.AnchorsWithdrawn():
                self._withdraw_anchors(event)
            case on_chain.RoundFinalized():
                self._finalize_round(event)

    def _commit_round(self, event: on_chain.RoundCommitted) -> None:
        job = self.jobs[event.job_id]
        batch = BatchView(
            event.round,
            event.batch,
            job.dissolutions[event.round],
            event.draw_block,
            tuple(map(ClaimedUnit.of, event.claims)),
        )
        job.batches[event.round, event.batch] = batch
        for claim in event.claims:
            key = UnitRef(event.round, claim.slot, claim.attempt)
            unit = UnitView(
                unit_id=unit_id(event.job_id, event.round, claim.slot, claim.attempt),
                job_id=event.job_id,
                key=key,
                worker=claim.worker,
                coordinator=job.holder,
                result_root=claim.result_root,
                commitment=claim.commitment,
                batch=batch,
            )
            job.units[key] = unit
            self.units[unit.unit_id] = unit

    def _withdraw_anchors(self, event: on_chain.AnchorsWithdrawn) -> None:
        """What was computed from them is dissolved: nobody owes it anything any more."""
        job = self.jobs[event.job_id]
        job.anchors = {n: each for n, each in job.anchors.items() if n < event.round}
        job.batches = {k: batch for k, batch in job.batches.items() if k[0] <= event.round}
        job.dissolutions.update(range(event.round + 1, event.head + 1))
        gone = [key for key in job.units if key.round > event.round]
        ended = (UnitState.FAULTED, UnitState.VOIDED)
        for unit in (job.units[key] for key in gone):
            if unit.state not in ended and not unit.is_released:
                self.dissolved[unit.unit_id] = unit
        self.deposits |= {
            job.units[key].unit_id: job.units[key] for key in gone if job.units[key].challenger
        }
        self._forget(job, gone)

    def _finalize_round(self, event: on_chain.RoundFinalized) -> None:
        job = self.jobs[event.job_id]
        if event.round != job.open_round:
            return  # No contract says this: an endpoint lies.
        for unit in job.accepted(event.round).values():
            self.tally(unit.worker).units += 1
            if unit.audit_revealed:
                self.tally(unit.auditor).audits += 1
        blob = _blob_ref(event.checkpoint_blob_root, event.checkpoint_size)
        job.finalized.append(Finalized(event.checkpoint, blob, event.total_wei))
        job.anchors.pop(event.round, None)
        job.batches = {k: batch for k, batch in job.batches.items() if k[0] > event.round}
        # The round just finalised stays: peers check its checkpoint against its results.
        self._forget_units(job, before=event.round)

    def _apply_unit(self, event: Event) -> None:
        if isinstance(event, on_chain.LockReleased):
            self.dissolved.pop(event.unit_id, None)
        if isinstance(event, on_chain.ChallengeClosed):
            self.deposits.pop(event.unit_id, None)
        unit = self.units.get(getattr(event, "unit_id", b""))
        if unit is None:
            return
        match event:
            case on_chain.UnitDrawn():
                unit.state, unit.auditor = UnitState.DRAWN, event.auditor
                unit.deadline_s = event.deadline
            case on_chain.UnitPassed():
                unit.state, unit.deadline_s = UnitState.PASSED, event.deadline
            case on_chain.AuditCommitted():
                unit.state, unit.deadline_s = UnitState.AUDIT_COMMITTED, event.deadline
            case on_chain.UnitOpened():
                unit.unit_root, unit.deadline_s = event.unit_root, event.deadline
            case on_chain.AuditRevealed():
                unit.audit_revealed = True
            case on_chain.UnitVerified():
                unit.state, unit.deadline_s = UnitState.VERIFIED, event.deadline
                self.verdicts["verified"] += 1
            case on_chain.UnitDisputed():
                unit.state, unit.disputed_by = UnitState.DISPUTED, event.by
                self.verdicts["disputed"] += 1
            case on_chain.ChallengeOpened():
                unit.challenger = event.challenger
            case on_chain.ChallengeClosed():
                unit.challenger = ""
            case on_chain.UnitFaulted():
                unit.state = UnitState.FAULTED
                self.tally(event.worker).faults += 1
                self.verdicts["faulted"] += 1
            case on_chain.InputUnavailable():
                unit.input_unavailable = True
                self.verdicts["input unavailable"] += 1
            case on_chain.LockReleased():
                unit.is_released = True
            case on_chain.UnitVoided():
                unit.state = UnitState.VOIDED
                self.verdicts["voided"] += 1

    def _apply_committee(self, event: Event) -> None:
        unit = self.units.get(getattr(event, "unit_id", b""))
        if unit is None:
            return
        match event:
            case on_chain.DisputeOpened():
                unit.dispute_draw_block = event.draw_block
            case on_chain.JurorsDrawn():
                unit.jurors = tuple(event.jurors)
                unit.vote_commit_deadline_s = event.commit_deadline
                unit.vote_reveal_deadline_s = event.reveal_deadline
            case on_chain.VoteCommitted():
                unit.votes_committed.add(event.juror)
            case on_chain.VotingClosed():
                unit.vote_commit_deadline_s = 0
                unit.vote_reveal_deadline_s = event.reveal_deadline
            case on_chain.VoteRevealed():
                unit.votes_revealed.add(event.juror)

    def _forget_units(self, job: JobView, before: int) -> None:
        self._forget(job, [key for key in job.units if key.round < before])

    def _forget(self, job: JobView, keys: Iterable[UnitRef]) -> None:
        for key in keys:
            self.units.pop(job.units.pop(key).unit_id, None)


def _funded(event: on_chain.JobFunded, versions: Versions, log: JobLog) -> JobView:
    terms = event.terms
    return JobView(
        job_id=event.job_id,
        submitter=event.submitter,
        manifest_digest=terms.manifest_digest,
        manifest=_blob_ref(terms.manifest_root, terms.manifest_size),
        rounds=terms.rounds,
        slots=terms.slots,
        unit_wei=terms.unit_wei,
        rounds_ahead=terms.rounds_ahead,
        unit_flops=terms.unit_flops,
        token=terms.token,
        unit_value_wei=event.unit_value_wei,
        versions=versions,
        audit_wei=event.audit_wei,
        deadline_s=terms.deadline,
        deposited_wei=event.deposited,
        funded_at=Position(event.place.block, event.place.index),
        log=log,
    )


def _blob_ref(root: bytes, size: int) -> BlobRef:
    """The address that an event names. Anyone may write any size there: one over the bound becomes
    the bound, which no manifest and no checkpoint has, so that nobody finds such a blob.
    """
    return BlobRef(root=root.hex(), size=min(size, BLOB_BYTES_MAX))
