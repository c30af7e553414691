"""The rows of the state: what is known of a slot, a peer, a wallet. Frozen values, facts only.

What follows from facts is computed where it is needed (the phase of a round, the commands that
stand), so that no two fields can contradict each other.
"""

from dataclasses import dataclass
from enum import StrEnum

from scheduler.blob_ref import BlobRef
from scheduler.terms import COVERS_MAX, Claim, Holding, PeerId, SlotResult, UnitRef, Wallet


class SlotStatus(StrEnum):
    """How far a slot of a round under way is. scheduler/transitions.py has the moves."""

    OPEN = "open"
    RECEIPTED = "receipted"
    STORED = "stored"
    FILLED = "filled"
    SUBMITTED = "submitted"
    COMMITTED = "committed"
    DRAWN = "drawn"
    DISPUTED = "disputed"
    PASSED = "passed"
    VERIFIED = "verified"


EMPTY = frozenset({SlotStatus.OPEN})
WAITING = frozenset({SlotStatus.RECEIPTED, SlotStatus.STORED, SlotStatus.FILLED})
LOCAL = WAITING | {SlotStatus.SUBMITTED}
DONE = frozenset({SlotStatus.PASSED, SlotStatus.VERIFIED})
ON_CHAIN = DONE | {SlotStatus.COMMITTED, SlotStatus.DRAWN, SlotStatus.DISPUTED}


@dataclass(frozen=True, slots=True)
class Assignment:
    """A peer computes the unit, until the deadline; while it is away, until the grace is over.

    `at_hand`: it said that it has the result, so that its time tells nothing about speed.
    """

    peer: PeerId
    wallet: Wallet
    assigned_ms: int
    deadline_ms: int
    spare: bool = False
    grace_ms: int | None = None
    at_hand: bool = False

    @property
    def until_ms(self) -> int:
        """When nobody expects it any more."""
        return self.deadline_ms if self.grace_ms is None else min(self.deadline_ms, self.grace_ms)


@dataclass(frozen=True, slots=True)
class HolderAsk:
    """A wallet is asked to hold the slot's result, until then."""

    wallet: Wallet
    until_ms: int


@dataclass(frozen=True, slots=True)
class Filling:
    """The claim that fills a slot. `blob` and `peer` are unknown only for a claim of another
    coordinator, read from the chain; `stored` means that the blob is here and was checked.
    `holdings`: who signed that it holds the blob, one for each wallet."""

    wallet: Wallet
    result_root: bytes
    commitment: bytes
    signature: bytes
    peer: PeerId | None = None
    blob: BlobRef | None = None
    stored: bool = False
    holdings: tuple[Holding, ...] = ()

    @property
    def holders(self) -> frozenset[Wallet]:
        """The wallets that signed that they hold the result."""
        return frozenset(holding.wallet for holding in self.holdings)


@dataclass(frozen=True, slots=True)
class Slot:
    """One slot of the open round.

    `lapsed`: assignments that ended without a commit, newest last; a late result of theirs still
    counts if it is the first. `since_ms`: when the slot was last free. `due_ms`: of the fetch when
    receipted, of finding holders when stored, of the wait for the rest of the batch when filled, of
    the audit when drawn, of challenges when passed or verified. `asks`: who is asked to hold.
    `return_ms`: of an earlier coordinator's claim whose result is not here, how long those who hold
    it may take to come back; 0 where nobody is waited for, so that it is computed anew.
    """

    index: int
    attempt: int = 0
    status: SlotStatus = SlotStatus.OPEN
    since_ms: int = 0
    assignments: tuple[Assignment, ...] = ()
    lapsed: tuple[Assignment, ...] = ()
    filling: Filling | None = None
    batch: int | None = None
    auditor: Wallet | None = None
    due_ms: int = 0
    overdue: bool = False
    asks: tuple[HolderAsk, ...] = ()
    return_ms: int = 0

    @property
    def here(self) -> bool:
        """Its result is here."""
        return self.filling is not None and self.filling.stored

    @property
    def ready(self) -> bool:
        """Settled on the chain, and its result is here."""
        return self.status in DONE and self.here

    @property
    def claim(self) -> Claim:
        """The slot's claim as the chain takes it; the slot is filled."""
        filling = self._filled()
        return Claim(
            slot=self.index,
            attempt=self.attempt,
            worker=filling.wallet,
            result_root=filling.result_root,
            commitment=filling.commitment,
            signature=filling.signature,
        )

    @property
    def result(self) -> SlotResult:
        """The slot's result for the combination; the slot is ready."""
        filling = self._filled()
        assert filling.blob is not None
        return SlotResult(self.index, filling.wallet, filling.result_root, filling.blob)

    def _filled(self) -> Filling:
        assert self.filling is not None, f"slot {self.index} is not filled"
        return self.filling


@dataclass(frozen=True, slots=True)
class Peer:
    """A peer that was connected at least once; `vanished_ms` is None while it is connected.

    `memory_bytes`: what it offered when it asked for work since it came; None before.
    """

    peer: PeerId
    wallet: Wallet
    vanished_ms: int | None = None
    committed_ms: int = 0
    memory_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Worker:
    """A wallet's standing with this coordinator. Peers come and go; the bond answers.

    `failures`: overdue, missing or malformed units since the last stored result. `unit_ms`: how
    long a unit takes it, smoothed; 0 before its first commit. `quarantined_until_ms` is 0 outside
    quarantine. `kept`: results of others that it was asked to hold. `ask_after_ms`: until then it
    is not asked for that, because it refused or was late; else 0. `covers`: for how many units that
    are not on the chain its free bond answers.
    """

    wallet: Wallet
    active: bool
    failures: int = 0
    quarantined_until_ms: int = 0
    unit_ms: int = 0
    receipted: int = 0
    stored: int = 0
    settled: int = 0
    faults: int = 0
    kept: int = 0
    ask_after_ms: int = 0
    covers: int = COVERS_MAX

    @property
    def on_probation(self) -> bool:
        """It has no stored result since it came or failed: it gets one unit at a time."""
        return self.stored == 0 or self.failures > 0

    @property
    def fit(self) -> bool:
        """Bonded and not in quarantine."""
        return self.active and not self.quarantined_until_ms


@dataclass(frozen=True, slots=True)
class Combined:
    """The next checkpoint, computed here, and the aggregate that leads to it."""

    checkpoint: bytes
    blob: BlobRef
    aggregate: BlobRef


class UnavailableCause(StrEnum):
    """Why a result was unavailable; the value is a phrase for people."""

    OVERDUE = "its worker did not deliver it in time"
    REFUSED = "its worker does not have it"
    HOLDERS = "not enough peers hold it"
    LOST = "nobody had it any more, the coordinator computed it anew"


@dataclass(frozen=True, slots=True)
class Unavailable:
    """The verdict *result unavailable*: of which unit, by whom, why, when.

    The slot was re-issued, unpaid; but a unit that is on the chain (`LOST`) counts.
    """

    unit: UnitRef
    wallet: Wallet
    cause: UnavailableCause
    at_ms: int


@dataclass(frozen=True, slots=True)
class Totals:
    """Counts over the rounds that this coordination saw; for people."""

    units: int = 0
    drawn: int = 0
    verified: int = 0
    passed: int = 0
    disputes: int = 0
    faults: int = 0
    voids: int = 0
    dissolved: int = 0
    refused_results: int = 0
    reissued: int = 0
    unavailable: int = 0
