"""The load of benchmarks/scheduler.py: peers and chain of one job, played for its coordinator.

The coordinator is the real one, driven as a node drives it: every event that changed something is
encoded as its journal record. What is measured is the processor time of `handle` and of that
encoding; the playing is not.
"""

from collections import Counter
from collections.abc import Callable
from random import Random
from time import thread_time

from scheduler import coordinator
from scheduler.blob_ref import BlobRef
from scheduler.codec import Entry, encode
from scheduler.commands import (
    AcceptCommit,
    AssignUnit,
    AwaitChallengeWindow,
    CaptureDraw,
    Combine,
    Command,
    CommitRound,
    DeclineRequest,
    FetchResult,
    FinalizeRound,
)
from scheduler.events import (
    AuditAdvanced,
    ChallengeWindowOver,
    CombineFinished,
    CoordinationStarted,
    Event,
    PeerAppeared,
    PeerVanished,
    ResultStored,
    RoundCommittedOnChain,
    RoundFinalizedOnChain,
    Tick,
    UnitCommitted,
    UnitDrawn,
    UnitPassed,
    UnitRequested,
    UnitVerified,
)
from scheduler.terms import Holding, JobTerms, PeerId, Position, UnitRef, Wallet

START_MS = 1_700_000_000_000
MEMORY_BYTES = 1 << 30
UNIT_MS = 60_000
HOST = Holding(Wallet("0xhost"), bytes(65))
DRAWN = 0.1
ROUNDS = 1 << 20
BLOB = BlobRef.of(b"")
ROOT = bytes(range(32))


def names(count: int) -> list[tuple[PeerId, Wallet]]:
    """Peer ids and wallets as long as real ones."""
    return [(PeerId(f"12D3KooW{i:044}"), Wallet(f"0x{i:040x}")) for i in range(count)]


class Load:
    """One job and its coordinator. `seconds` and `events`: what handling took, by kind of event."""

    def __init__(self, job: int, slots: int, peers: list[tuple[PeerId, Wallet]]) -> None:
        self.random = Random(job)
        self.peers = peers
        self.now_ms = START_MS
        self.seconds: Counter[str] = Counter()
        self.events: Counter[str] = Counter()
        self.assigned = self.declined = self.records = self.record_bytes = 0
        self.rounds = self.block = self.batch = 0
        self.computing: list[tuple[PeerId, UnitRef]] = []
        self.standing: list[Command] = []
        terms = JobTerms(job.to_bytes(32, "big"), ROUNDS, slots, UNIT_MS, MEMORY_BYTES)
        began = CoordinationStarted(terms, 0, ROOT, BLOB)
        self.state, _ = coordinator.start(began, self.now_ms)
        for peer, wallet in peers:
            self.feed(PeerAppeared(peer, wallet, True))

    def handle(self, event: Event, seed: int) -> tuple[bool, tuple[Command, ...]]:
        """The machine's answer: whether the event changed anything, and commands."""
        done = coordinator.handle(self.state, event, self.now_ms, seed)
        return done.changed, done.commands

    def feed(self, event: Event) -> None:
        """One event, as a node handles it."""
        self.now_ms += 10
        seed = self.random.getrandbits(64)
        began = thread_time()
        changed, commands = self.handle(event, seed)
        record = encode(Entry(self.now_ms, seed, event)) if changed else b""
        took = thread_time() - began
        kind = type(event).__name__
        self.seconds[kind] += took
        self.events[kind] += 1
        self.records += changed
        self.record_bytes += len(record)
        for command in commands:
            self.obey(command)

    def obey(self, command: Command) -> None:
        """Replies are counted, standing commands carried out later."""
        match command:
            case AssignUnit():
                self.assigned += 1
                self.computing.append((command.peer, command.unit))
            case DeclineRequest():
                self.declined += 1
            case AcceptCommit():
                pass
            case _:
                self.standing.append(command)

    def at(self) -> Position:
        self.block += 1
        return Position(self.block, 0)

    def step(self) -> None:
        """Somebody asks for work, somebody commits, somebody comes and goes, the rest follows."""
        for _ in range(2):
            peer, _ = self.random.choice(self.peers)
            self.feed(UnitRequested(peer, MEMORY_BYTES))
        if self.computing and self.random.random() < 0.9:
            self._commit(self.random.randrange(len(self.computing)))
        if self.random.random() < 0.05:
            peer, wallet = self.random.choice(self.peers)
            self.feed(PeerVanished(peer))
            self.feed(PeerAppeared(peer, wallet, True))
        self.feed(Tick())
        while self.standing:
            self._carry_out(self.standing.pop())

    def _commit(self, index: int) -> None:
        peer, unit = self.computing.pop(index)
        root = self.random.randbytes(32)
        self.feed(UnitCommitted(peer, unit, root, root, root + root + b"\0", BLOB, root))

    def _carry_out(self, command: Command) -> None:
        match command:
            case FetchResult():
                self.feed(ResultStored(command.unit, command.blob, HOST))
            case CommitRound():
                self.claims = command.claims
                event = RoundCommittedOnChain(self.at(), command.round, self.batch, command.claims)
                self.batch += 1
                self.feed(event)
            case CaptureDraw():
                for claim in self.claims:
                    self._settle(UnitRef(command.round, claim.slot, claim.attempt))
            case Combine():
                root = self.random.randbytes(32)
                self.feed(CombineFinished(command.round, command.generation, root, BLOB, BLOB))
            case AwaitChallengeWindow():
                self.feed(ChallengeWindowOver(command.round))
            case FinalizeRound():
                self.batch = 0
                self.rounds += 1
                self.computing.clear()
                self.feed(RoundFinalizedOnChain(self.at(), command.round, command.checkpoint))

    def _settle(self, unit: UnitRef) -> None:
        if self.random.random() >= DRAWN:
            self.feed(UnitPassed(self.at(), unit, 0))
            return
        self.feed(UnitDrawn(self.at(), unit, self.peers[0][1], self.now_ms + UNIT_MS))
        self.feed(AuditAdvanced(self.at(), unit, self.now_ms + UNIT_MS))
        self.feed(UnitVerified(self.at(), unit, 0))


Factory = Callable[[int, int, list[tuple[PeerId, Wallet]]], Load]
