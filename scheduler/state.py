"""The state of one job's coordination: frozen values, facts only.

What follows from facts is computed where it is needed (the phase of a round, the commands that
stand), so that no two fields can contradict each other. Tables are tuples sorted by key: nothing
depends on the order of a set or a dict. `invariants` says what must hold after every event.
"""

from bisect import bisect_left
from dataclasses import dataclass, replace
from enum import StrEnum

from scheduler.blob_ref import BlobRef
from scheduler.commands import Outcome
from scheduler.terms import Claim, JobTerms, Metrics, PeerId, Position, SlotResult, UnitRef, Wallet

BEFORE_THE_CHAIN = Position(-1, -1)


class SlotStatus(StrEnum):
    """How far a slot of the open round is. scheduler/transitions.py has the moves."""

    OPEN = "open"
    RECEIPTED = "receipted"
    STORED = "stored"
    SUBMITTED = "submitted"
    COMMITTED = "committed"
    DRAWN = "drawn"
    DISPUTED = "disputed"
    PASSED = "passed"
    VERIFIED = "verified"


EMPTY = frozenset({SlotStatus.OPEN})
LOCAL = frozenset({SlotStatus.RECEIPTED, SlotStatus.STORED, SlotStatus.SUBMITTED})
DONE = frozenset({SlotStatus.PASSED, SlotStatus.VERIFIED})
ON_CHAIN = DONE | {SlotStatus.COMMITTED, SlotStatus.DRAWN, SlotStatus.DISPUTED}


@dataclass(frozen=True, slots=True)
class Assignment:
    """A peer computes the unit. Overdue at the deadline, or when the peer stays away."""

    peer: PeerId
    wallet: Wallet
    assigned_ms: int
    deadline_ms: int
    spare: bool = False


@dataclass(frozen=True, slots=True)
class Filling:
    """The claim that fills a slot. `blob` and `peer` are unknown only for a claim of another
    coordinator, read from the chain; `stored` means that the blob is here and was checked."""

    wallet: Wallet
    result_root: bytes
    commitment: bytes
    signature: bytes
    peer: PeerId | None = None
    blob: BlobRef | None = None
    stored: bool = False


@dataclass(frozen=True, slots=True)
class Slot:
    """One slot of the open round.

    `lapsed`: assignments that ended without a commit, newest last; a late result of theirs still
    counts if it is the first. `due_ms`: of the fetch when receipted, of the wait for the rest of
    the batch when stored, of the audit when drawn, of challenges when passed or verified.
    """

    index: int
    attempt: int = 0
    status: SlotStatus = SlotStatus.OPEN
    assignments: tuple[Assignment, ...] = ()
    lapsed: tuple[Assignment, ...] = ()
    filling: Filling | None = None
    batch: int | None = None
    auditor: Wallet | None = None
    due_ms: int = 0
    overdue: bool = False

    @property
    def ready(self) -> bool:
        """Settled on the chain, and its result is here: may be combined."""
        return self.status in DONE and self.filling is not None and self.filling.stored


@dataclass(frozen=True, slots=True)
class Peer:
    """A peer that was connected at least once; `vanished_ms` is None while it is connected."""

    peer: PeerId
    wallet: Wallet
    vanished_ms: int | None = None
    committed_ms: int = 0


@dataclass(frozen=True, slots=True)
class Worker:
    """A wallet's standing with this coordinator. Peers come and go; the bond answers.

    `failures`: overdue, missing or malformed units since the last stored result.
    """

    wallet: Wallet
    active: bool
    failures: int = 0
    quarantined_until_ms: int = 0
    receipted: int = 0
    stored: int = 0
    settled: int = 0
    faults: int = 0


@dataclass(frozen=True, slots=True)
class Combined:
    """The next checkpoint, computed here, and the aggregate that leads to it."""

    checkpoint: bytes
    blob: BlobRef
    aggregate: BlobRef


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
    refused_results: int = 0
    reissued: int = 0


@dataclass(frozen=True, slots=True)
class State:
    """One job's coordination. `round == terms.rounds` after the last round was finalized.

    `generation`: units of the open round that a fault or a void re-issued; it names the set of
    results to combine. `paused_until_ms`: the chain or the combination refused, no new try before.
    """

    terms: JobTerms
    round: int
    checkpoint: bytes
    blob: BlobRef
    slots: tuple[Slot, ...]
    clock_ms: int
    chain_at: Position = BEFORE_THE_CHAIN
    batches: int = 0
    generation: int = 0
    combined: Combined | None = None
    window_over: bool = False
    setbacks: int = 0
    paused_until_ms: int = 0
    cancelled: bool = False
    outcome: Outcome | None = None
    peers: tuple[Peer, ...] = ()
    workers: tuple[Worker, ...] = ()
    samples_ms: tuple[int, ...] = ()
    metrics: Metrics = ()
    totals: Totals = Totals()


def unit_of(state: State, slot: Slot) -> UnitRef:
    """The unit that the slot waits for or holds."""
    return UnitRef(state.round, slot.index, slot.attempt)


def with_slot(state: State, slot: Slot) -> State:
    """The state with this slot in its place."""
    before, after = state.slots[: slot.index], state.slots[slot.index + 1 :]
    return replace(state, slots=(*before, slot, *after))


def find_peer(state: State, peer: PeerId) -> Peer | None:
    """The peer's row, if it has one."""
    at = bisect_left(state.peers, peer, key=lambda row: row.peer)
    return state.peers[at] if at < len(state.peers) and state.peers[at].peer == peer else None


def with_peer(state: State, row: Peer) -> State:
    """The state with this row added or replaced."""
    at = bisect_left(state.peers, row.peer, key=lambda other: other.peer)
    known = at < len(state.peers) and state.peers[at].peer == row.peer
    return replace(state, peers=(*state.peers[:at], row, *state.peers[at + known :]))


def find_worker(state: State, wallet: Wallet) -> Worker | None:
    """The wallet's row, if it has one."""
    at = bisect_left(state.workers, wallet, key=lambda row: row.wallet)
    known = at < len(state.workers) and state.workers[at].wallet == wallet
    return state.workers[at] if known else None


def with_worker(state: State, row: Worker) -> State:
    """The state with this row added or replaced."""
    at = bisect_left(state.workers, row.wallet, key=lambda other: other.wallet)
    known = at < len(state.workers) and state.workers[at].wallet == row.wallet
    return replace(state, workers=(*state.workers[:at], row, *state.workers[at + known :]))


def is_live(state: State, assignment: Assignment, now_ms: int) -> bool:
    """Whether the peer may still be expected to deliver."""
    peer = find_peer(state, assignment.peer)
    if peer is None or now_ms >= assignment.deadline_ms:
        return False
    grace_ms = state.terms.policy.reconnect_grace_ms
    return peer.vanished_ms is None or now_ms < peer.vanished_ms + grace_ms


def claim_of(slot: Slot) -> Claim:
    """The slot's claim as the chain takes it; the slot is filled."""
    filling = _filled(slot)
    return Claim(
        slot=slot.index,
        attempt=slot.attempt,
        worker=filling.wallet,
        result_root=filling.result_root,
        commitment=filling.commitment,
        signature=filling.signature,
    )


def result_of(slot: Slot) -> SlotResult:
    """The slot's result for the combination; the slot is ready."""
    filling = _filled(slot)
    assert filling.blob is not None
    return SlotResult(slot.index, filling.wallet, filling.result_root, filling.blob)


def _filled(slot: Slot) -> Filling:
    assert slot.filling is not None, f"slot {slot.index} is not filled"
    return slot.filling


def invariants(state: State) -> list[str]:
    """What is wrong with this state; empty for every state that events can reach."""
    policy = state.terms.policy
    wrong = []
    for slot in state.slots:
        filled = slot.filling is not None
        if filled != (slot.status not in EMPTY):
            wrong.append(f"slot {slot.index} is {slot.status} but filled={filled}")
        if (slot.batch is not None) != (slot.status in ON_CHAIN):
            wrong.append(f"slot {slot.index} is {slot.status} in batch {slot.batch}")
        if slot.assignments and slot.status not in EMPTY:
            wrong.append(f"slot {slot.index} is {slot.status} and still assigned")
        if len({a.wallet for a in slot.assignments}) != len(slot.assignments):
            wrong.append(f"slot {slot.index} is assigned twice to one wallet")
        if len(slot.assignments) > policy.copies_max:
            wrong.append(f"slot {slot.index} has {len(slot.assignments)} assignments")
        if slot.status in LOCAL and slot.filling and slot.filling.blob is None:
            wrong.append(f"slot {slot.index} is {slot.status} without a result blob")
        checked = slot.filling is not None and slot.filling.stored
        if slot.status in {SlotStatus.STORED, SlotStatus.SUBMITTED} and not checked:
            wrong.append(f"slot {slot.index} is {slot.status} but its result is not here")
    if state.window_over and not all(slot.status in DONE for slot in state.slots):
        wrong.append("the challenge window is over although units are open")
    if [slot.index for slot in state.slots] != list(range(len(state.slots))):
        wrong.append("slots are out of order")
    return wrong
