"""What can happen to a job's coordinator: a closed union of facts, all in the past tense.

Three sources, three kinds of trust:

- *peers* (`PeerAppeared` to `UnitCommitted`): anything may be claimed; a wrong claim is answered
  with a refusal, never with an error;
- *this node* (`ResultStored` to `Tick`): reports on commands that it was given; one about something
  replaced meanwhile is ignored, one about something that never was is illegal;
- *the chain* (everything with `at`): each log entry of the job once, in the order of the chain. The
  machine ignores a position that it has passed, so that a node may feed a range again after a
  restart, from `state.chain_at` on.
"""

from dataclasses import dataclass
from enum import StrEnum

from scheduler.blob_ref import BlobRef
from scheduler.terms import (
    COVERS_MAX,
    Claim,
    Holding,
    JobTerms,
    Metrics,
    PeerId,
    Position,
    UnitRef,
    Wallet,
)


@dataclass(frozen=True, slots=True)
class CoordinationStarted:
    """This node took the lease; `round` is the oldest that is not final, `checkpoint` its start.

    The first record of every journal, and nowhere else legal.
    """

    terms: JobTerms
    round: int
    checkpoint: bytes
    blob: BlobRef


# --- From peers ---


@dataclass(frozen=True, slots=True)
class PeerAppeared:
    """A peer connected and proved its wallet; `active`: the wallet's bond suffices for work.

    `covers`: see `BondChanged`.
    """

    peer: PeerId
    wallet: Wallet
    active: bool
    covers: int = COVERS_MAX


@dataclass(frozen=True, slots=True)
class PeerVanished:
    """A peer's connection ended."""

    peer: PeerId


@dataclass(frozen=True, slots=True)
class UnitRequested:
    """A peer asks for work and says what it can hold.

    One that holds a unit is answered with it again, because the first answer was lost. `ready`:
    units whose results it has at hand from before, under an earlier coordinator or before it was
    killed.
    """

    peer: PeerId
    memory_bytes: int
    ready: tuple[UnitRef, ...] = ()


@dataclass(frozen=True, slots=True)
class UnitCommitted:
    """A peer commits to the result of a unit; the result itself stays with it until fetched.

    The node has checked that `signature` is the peer's wallet's over the claim digest: the chain
    would refuse the whole batch for one wrong signature. `holding` is the same wallet's signed word
    that it holds the result, checked too.
    """

    peer: PeerId
    unit: UnitRef
    result_root: bytes
    commitment: bytes
    signature: bytes
    blob: BlobRef
    holding: bytes


# --- From this node ---


class ResultFault(StrEnum):
    """Why a result was refused.

    `UNAVAILABLE`: its peer answers that it has not got it. `SILENT`: the peer does not answer, it
    may be away. `OURS`: there is no room for it here yet, nobody is to blame.
    """

    UNAVAILABLE = "unavailable"
    SILENT = "silent"
    MALFORMED = "malformed"
    OURS = "ours"


@dataclass(frozen=True, slots=True)
class ResultStored:
    """The blob is here, durably, has the shapes of a result, and its state root is the claimed.

    `holding`: this node's signed word that it holds it. `recomputed`: nobody had it, so it was
    computed here.
    """

    unit: UnitRef
    blob: BlobRef
    holding: Holding | None = None
    recomputed: bool = False


@dataclass(frozen=True, slots=True)
class ResultRefused:
    """The blob that this peer promised did not come, or is not a result with the claimed root."""

    unit: UnitRef
    blob: BlobRef
    peer: PeerId
    fault: ResultFault


@dataclass(frozen=True, slots=True)
class ResultHeld:
    """A peer that was asked to signed that it holds the result; the node checked the signature."""

    unit: UnitRef
    blob: BlobRef
    holding: Holding


@dataclass(frozen=True, slots=True)
class HoldingRefused:
    """A wallet that was asked to hold a result does not: it refused, was late or is gone.

    `lied`: it signed something else.
    """

    unit: UnitRef
    blob: BlobRef
    wallet: Wallet
    lied: bool = False


@dataclass(frozen=True, slots=True)
class CommitRefused:
    """The chain would not take the batch (simulation or transaction reverted).

    `slots`: those whose claims are to blame, if it said so (no active bond, a wrong signature);
    they are opened again, the others are sent without them.
    """

    round: int
    reason: str
    slots: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class CombineFinished:
    """Aggregate and next checkpoint were computed from the results of `Combine(round, generation)`.

    `checkpoint` is the state root of what `blob` holds, `aggregate` the blob of the aggregate.
    """

    round: int
    generation: int
    checkpoint: bytes
    blob: BlobRef
    aggregate: BlobRef
    metrics: Metrics = ()


@dataclass(frozen=True, slots=True)
class CombineFailed:
    """The combination did not run to its end; it is tried again after a pause."""

    round: int
    generation: int
    reason: str


@dataclass(frozen=True, slots=True)
class ChallengeWindowOver:
    """The chain would take `finalizeRound` now. Ignored unless the machine awaits it."""

    round: int


@dataclass(frozen=True, slots=True)
class FinalizeRefused:
    """The chain would not take `finalizeRound`; the machine awaits the window again."""

    round: int
    reason: str


@dataclass(frozen=True, slots=True)
class AnchorRefused:
    """The chain would not take `anchorRound`, or not withdraw an anchor; it is tried again."""

    round: int
    reason: str


@dataclass(frozen=True, slots=True)
class BondChanged:
    """A wallet's bond rose above or fell below what work requires, or covers more or fewer units.

    `covers`: for how many units more, of this job and not on the chain yet, its free bond answers.
    """

    wallet: Wallet
    active: bool
    covers: int = COVERS_MAX


@dataclass(frozen=True, slots=True)
class PauseOrdered:
    """The submitter ordered that no unit be handed out (`paused`), or that work goes on.

    The node has checked that the order is signed by the job's submitter. Orders are numbered by
    it; one that is not above the last is a repetition and is ignored.
    """

    paused: bool
    serial: int


@dataclass(frozen=True, slots=True)
class LeaseLost:
    """Another node holds the job's lease."""


@dataclass(frozen=True, slots=True)
class JobExpired:
    """The escrow takes no more work for the job, and it was not cancelled."""


@dataclass(frozen=True, slots=True)
class NodeRestarted:
    """This node replayed its journal: no peer is connected, and none is to blame for the pause."""


@dataclass(frozen=True, slots=True)
class Tick:
    """Time went by. Once a second is enough; a tick without effect changes nothing."""


# --- From the chain ---


@dataclass(frozen=True, slots=True)
class RoundCommittedOnChain:
    """`RoundCommitted`: the claims of one batch are on the chain, whoever sent them."""

    at: Position
    round: int
    batch: int
    claims: tuple[Claim, ...]


@dataclass(frozen=True, slots=True)
class UnitDrawn:
    """The draw, or a redraw, gave the unit to an auditor, who must act before `due_ms`."""

    at: Position
    unit: UnitRef
    auditor: Wallet
    due_ms: int


@dataclass(frozen=True, slots=True)
class AuditAdvanced:
    """An audit made a step (`AuditCommitted`, `UnitOpened`): the next is due before `due_ms`."""

    at: Position
    unit: UnitRef
    due_ms: int


@dataclass(frozen=True, slots=True)
class UnitPassed:
    """The unit counts without an audit; it can be challenged until `until_ms`."""

    at: Position
    unit: UnitRef
    until_ms: int


@dataclass(frozen=True, slots=True)
class UnitVerified:
    """An audit (challenges until `until_ms`) or a verdict (`until_ms` 0) confirmed the unit."""

    at: Position
    unit: UnitRef
    until_ms: int


@dataclass(frozen=True, slots=True)
class UnitDisputed:
    """Unequal roots or a challenge: the committee decides."""

    at: Position
    unit: UnitRef


@dataclass(frozen=True, slots=True)
class UnitFaulted:
    """The worker was proven wrong or silent; its slot is open again."""

    at: Position
    unit: UnitRef
    worker: Wallet


@dataclass(frozen=True, slots=True)
class UnitVoided:
    """The dispute had no majority; the slot is open again, nobody is to blame."""

    at: Position
    unit: UnitRef


@dataclass(frozen=True, slots=True)
class RoundAnchoredOnChain:
    """The next round may start from this checkpoint before the round is final."""

    at: Position
    round: int
    checkpoint: bytes
    blob: BlobRef


@dataclass(frozen=True, slots=True)
class AnchorsWithdrawnOnChain:
    """`round` is the one that takes claims again; the rounds after it, up to `head`, are dissolved.

    Behind a fault or a void of an anchored round, or because a successor found other bits.
    """

    at: Position
    round: int
    head: int


@dataclass(frozen=True, slots=True)
class RoundFinalizedOnChain:
    """The round's checkpoint is final."""

    at: Position
    round: int
    checkpoint: bytes


@dataclass(frozen=True, slots=True)
class JobCancelled:
    """The submitter cancelled, or a verdict ended the job because its data was unavailable.

    Open rounds with claims on the chain may still be finished.
    """

    at: Position


PeerEvent = PeerAppeared | PeerVanished | UnitRequested | UnitCommitted
NodeEvent = (
    ResultStored
    | ResultRefused
    | ResultHeld
    | HoldingRefused
    | CommitRefused
    | CombineFinished
    | CombineFailed
    | ChallengeWindowOver
    | FinalizeRefused
    | AnchorRefused
    | BondChanged
    | PauseOrdered
    | LeaseLost
    | JobExpired
    | NodeRestarted
    | Tick
)
UnitEvent = (
    UnitDrawn | AuditAdvanced | UnitPassed | UnitVerified | UnitDisputed | UnitFaulted | UnitVoided
)
ChainEvent = (
    RoundCommittedOnChain
    | UnitEvent
    | RoundAnchoredOnChain
    | AnchorsWithdrawnOnChain
    | RoundFinalizedOnChain
    | JobCancelled
)
Event = CoordinationStarted | PeerEvent | NodeEvent | ChainEvent
