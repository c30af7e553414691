"""A coordinator under test: feeds events, checks what must hold after each, remembers commands."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from scheduler.blob_ref import BlobRef
from scheduler.codec import Entry, decode, decode_state, encode, encode_state
from scheduler.commands import AcceptCommit, AssignUnit, Command, StandingCommand
from scheduler.coordinator import digest, handle, pending, stands, start
from scheduler.errors import IllegalEvent
from scheduler.events import (
    CombineFinished,
    CoordinationStarted,
    Event,
    PeerAppeared,
    ResultStored,
    RoundCommittedOnChain,
    RoundFinalizedOnChain,
    UnitCommitted,
    UnitDisputed,
    UnitDrawn,
    UnitPassed,
    UnitRequested,
    UnitVerified,
)
from scheduler.invariants import invariants
from scheduler.rows import Slot, SlotStatus
from scheduler.terms import Holding, JobTerms, PeerId, Policy, Position, UnitRef, Wallet

START_MS = 1_000_000
TIMEOUT_MS = 60_000
MEMORY_BYTES = 1_000
CHECKPOINT = bytes(32)
BLOB = BlobRef.of(b"checkpoint")
AUDITOR = Wallet("0xauditor")
HOST = Holding(Wallet("0xhost"), b"held")
"""The word of the node that coordinates."""

C = TypeVar("C", bound=Command)


def peer(name: str) -> PeerId:
    return PeerId(f"peer-{name}")


def wallet(name: str) -> Wallet:
    return Wallet(f"0x{name}")


def root(name: str, unit: UnitRef) -> bytes:
    return hashlib.sha256(f"{name} {unit}".encode()).digest()


def blob(name: str, unit: UnitRef) -> BlobRef:
    return BlobRef.of(f"{name} {unit}".encode())


def commit(name: str, unit: UnitRef) -> UnitCommitted:
    """What the peer of this name commits to."""
    return UnitCommitted(
        peer(name),
        unit,
        root(name, unit),
        wallet(name).encode(),
        b"signed",
        blob(name, unit),
        b"held",
    )


class Machine:
    """One coordination. `at` is where the next event of the chain stands."""

    def __init__(
        self,
        slots: int = 2,
        rounds: int = 2,
        policy: Policy | None = None,
        rounds_ahead: int = 0,
    ) -> None:
        policy = policy or Policy()
        terms = JobTerms(
            b"j" * 32, rounds, slots, TIMEOUT_MS, 500, policy, rounds_ahead=rounds_ahead
        )
        self.now_ms = START_MS
        self.begun = CoordinationStarted(terms, 0, CHECKPOINT, BLOB)
        self.journal = [encode(Entry(self.now_ms, 0, self.begun))]
        self.state, self.commands = start(self.begun, self.now_ms)
        self.block = 0

    # --- Driving ---

    def feed(self, event: Event, after_ms: int = 0, seed: int = 0) -> tuple[Command, ...]:
        """Handle an event; check invariants, encoding, and what it changed and called for."""
        self.now_ms += after_ms
        before, stood = encode_state(self.state), pending(self.state)
        try:
            handled = handle(self.state, event, self.now_ms, seed)
        except IllegalEvent:
            assert encode_state(self.state) == before
            assert invariants(self.state) == []
            raise
        assert invariants(self.state) == []
        assert decode_state(encode_state(self.state)) == self.state
        assert handled.changed == (encode_state(self.state) != before)
        self.check_commands(handled.commands, stood)
        if handled.changed:
            entry = Entry(self.now_ms, seed, event)
            assert decode(encode(entry)) == entry
            self.journal.append(encode(entry))
        self.commands = handled.commands
        return handled.commands

    def check_commands(self, commands: Sequence[Command], stood: Sequence[StandingCommand]) -> None:
        """Issued is exactly what began to stand; what stands is known one by one."""
        now = pending(self.state)
        issued = [command for command in commands if isinstance(command, StandingCommand)]
        assert sorted(map(str, issued)) == sorted(str(c) for c in now if c not in stood)
        assert all(stands(self.state, command) for command in now)
        assert not any(stands(self.state, command) for command in stood if command not in now)

    def digest(self) -> bytes:
        return digest(self.state)

    def at(self) -> Position:
        self.block += 1
        return Position(self.block, 0)

    def issued(self, kind: type[C]) -> list[C]:
        """The commands of a kind that the last event called for."""
        return [command for command in self.commands if isinstance(command, kind)]

    def only(self, kind: type[C]) -> C:
        """The one command of a kind that the last event called for."""
        (command,) = self.issued(kind)
        return command

    # --- Reading ---

    def slot(self, index: int = 0) -> Slot:
        return self.state.slots[index]

    def unit(self, index: int = 0) -> UnitRef:
        return UnitRef(self.state.round, index, self.slot(index).attempt)

    def statuses(self) -> list[SlotStatus]:
        return [slot.status for slot in self.state.slots]

    # --- Steps of a job ---

    def join(self, *names: str, active: bool = True) -> None:
        for name in names:
            self.feed(PeerAppeared(peer(name), wallet(name), active))

    def proven(self, *names: str) -> None:
        """These peers join, have asked before, and have a stored result behind them."""
        for name in names:
            self.join(name)
            row = self.state.peers[peer(name)]
            self.state.put_peer(replace(row, memory_bytes=MEMORY_BYTES))
            self.state.put_worker(replace(self.state.workers[wallet(name)], stored=1))

    def request(
        self,
        name: str,
        after_ms: int = 0,
        seed: int = 0,
        ready: Sequence[UnitRef] = (),
    ) -> tuple[Command, ...]:
        event = UnitRequested(peer(name), MEMORY_BYTES, tuple(ready))
        return self.feed(event, after_ms, seed)

    def request_more(
        self, name: str, after_ms: int = 0, ready: Sequence[UnitRef] = ()
    ) -> tuple[Command, ...]:
        """A request by another peer of this wallet: each holds one unit at a time."""
        other = PeerId(f"{peer(name)}-{len(self.held(name))}")
        self.feed(PeerAppeared(other, wallet(name), True))
        return self.feed(UnitRequested(other, MEMORY_BYTES, tuple(ready)), after_ms)

    def assign(self, *names: str) -> None:
        """The free slots, lowest first, to these peers, which join if need be."""
        for name in names:
            if peer(name) not in self.state.peers:
                self.join(name)
            if self.held(name):
                self.request_more(name)
            else:
                self.request(name)
            assert self.issued(AssignUnit), f"{name} got no unit: {self.commands}"

    def held(self, name: str) -> list[UnitRef]:
        return [
            self.unit(slot.index)
            for slot in self.state.slots
            if any(assignment.wallet == wallet(name) for assignment in slot.assignments)
        ]

    def receipted(self, name: str, index: int = 0) -> UnitRef:
        """A commit by a peer to a slot that it holds, or that is the lowest free one."""
        unit = self.unit(index)
        if unit not in self.held(name):
            self.assign(name)
        self.feed(commit(name, unit))
        self.only(AcceptCommit)
        return unit

    def stored(self, name: str, index: int = 0) -> UnitRef:
        """A result that is here; its worker and this node hold it, so that its slot is filled."""
        unit = self.receipted(name, index)
        self.feed(ResultStored(unit, blob(name, unit), HOST))
        return unit

    def unheld(self, name: str, index: int = 0) -> UnitRef:
        """A result that is here, but whose worker alone has signed: a peer is asked to hold it."""
        unit = self.receipted(name, index)
        self.proven("keeper")
        self.feed(ResultStored(unit, blob(name, unit)))
        return unit

    def submitted(self, *names: str) -> None:
        """Fill every slot, slot i by the peer names[i]."""
        self.assign(*names)
        for index, name in enumerate(names):
            self.stored(name, index)

    def committed(self, *names: str) -> None:
        self.submitted(*names)
        self.claim_on_chain()

    def claim_on_chain(self) -> None:
        """The chain takes what was submitted."""
        claims = tuple(
            slot.claim for slot in self.state.slots if slot.status is SlotStatus.SUBMITTED
        )
        batch = self.state.open.batches
        self.feed(RoundCommittedOnChain(self.at(), self.state.round, batch, claims))

    def drawn(self, index: int = 0, due_ms: int = 10_000) -> None:
        due_ms += self.now_ms
        self.feed(UnitDrawn(self.at(), self.unit(index), AUDITOR, due_ms))

    def passed(self, index: int = 0) -> None:
        self.feed(UnitPassed(self.at(), self.unit(index), self.now_ms + 5_000))

    def verified(self, index: int = 0) -> None:
        self.drawn(index)
        self.feed(UnitVerified(self.at(), self.unit(index), self.now_ms + 5_000))

    def disputed(self, index: int = 0) -> None:
        self.drawn(index)
        self.feed(UnitDisputed(self.at(), self.unit(index)))

    def settled(self, *names: str) -> None:
        """Every slot passed."""
        self.committed(*names)
        for index in range(len(names)):
            self.passed(index)

    def combined(self, checkpoint: bytes = b"c" * 32) -> None:
        self.feed(
            CombineFinished(self.state.round, self.state.open.generation, checkpoint, BLOB, BLOB)
        )

    def finalized(self, checkpoint: bytes = b"c" * 32) -> None:
        self.feed(RoundFinalizedOnChain(self.at(), self.state.round, checkpoint))

    def bring(self, status: SlotStatus) -> None:
        """Bring slot 0 of a two-slot machine to this status."""
        order = list(SlotStatus)
        first = {
            SlotStatus.RECEIPTED: self.receipted,
            SlotStatus.STORED: self.unheld,
            SlotStatus.FILLED: self.stored,
        }
        if status in first:
            first[status]("a")
        elif status is not SlotStatus.OPEN:
            self.submitted("a", "other")
        if order.index(status) >= order.index(SlotStatus.COMMITTED):
            self.claim_on_chain()
        last: dict[SlotStatus, Callable[[], None]] = {
            SlotStatus.DRAWN: self.drawn,
            SlotStatus.DISPUTED: self.disputed,
            SlotStatus.PASSED: self.passed,
            SlotStatus.VERIFIED: self.verified,
        }
        if status in last:
            last[status]()
        assert self.slot().status is status
