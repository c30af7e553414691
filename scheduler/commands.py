"""What a coordinator tells its node to do: a closed union of imperatives.

*Replies* answer the one event that caused them and are not repeated: a peer that missed one asks
again and gets the same answer. *Standing* commands follow from the state alone: they are issued
when they begin to hold and `standing.standing(state)` lists those that still do, so that a node
may carry one out again at any time. Each is idempotent by its arguments.
"""

from dataclasses import dataclass
from enum import StrEnum

from scheduler.blob_ref import BlobRef
from scheduler.terms import Claim, PeerId, SlotResult, UnitRef, Wallet

# --- Replies ---


class DeclineReason(StrEnum):
    """Why a peer gets no unit now; the value is a sentence for people."""

    UNKNOWN_PEER = "this peer is not known here: say hello first"
    BOND_INACTIVE = "the wallet's bond does not suffice for work"
    QUARANTINED = "the last units of this wallet failed: work is offered again later"
    MEMORY = "a unit of this job needs more memory than this peer offers"
    PAUSED = "the submitter paused the job"
    CANCELLED = "the submitter cancelled the job: no further round begins"
    DEADLINE = "the job's deadline is so near that a new unit would not be paid"
    TOO_FEW_PEERS = "the round is not begun before more peers are ready"
    KEPT_FOR_FASTER = "the last units are kept a moment for faster peers that are idle"
    HOLDING_ENOUGH = "the peers of this wallet hold as many units as they may"
    BOND_COVERS = "the wallet's free bond covers no more open units"
    NOTHING_OPEN = "every unit of the round is taken"
    JOB_OVER = "the job is over"


class RefuseReason(StrEnum):
    """Why a commit gets no receipt; the value is a sentence for people."""

    UNKNOWN_PEER = "this peer is not known here: say hello first"
    NOT_ASSIGNED = "the unit was not assigned to this wallet"
    TAKEN = "another worker's result came first"
    CONFLICT = "this wallet already committed to another result of the unit"
    ROUND_OVER = "the round is over"
    ATTEMPT_OVER = "this attempt is over"
    DISSOLVED = "an earlier result was wrong or void: what was computed after it does not count"
    BOND_INACTIVE = "the wallet's bond does not suffice for work"
    JOB_OVER = "the job is over"


@dataclass(frozen=True, slots=True)
class AssignUnit:
    """Give the unit to the peer. `spare`: another peer computes it too, the first result counts."""

    peer: PeerId
    unit: UnitRef
    deadline_ms: int
    spare: bool = False


@dataclass(frozen=True, slots=True)
class DeclineRequest:
    """Tell the peer that there is nothing for it, why, and when to ask again."""

    peer: PeerId
    reason: DeclineReason
    retry_after_ms: int


@dataclass(frozen=True, slots=True)
class AcceptCommit:
    """Send the peer a signed receipt. Only after the event is durable in the journal."""

    peer: PeerId
    unit: UnitRef


@dataclass(frozen=True, slots=True)
class RefuseCommit:
    """Tell the peer that its commit does not count, and why."""

    peer: PeerId
    unit: UnitRef
    reason: RefuseReason


# --- Standing ---


@dataclass(frozen=True, slots=True)
class PublishRound:
    """Tell peers that the round is open."""

    round: int


@dataclass(frozen=True, slots=True)
class FetchResult:
    """Fetch and check the blob; report `ResultStored` or `ResultRefused`."""

    unit: UnitRef
    blob: BlobRef
    peer: PeerId
    result_root: bytes


@dataclass(frozen=True, slots=True)
class RecoverResult:
    """Find the result of a unit that an earlier coordinator put on the chain; report
    `ResultStored`.

    Ask who signed that it holds it. `anew`: where nobody has it compute the unit here: it has one
    result.
    """

    unit: UnitRef
    worker: Wallet
    result_root: bytes
    anew: bool


@dataclass(frozen=True, slots=True)
class AskHolder:
    """Ask a peer of this wallet to fetch the blob from here and to sign that it holds it; report
    `ResultHeld` or `HoldingRefused`."""

    unit: UnitRef
    blob: BlobRef
    result_root: bytes
    wallet: Wallet


@dataclass(frozen=True, slots=True)
class CommitRound:
    """Call `commitRound`; the chain answers with the event, or report `CommitRefused`."""

    round: int
    claims: tuple[Claim, ...]


@dataclass(frozen=True, slots=True)
class CaptureDraw:
    """Call `captureDraw` as soon as the draw block exists, unless somebody has."""

    round: int
    batch: int


@dataclass(frozen=True, slots=True)
class ExpireUnit:
    """The auditor or the worker is overdue: call `expire`, unless somebody has."""

    unit: UnitRef


@dataclass(frozen=True, slots=True)
class ResolveDispute:
    """Bring the dispute on: draw the jurors, or resolve when the votes or the time allow it."""

    unit: UnitRef


@dataclass(frozen=True, slots=True)
class Combine:
    """Aggregate the results in slot order, then take the outer step from the checkpoint."""

    round: int
    generation: int
    checkpoint: bytes
    blob: BlobRef
    results: tuple[SlotResult, ...]


@dataclass(frozen=True, slots=True)
class AnchorRound:
    """Call `anchorRound`; the chain answers with the event, or report `AnchorRefused`."""

    round: int
    checkpoint: bytes
    blob: BlobRef


@dataclass(frozen=True, slots=True)
class WithdrawAnchors:
    """Call `withdrawAnchors`: an earlier coordinator's anchor does not follow from the results.

    The chain answers with the event, or report `AnchorRefused`.
    """

    round: int


@dataclass(frozen=True, slots=True)
class AwaitChallengeWindow:
    """Report `ChallengeWindowOver` once the chain's clock is past `until_ms`."""

    round: int
    until_ms: int


@dataclass(frozen=True, slots=True)
class FinalizeRound:
    """Call `finalizeRound`; the chain answers with the event, or report `FinalizeRefused`."""

    round: int
    checkpoint: bytes
    blob: BlobRef


class Outcome(StrEnum):
    """How the coordination ended."""

    COMPLETED = "completed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    LEASE_LOST = "lease lost"
    DIVERGED = "diverged"


@dataclass(frozen=True, slots=True)
class FinishJob:
    """Coordination is over; `DIVERGED`: the anchored checkpoint is not the one computed here."""

    outcome: Outcome


Reply = AssignUnit | DeclineRequest | AcceptCommit | RefuseCommit
StandingCommand = (
    PublishRound
    | FetchResult
    | RecoverResult
    | AskHolder
    | CommitRound
    | CaptureDraw
    | ExpireUnit
    | ResolveDispute
    | Combine
    | AnchorRound
    | WithdrawAnchors
    | AwaitChallengeWindow
    | FinalizeRound
    | FinishJob
)
Command = Reply | StandingCommand
