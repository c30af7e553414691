"""The contracts' structs and enums as frozen dataclasses.

Fields stand in the order of the Solidity declaration and are named the same but for the case (a
test compares them with the ABI), so that one function converts all of them in each direction.
"""

from collections.abc import Callable, Mapping
from dataclasses import astuple, dataclass, fields, is_dataclass
from enum import Enum, IntEnum
from typing import Any, Self, TypeVar, get_args, get_origin, get_type_hints

from node.ids import JobId

T = TypeVar("T")
ZERO_ADDRESS = "0x" + "0" * 40
ZERO_HASH = bytes(32)


class Parameter(IntEnum):
    """What the DAO may tune. `BPS` counts ten-thousandths, `S` seconds, `VERSIONS` is a set: bit v
    for version v.
    """

    MIN_BOND_WEI = 0
    AUDIT_FLOOR_BPS = 1
    PROBATION_UNITS = 2
    LOCK_FACTOR_BPS = 3
    BOUNTY_BPS = 4
    PROTOCOL_FEE_BPS = 5
    AUDIT_PAY_BPS = 6
    UNBOND_DELAY_S = 7
    AUDIT_WINDOW_S = 8
    OPEN_WINDOW_S = 9
    CHALLENGE_WINDOW_S = 10
    CHALLENGE_DEPOSIT_WEI = 11
    COMMITTEE_SIZE = 12
    LEASE_S = 13
    DATA_DEPOSIT_BPS = 14
    EMISSION_BPS = 15
    TREASURY_SHARE_BPS = 16
    EMISSION_GFLOP_FEE_WEI = 17
    ARITHMETIC_VERSIONS = 18
    MANIFEST_VERSIONS = 19

    @property
    def label(self) -> str:
        """The name that people and documents use: `auditFloorBps`."""
        first, *rest = self.name.lower().split("_")
        return first + "".join(part.capitalize() for part in rest)


class JobStatus(IntEnum):
    """Where a job stands."""

    NONE = 0
    FUNDED = 1
    COMPLETED = 2
    CANCELLED = 3
    EXPIRED = 4
    INPUT_UNAVAILABLE = 5


class UnitStatus(IntEnum):
    """Where a unit stands; docs/spec/contracts.md has the transitions."""

    NONE = 0
    COMMITTED = 1
    PASSED = 2
    DRAWN = 3
    AUDIT_COMMITTED = 4
    VERIFIED = 5
    DISPUTED = 6
    FAULTED = 7
    VOIDED = 8
    DISSOLVED = 9


class PassReason(IntEnum):
    """Why a unit passed without an audit."""

    NOT_DRAWN = 0
    NOBODY_ELIGIBLE = 1
    AUDITORS_OVERDUE = 2


class DisputePhase(IntEnum):
    """Where a dispute stands."""

    NONE = 0
    DRAWING = 1
    VOTING = 2
    REVEALING = 3
    RESOLVABLE = 4
    RESOLVED = 5


class ProposalState(IntEnum):
    """Where a proposal stands: OpenZeppelin's IGovernor.ProposalState."""

    PENDING = 0
    ACTIVE = 1
    CANCELED = 2
    DEFEATED = 3
    SUCCEEDED = 4
    QUEUED = 5
    EXPIRED = 6
    EXECUTED = 7


class Support(IntEnum):
    """A vote's direction."""

    AGAINST = 0
    FOR = 1
    ABSTAIN = 2


@dataclass(frozen=True, slots=True)
class JobTerms:
    """What a submitter offers."""

    manifest_digest: bytes
    manifest_size: int
    manifest_root: bytes
    rounds: int
    slots: int
    unit_wei: int
    deadline: int
    rounds_ahead: int = 0
    unit_flops: int = 0
    token: str = ZERO_ADDRESS
    """What every amount is counted in, in its smallest units; ZERO_ADDRESS: AIN, in wei."""


@dataclass(frozen=True, slots=True)
class Job:
    """A funded job. deposited = paid + refunded + fees + charged + held."""

    submitter: str
    status: JobStatus
    terms: JobTerms
    audit_wei: int
    fee_bps: int
    rounds_paid: int
    cancelled_at: int
    settled: bool
    deposited: int
    paid: int
    refunded: int
    fees: int
    data_wei: int
    charged: int
    charged_at: int
    unit_value_wei: int
    """A unit's price in wei of AIN, by the rate at the funding: what locks are computed from."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A worker's result as the coordinator puts it on chain."""

    slot: int
    attempt: int
    worker: str
    result_root: bytes
    commitment: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class ClaimedUnit:
    """What a batch's root keeps of a claim: the chain is shown it again."""

    slot: int
    attempt: int
    worker: str
    result_root: bytes
    commitment: bytes

    @classmethod
    def of(cls, claim: Claim) -> Self:
        """All of the claim but its signature."""
        return cls(claim.slot, claim.attempt, claim.worker, claim.result_root, claim.commitment)


@dataclass(frozen=True, slots=True)
class Unit:
    """One work unit on record: drawn or challenged. All zero for any other."""

    job_id: JobId
    worker: str
    round: int
    slot: int
    attempt: int
    auditor: str
    status: UnitStatus
    redraws: int
    deadline: int
    batch: int
    dissolutions: int
    result_root: bytes
    commitment: bytes
    unit_root: bytes
    audit_commitment: bytes
    audit_root: bytes
    challenger: str
    deposit_wei: int


@dataclass(frozen=True, slots=True)
class Batch:
    """One commitRound call."""

    claims_root: bytes
    coordinator: str
    draw_block: int
    challenge_deadline: int
    is_late: bool
    slots_bitmap: int
    released_bitmap: int
    lock_wei: int
    seed: bytes


@dataclass(frozen=True, slots=True)
class RoundState:
    """What a round's claims come to."""

    dissolutions: int
    batches: int
    claimed_bitmap: int


@dataclass(frozen=True, slots=True)
class FinalizedRound:
    """What finalizeRound fixed for ever; all zero while the round is not final."""

    checkpoint: bytes
    checkpoint_blob_root: bytes
    checkpoint_size: int


@dataclass(frozen=True, slots=True)
class Dispute:
    """One unit before the committee."""

    phase: DisputePhase
    worker: str
    coordinator: str
    accuser: str
    opened_at: int
    commit_deadline: int
    reveal_deadline: int
    draw_block: int
    jurors: tuple[str, ...]
    commitments: tuple[bytes, ...]
    votes: tuple[bytes, ...]
    verdict: bytes


@dataclass(frozen=True, slots=True)
class EpochEmission:
    """What is counted in an epoch, and the rates of all of it; all zero if nothing is."""

    flops: int
    emission_bps: int
    treasury_bps: int
    gflop_fee_wei: int


@dataclass(frozen=True, slots=True)
class Newcomer:
    """What an account without a bond has earned and may earn, and whether it was paid, for good."""

    retained_wei: int
    promised_wei: int
    has_left: bool
    audits: int


@dataclass(frozen=True, slots=True)
class NewcomerPlace:
    """Whether an account may audit the unit in `slot` of a batch, if the draw spared it."""

    has_place: bool
    slot: int
    commit_deadline: int


@dataclass(frozen=True, slots=True)
class Opening:
    """What opens a worker's commitment."""

    trace_root: bytes
    salt: bytes


@dataclass(frozen=True, slots=True)
class Lease:
    """Who coordinates a job; the zero address if nobody does."""

    holder: str
    expires_at: int


@dataclass(frozen=True, slots=True)
class Lineage:
    """What claims to a round's units must name: the checkpoint before it, and the lease's epoch."""

    parent: bytes
    lease_epoch: int


@dataclass(frozen=True, slots=True)
class Pending:
    """What is being withdrawn from a bond, and from when it may be."""

    amount: int
    available_at: int


@dataclass(frozen=True, slots=True)
class DelegatedBond:
    """What others have delegated to an account's bond; amounts in wei."""

    amount: int
    leaving: int
    index: int
    commission_bps: int
    is_open: bool


@dataclass(frozen=True, slots=True)
class Delegation:
    """What a holder has delegated, as of now, and to whom; ZERO_ADDRESS if nothing."""

    account: str
    amount: int
    leaving: int
    available_at: int


@dataclass(frozen=True, slots=True)
class Succession:
    """Who waits for the referee's seat, and when it will have it; zeros if nobody does."""

    successor: str
    seated_at: int


@dataclass(frozen=True, slots=True)
class EmissionPlan:
    """What the token may mint besides its first supply, fixed at deployment."""

    epoch_s: int
    first_budget_wei: int
    halving_epochs: int


@dataclass(frozen=True, slots=True)
class EmissionSchedule:
    """The token's epochs and what may be minted for each (docs/spec/economy.md)."""

    start_s: int
    plan: EmissionPlan

    def epoch_at(self, time_s: int) -> int:
        """The epoch that runs at a moment, Unix seconds, from the start of emission on."""
        return (time_s - self.start_s) // self.plan.epoch_s

    def ends_at(self, epoch: int) -> int:
        """When an epoch ends, Unix seconds; what it gives can be claimed from then on."""
        return self.start_s + (epoch + 1) * self.plan.epoch_s

    def budget_wei(self, epoch: int) -> int:
        """What may be minted for an epoch: the first budget, halved again and again."""
        return self.plan.first_budget_wei >> epoch // self.plan.halving_epochs


@dataclass(frozen=True, slots=True)
class EmissionShare:
    """What an epoch gives an account, and the treasury's share besides."""

    amount_wei: int
    treasury_wei: int


@dataclass(frozen=True, slots=True)
class Bounds:
    """The least and the greatest value that a parameter may ever have."""

    min: int
    max: int


@dataclass(frozen=True, slots=True)
class ProposalVotes:
    """The votes cast on a proposal, in wei of voting power."""

    against: int
    for_: int
    abstain: int


def to_abi(value: object) -> object:
    """A dataclass as the tuple that ABI encoding wants; anything else unchanged."""
    if is_dataclass(value) and not isinstance(value, type):
        return astuple(value)
    if isinstance(value, list | tuple):
        return tuple(to_abi(item) for item in value)
    return value


def from_abi(kind: type[T], values: tuple[Any, ...]) -> T:
    """Build the dataclass `kind` from a decoded ABI tuple of the same shape."""
    converters = _converters(kind)
    return kind(*(convert(v) for convert, v in zip(converters, values, strict=True)))


def _converters(kind: type) -> tuple[Callable[[Any], Any], ...]:
    hints: Mapping[str, Any] = get_type_hints(kind)
    assert is_dataclass(kind)
    return tuple(converter(hints[field.name]) for field in fields(kind))


def converter(hint: Any) -> Callable[[Any], Any]:
    """What turns a decoded ABI value into the type of a field annotated with `hint`."""
    if get_origin(hint) is tuple:
        item = converter(get_args(hint)[0])
        return lambda values: tuple(item(value) for value in values)
    if isinstance(hint, type) and is_dataclass(hint):
        return lambda values: from_abi(hint, values)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return hint
    return lambda value: value
