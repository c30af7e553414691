"""The contracts' events, typed.

A class per event, named and ordered as in Solidity (a test compares them with the ABI). Every event
carries where it stands on the chain; events sort by block and log index. One long table: whoever
matches on events names them by one namespace; node/chain/event_table.py says who emits them.
"""

from dataclasses import dataclass

from node.chain.types import Claim, JobTerms, Parameter, PassReason
from node.ids import JobId, UnitId


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where an event stands: block, index among the block's logs, transaction hash."""

    block: int
    index: int
    transaction: bytes


@dataclass(frozen=True, slots=True)
class Event:
    """The base of all events."""

    place: Place


# --- BondVault


@dataclass(frozen=True, slots=True)
class Bonded(Event):
    account: str
    amount: int
    bond: int


@dataclass(frozen=True, slots=True)
class UnbondRequested(Event):
    account: str
    amount: int
    pending: int
    available_at: int


@dataclass(frozen=True, slots=True)
class UnbondCancelled(Event):
    account: str
    amount: int


@dataclass(frozen=True, slots=True)
class Withdrawn(Event):
    account: str
    amount: int
    bond: int


@dataclass(frozen=True, slots=True)
class Slashed(Event):
    account: str
    amount: int
    burned: int
    bounty: int
    bond: int


@dataclass(frozen=True, slots=True)
class DelegatorsEarned(Event):
    account: str
    amount: int


@dataclass(frozen=True, slots=True)
class DelegatedChanged(Event):
    account: str
    delegated: int
    staying: int


@dataclass(frozen=True, slots=True)
class BondLocked(Event):
    account: str
    amount: int
    locked: int


@dataclass(frozen=True, slots=True)
class BondUnlocked(Event):
    account: str
    amount: int
    locked: int


@dataclass(frozen=True, slots=True)
class PeerIdChanged(Event):
    account: str
    peer_id: bytes


@dataclass(frozen=True, slots=True)
class ActiveChanged(Event):
    account: str
    active: bool


# --- JobEscrow


@dataclass(frozen=True, slots=True)
class JobFunded(Event):
    job_id: JobId
    submitter: str
    terms: JobTerms
    audit_wei: int
    unit_value_wei: int
    deposited: int


@dataclass(frozen=True, slots=True)
class DataDeposited(Event):
    job_id: JobId
    amount: int


@dataclass(frozen=True, slots=True)
class DataCharged(Event):
    job_id: JobId
    worker_wei: int
    auditor_wei: int
    juror_wei: int
    jurors: int
    burned: int


@dataclass(frozen=True, slots=True)
class ChargeOwed(Event):
    job_id: JobId
    accounts: tuple[str, ...]
    amounts: tuple[int, ...]
    left: int


@dataclass(frozen=True, slots=True)
class ChargePaid(Event):
    job_id: JobId


@dataclass(frozen=True, slots=True)
class JobCancelled(Event):
    job_id: JobId


@dataclass(frozen=True, slots=True)
class JobRefunded(Event):
    job_id: JobId
    to: str
    amount: int


@dataclass(frozen=True, slots=True)
class RoundPaid(Event):
    job_id: JobId
    round: int
    amount: int
    fee: int


@dataclass(frozen=True, slots=True)
class JobCompleted(Event):
    job_id: JobId


@dataclass(frozen=True, slots=True)
class JobSettled(Event):
    job_id: JobId


# --- WorkLedger


@dataclass(frozen=True, slots=True)
class LeaseTaken(Event):
    job_id: JobId
    holder: str
    expires_at: int
    epoch: int


@dataclass(frozen=True, slots=True)
class LeaseRenewed(Event):
    job_id: JobId
    holder: str
    expires_at: int


@dataclass(frozen=True, slots=True)
class RoundCommitted(Event):
    job_id: JobId
    round: int
    batch: int
    claims_root: bytes
    draw_block: int
    claims: tuple[Claim, ...]


@dataclass(frozen=True, slots=True)
class DrawMissed(Event):
    job_id: JobId
    round: int
    batch: int
    draw_block: int


@dataclass(frozen=True, slots=True)
class DrawCaptured(Event):
    job_id: JobId
    round: int
    batch: int
    seed: bytes
    late: bool


@dataclass(frozen=True, slots=True)
class UnitDrawn(Event):
    unit_id: UnitId
    auditor: str
    job_id: JobId
    round: int
    slot: int
    attempt: int
    worker: str
    deadline: int


@dataclass(frozen=True, slots=True)
class UnitPassed(Event):
    unit_id: UnitId
    job_id: JobId
    reason: PassReason
    deadline: int


@dataclass(frozen=True, slots=True)
class AuditCommitted(Event):
    unit_id: UnitId
    auditor: str
    deadline: int


@dataclass(frozen=True, slots=True)
class UnitOpened(Event):
    unit_id: UnitId
    unit_root: bytes
    deadline: int


@dataclass(frozen=True, slots=True)
class AuditRevealed(Event):
    unit_id: UnitId
    auditor: str
    unit_root: bytes


@dataclass(frozen=True, slots=True)
class UnitVerified(Event):
    unit_id: UnitId
    job_id: JobId
    deadline: int


@dataclass(frozen=True, slots=True)
class UnitDisputed(Event):
    unit_id: UnitId
    job_id: JobId
    by: str


@dataclass(frozen=True, slots=True)
class UnitFaulted(Event):
    unit_id: UnitId
    job_id: JobId
    worker: str
    slashed_wei: int


@dataclass(frozen=True, slots=True)
class AuditorFaulted(Event):
    unit_id: UnitId
    auditor: str
    slashed_wei: int


@dataclass(frozen=True, slots=True)
class UnitVoided(Event):
    unit_id: UnitId
    job_id: JobId


@dataclass(frozen=True, slots=True)
class InputUnavailable(Event):
    unit_id: UnitId
    job_id: JobId


@dataclass(frozen=True, slots=True)
class ChallengeOpened(Event):
    unit_id: UnitId
    challenger: str
    deposit_wei: int


@dataclass(frozen=True, slots=True)
class ChallengeClosed(Event):
    unit_id: UnitId
    challenger: str
    returned_wei: int
    bounty_wei: int
    burned_wei: int


@dataclass(frozen=True, slots=True)
class LockReleased(Event):
    unit_id: UnitId
    worker: str
    lock_wei: int


@dataclass(frozen=True, slots=True)
class RoundAnchored(Event):
    job_id: JobId
    round: int
    checkpoint: bytes
    checkpoint_blob_root: bytes
    checkpoint_size: int


@dataclass(frozen=True, slots=True)
class AnchorsWithdrawn(Event):
    job_id: JobId
    round: int
    head: int


@dataclass(frozen=True, slots=True)
class RoundFinalized(Event):
    job_id: JobId
    round: int
    checkpoint: bytes
    checkpoint_blob_root: bytes
    checkpoint_size: int
    total_wei: int


@dataclass(frozen=True, slots=True)
class RoundRewards(Event):
    job_id: JobId
    round: int
    accounts: tuple[str, ...]
    amounts: tuple[int, ...]


# --- RefereeSeat


@dataclass(frozen=True, slots=True)
class SuccessorProposed(Event):
    successor: str
    seated_at: int


@dataclass(frozen=True, slots=True)
class SuccessorWithdrawn(Event):
    successor: str
    by: str


# --- AuditCommittee


@dataclass(frozen=True, slots=True)
class DisputeOpened(Event):
    unit_id: UnitId
    draw_block: int


@dataclass(frozen=True, slots=True)
class JurorsDrawn(Event):
    unit_id: UnitId
    jurors: tuple[str, ...]
    commit_deadline: int
    reveal_deadline: int


@dataclass(frozen=True, slots=True)
class VoteCommitted(Event):
    unit_id: UnitId
    juror: str


@dataclass(frozen=True, slots=True)
class VotingClosed(Event):
    unit_id: UnitId
    reveal_deadline: int


@dataclass(frozen=True, slots=True)
class VoteRevealed(Event):
    unit_id: UnitId
    juror: str
    unit_root: bytes


@dataclass(frozen=True, slots=True)
class DisputeResolved(Event):
    unit_id: UnitId
    root: bytes
    votes: int
    seats: int


# --- RewardDistributor


@dataclass(frozen=True, slots=True)
class Credited(Event):
    token: str
    by: str
    accounts: tuple[str, ...]
    amounts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Claimed(Event):
    token: str
    account: str
    amount: int


# --- EmissionController


@dataclass(frozen=True, slots=True)
class EpochOpened(Event):
    epoch: int
    emission_bps: int
    treasury_bps: int
    gflop_fee_wei: int


@dataclass(frozen=True, slots=True)
class RoundCounted(Event):
    job_id: JobId
    round: int
    epoch: int
    flops: int


@dataclass(frozen=True, slots=True)
class EmissionClaimed(Event):
    epoch: int
    account: str
    amount: int
    treasury_wei: int


# --- NetworkParameters


@dataclass(frozen=True, slots=True)
class ParameterChanged(Event):
    parameter: Parameter
    old_value: int
    new_value: int


@dataclass(frozen=True, slots=True)
class TokenRateChanged(Event):
    token: str
    old_rate: int
    new_rate: int


# --- AinurGovernor


@dataclass(frozen=True, slots=True)
class ProposalCreated(Event):
    proposal_id: int
    proposer: str
    targets: tuple[str, ...]
    values: tuple[int, ...]
    signatures: tuple[str, ...]
    calldatas: tuple[bytes, ...]
    vote_start: int
    vote_end: int
    description: str


@dataclass(frozen=True, slots=True)
class VoteCast(Event):
    voter: str
    proposal_id: int
    support: int
    weight: int
    reason: str


@dataclass(frozen=True, slots=True)
class ProposalQueued(Event):
    proposal_id: int
    eta_seconds: int


@dataclass(frozen=True, slots=True)
class ProposalExecuted(Event):
    proposal_id: int


@dataclass(frozen=True, slots=True)
class ProposalCanceled(Event):
    proposal_id: int
