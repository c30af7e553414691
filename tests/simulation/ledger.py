"""A double of the ledger contract: lease, claims, draw, audits, disputes, finalisation.

It keeps the rules of docs/spec/protocol.md, section 4, with auditors, jurors and challengers played
by chance, and asserts what the contract cannot know: that a checkpoint follows from its results.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from scheduler.events import (
    AuditAdvanced,
    ChainEvent,
    JobCancelled,
    RoundCommittedOnChain,
    RoundFinalizedOnChain,
    UnitDisputed,
    UnitDrawn,
    UnitFaulted,
    UnitPassed,
    UnitVerified,
    UnitVoided,
)
from scheduler.terms import Claim, Position, UnitRef, Wallet
from tests.simulation import truth
from tests.simulation.loop import Loop

AUDIT_MS, OPEN_MS, CHALLENGE_MS, LEASE_MS = 6_000, 3_000, 4_000, 15_000
REDRAWS_MAX = 3
BOND_LIVES = 1


class Revert(Exception):
    """The contract refused; `slots` are the claims to blame."""

    def __init__(self, reason: str, slots: tuple[int, ...] = ()) -> None:
        super().__init__(reason)
        self.reason = reason
        self.slots = slots


@dataclass
class Unit:
    ref: UnitRef
    claim: Claim
    coordinator: Wallet
    batch: int
    status: str = "committed"
    auditor: Wallet | None = None
    overdue: set[Wallet] = field(default_factory=set)
    redraws: int = 0
    deadline_ms: int = 0
    opened: bool = False
    history: list[tuple[Position, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Odds:
    """How the ledger's players behave while faults last."""

    drawn: float = 1.0
    auditor_silent: float = 0.0
    auditor_lies: float = 0.0
    worker_silent: float = 0.0
    void: float = 0.0
    frivolous: float = 0.0
    watched: float = 1.0


class Ledger:
    def __init__(self, loop: Loop, rounds: int, slots: int, odds: Callable[[], Odds]) -> None:
        self.loop, self.rounds, self.slots = loop, rounds, slots
        self._odds = odds
        self.open_round = 0
        self.checkpoints = [truth.GENESIS]
        self.log: list[ChainEvent] = []
        self.units: dict[UnitRef, Unit] = {}
        self.attempts: dict[tuple[int, int], int] = {}
        self.batches: dict[int, list[list[UnitRef]]] = {}
        self.captured: set[tuple[int, int]] = set()
        self.bonds: dict[Wallet, int] = {}
        self.holder: Wallet | None = None
        self.lease_until_ms = 0
        self.cancelled = False

    # --- Reading ---

    def active(self, wallet: Wallet) -> bool:
        return self.bonds.get(wallet, 0) > 0

    def current(self, slot: int) -> UnitRef:
        return UnitRef(self.open_round, slot, self.attempts.get((self.open_round, slot), 0))

    def honest(self, unit: Unit) -> bool:
        checkpoint = self.checkpoints[unit.ref.round]
        return unit.claim.result_root == truth.unit_root(checkpoint, unit.ref.round, unit.ref.slot)

    def status_at(self, ref: UnitRef, at: Position) -> str:
        """The status of a unit as it was when the log had reached a position."""
        return next(status for where, status in reversed(self.units[ref].history) if where <= at)

    # --- The coordinator's part ---

    def take_lease(self, wallet: Wallet) -> bool:
        if self.holder not in (None, wallet) and self.loop.now_ms < self.lease_until_ms:
            return False
        self.holder, self.lease_until_ms = wallet, self.loop.now_ms + LEASE_MS
        return True

    def commit_round(self, sender: Wallet, round: int, claims: Sequence[Claim]) -> None:
        self._require_holder(sender, round)
        if self.cancelled and not self.batches.get(round):
            raise Revert("job not open")
        inactive = tuple(claim.slot for claim in claims if not self.active(claim.worker))
        if inactive:
            raise Revert("not active", inactive)
        for claim in claims:
            ref = self.current(claim.slot)
            if claim.attempt != ref.attempt or ref in self.units:
                raise Revert("slot taken or wrong attempt")
        at = self._next()
        batches = self.batches.setdefault(round, [])
        refs = [self.current(claim.slot) for claim in claims]
        for ref, claim in zip(refs, claims, strict=True):
            self.units[ref] = Unit(ref, claim, sender, len(batches), history=[(at, "committed")])
        batches.append(refs)
        self.log.append(RoundCommittedOnChain(at, round, len(batches) - 1, tuple(claims)))

    def capture(self, round: int, batch: int) -> None:
        if (round, batch) in self.captured:
            raise Revert("already captured")
        self.captured.add((round, batch))
        for ref in self.batches[round][batch]:
            unit = self.units[ref]
            if self.loop.random.random() < self._odds().drawn:
                self._assign_auditor(unit)
            else:
                self._pass(unit)

    def finalize(self, sender: Wallet, round: int, checkpoint: bytes) -> None:
        self._require_holder(sender, round)
        units = [self.units.get(self.current(slot)) for slot in range(self.slots)]
        for unit in units:
            if unit is None or unit.status not in ("passed", "verified"):
                raise Revert("slot not final")
            if self.loop.now_ms <= unit.deadline_ms:
                raise Revert("challenge window open")
        roots = [unit.claim.result_root for unit in units if unit is not None]
        assert checkpoint == truth.combined(self.checkpoints[round], roots), "wrong combination"
        self.checkpoints.append(checkpoint)
        self.open_round += 1
        self.log.append(RoundFinalizedOnChain(self._next(), round, checkpoint))

    def cancel(self) -> None:
        self.cancelled = True
        self.log.append(JobCancelled(self._next()))

    def _require_holder(self, sender: Wallet, round: int) -> None:
        if self.holder != sender or self.loop.now_ms >= self.lease_until_ms:
            raise Revert("not lease holder")
        if round != self.open_round:
            raise Revert("wrong round")
        self.lease_until_ms = self.loop.now_ms + LEASE_MS

    # --- Audits ---

    def expire(self, ref: UnitRef) -> None:
        unit = self.units[ref]
        if unit.status not in ("drawn", "audited"):
            raise Revert("wrong status")
        if self.loop.now_ms <= unit.deadline_ms:
            raise Revert("deadline not passed")
        if unit.status == "audited" and not unit.opened:
            return self._fault(unit)
        if unit.auditor is not None:
            unit.overdue.add(unit.auditor)
        unit.redraws += 1
        return self._pass(unit) if unit.redraws > REDRAWS_MAX else self._assign_auditor(unit)

    def resolve(self, ref: UnitRef) -> None:
        unit = self.units[ref]
        if unit.status != "disputed":
            raise Revert("wrong status")
        if self.loop.now_ms <= unit.deadline_ms:
            raise Revert("votes are open")
        if self.loop.random.random() < self._odds().void:
            self._reopen(ref)
            self._emit(unit, "voided", lambda at: UnitVoided(at, ref))
        elif self.honest(unit):
            self._verify(unit, 0)
        else:
            self._fault(unit)

    def _assign_auditor(self, unit: Unit) -> None:
        excluded = {unit.claim.worker, unit.coordinator}
        able = [w for w in sorted(self.bonds) if self.active(w) and w not in excluded]
        fresh = [w for w in able if w not in unit.overdue]
        if not able:
            return self._pass(unit)
        unit.auditor = self.loop.random.choice(fresh or able)
        unit.deadline_ms = self.loop.now_ms + AUDIT_MS
        auditor = unit.auditor
        self._emit(unit, "drawn", lambda at: UnitDrawn(at, unit.ref, auditor, unit.deadline_ms))
        if self.loop.random.random() >= self._odds().auditor_silent:
            redraw = unit.redraws
            delay_ms = self.loop.random.randrange(200, 2_000)
            self.loop.after(delay_ms, lambda: self._commit_audit(unit, redraw))
        return None

    def _commit_audit(self, unit: Unit, redraw: int) -> None:
        if (unit.status, unit.redraws) != ("drawn", redraw):
            return
        unit.deadline_ms = self.loop.now_ms + OPEN_MS
        self._emit(unit, "audited", lambda at: AuditAdvanced(at, unit.ref, unit.deadline_ms))
        if self.loop.random.random() >= self._odds().worker_silent:
            unit.opened = True
            self.loop.after(500, lambda: self._reveal(unit, redraw))

    def _reveal(self, unit: Unit, redraw: int) -> None:
        if (unit.status, unit.redraws) != ("audited", redraw):
            return
        lies = self.loop.random.random() < self._odds().auditor_lies
        if self.honest(unit) and not lies:
            self._verify(unit, self.loop.now_ms + CHALLENGE_MS)
        else:
            self._dispute(unit)

    def _verify(self, unit: Unit, until_ms: int) -> None:
        unit.deadline_ms = until_ms
        self._emit(unit, "verified", lambda at: UnitVerified(at, unit.ref, until_ms))
        if until_ms and self.loop.random.random() < self._odds().frivolous:
            self._challenge_within_window(unit)

    def _pass(self, unit: Unit) -> None:
        unit.deadline_ms = self.loop.now_ms + CHALLENGE_MS
        self._emit(unit, "passed", lambda at: UnitPassed(at, unit.ref, unit.deadline_ms))
        frivolous = self.loop.random.random() < self._odds().frivolous
        watched = not self.honest(unit) and self.loop.random.random() < self._odds().watched
        if watched or frivolous:
            self._challenge_within_window(unit)

    def _challenge_within_window(self, unit: Unit) -> None:
        delay_ms = self.loop.random.randrange(CHALLENGE_MS)
        self.loop.after(delay_ms, lambda: self._challenge(unit))

    def _challenge(self, unit: Unit) -> None:
        in_time = self.loop.now_ms <= unit.deadline_ms
        if unit.status in ("passed", "verified") and in_time:
            self._dispute(unit)

    def _dispute(self, unit: Unit) -> None:
        unit.deadline_ms = self.loop.now_ms + OPEN_MS
        self._emit(unit, "disputed", lambda at: UnitDisputed(at, unit.ref))

    def _fault(self, unit: Unit) -> None:
        self._reopen(unit.ref)
        worker = unit.claim.worker
        self.bonds[worker] -= 1
        self._emit(unit, "faulted", lambda at: UnitFaulted(at, unit.ref, worker))

    def _reopen(self, ref: UnitRef) -> None:
        self.attempts[ref.round, ref.slot] = ref.attempt + 1

    # --- The log ---

    def _next(self) -> Position:
        last = self.log[-1].at if self.log else Position(0, 0)
        fresh_block = self.loop.random.random() < 0.7
        return Position(last.block + 1, 0) if fresh_block else Position(last.block, last.index + 1)

    def _emit(self, unit: Unit, status: str, event: Callable[[Position], ChainEvent]) -> None:
        at = self._next()
        unit.status = status
        unit.history.append((at, status))
        self.log.append(event(at))
