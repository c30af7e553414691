"""Reads the chain's events, and nothing else, and says when a law of payment was broken.

It knows no rule of the contracts' doubles, so a mistake in those is noticed too. Money is counted
where it lies, block by block.
"""

from collections import Counter
from dataclasses import dataclass, field

from node.chain import events as on_chain
from node.chain.events import Event
from node.ids import UnitId
from tests.simulation import truth
from tests.simulation.laws import Law, require
from tests.simulation.ledger import Ledger
from tests.simulation.money import ESCROW, LEDGER, REWARDS, VAULT


@dataclass
class Seen:
    """A unit as its events tell it. `waits` says what it waits for, if anything."""

    round: int
    slot: int
    worker: str
    waits: str = "the draw"
    alive: bool = True
    until_s: int = 0
    root: bytes = b""
    auditor: str = ""
    audit_root: bytes = b""
    is_locked: bool = True


@dataclass
class Watch:
    """A fold over all blocks; `block` takes each once."""

    slots: int
    units: dict[UnitId, Seen] = field(default_factory=dict)
    finals: set[int] = field(default_factory=set)

    def block(self, events: list[Event], ledger: Ledger) -> None:
        for event in events:
            self._take(event, ledger)
        check_money(ledger)
        self._check_locks(ledger)

    def _check_locks(self, ledger: Ledger) -> None:
        """What is locked is what the open units of each worker need, to the wei."""
        due = Counter(unit.worker for unit in self.units.values() if unit.is_locked)
        for wallet, entry in ledger.vault.accounts.items():
            owed = due[wallet] * ledger.env.rules.lock_wei
            require(entry.locked == owed, Law.LOCKED, f"{wallet}: {entry.locked} wei, not {owed}")
            pending = entry.pending <= entry.bond
            require(pending, Law.MONEY, f"{wallet} withdraws {entry.pending} of {entry.bond}")

    def _take(self, event: Event, ledger: Ledger) -> None:
        match event:
            case on_chain.RoundCommitted():
                self._committed(event)
            case on_chain.AnchorsWithdrawn():
                for unit in self.units.values():
                    unit.alive = unit.alive and not event.round < unit.round <= event.head
            case on_chain.RoundFinalized():
                self._finalized(event.round, ledger.env.time_s)
            case on_chain.RoundRewards():
                self._rewarded(event, ledger)
            case _:
                unit = self.units.get(getattr(event, "unit_id", UnitId(b"")))
                if unit is not None:
                    _follow(unit, event)

    def _committed(self, event: on_chain.RoundCommitted) -> None:
        for claim in event.claims:
            taken = self._alive(event.round, claim.slot)
            require(not taken, Law.SLOT_ONCE, f"round {event.round}, slot {claim.slot} has a unit")
            name = truth.unit_id(event.round, claim.slot, claim.attempt)
            require(name not in self.units, Law.SLOT_ONCE, f"a unit twice: {claim}")
            self.units[name] = Seen(event.round, claim.slot, claim.worker)

    def _alive(self, round: int, slot: int) -> list[Seen]:
        units = self.units.values()
        return [u for u in units if (u.round, u.slot, u.alive) == (round, slot, True)]

    def _finalized(self, round: int, time_s: int) -> None:
        require(round not in self.finals, Law.SLOT_ONCE, f"round {round} is finalized twice")
        self.finals.add(round)
        for slot in range(self.slots):
            units, where = self._alive(round, slot), f"round {round}, slot {slot}"
            require(units, Law.SLOT_KEPT, f"{where} is final without a unit")
            require(len(units) == 1, Law.SLOT_ONCE, f"{where} has {len(units)} units")
            (unit,) = units
            require(not unit.waits, Law.SETTLED, f"{where} is final and waits for {unit.waits}")
            require(time_s > unit.until_s, Law.WINDOW, f"{where} is final at {time_s}: {unit}")
            unit.is_locked = False

    def _rewarded(self, event: on_chain.RoundRewards, ledger: Ledger) -> None:
        """Every slot's worker, every auditor that agreed, and nobody else."""
        due: Counter[str] = Counter()
        for slot in range(self.slots):
            for unit in self._alive(event.round, slot):
                due[unit.worker] += ledger.env.rules.unit_wei
                if unit.audit_root and unit.audit_root == unit.root:
                    due[unit.auditor] += ledger.env.rules.audit_wei
        paid = dict(zip(event.accounts, event.amounts, strict=True))
        for account in sorted({*due, *paid}):
            got, owed = paid.get(account, 0), due[account]
            require(got >= owed, Law.PAID, f"{account} got {got} of {owed} in {event.round}")
            require(got <= owed, Law.SLOT_ONCE, f"{account} got {got}, earned {owed}")


def _follow(unit: Seen, event: Event) -> None:
    match event:
        case on_chain.UnitDrawn():
            unit.waits, unit.auditor = "its audit", event.auditor
        case on_chain.UnitOpened():
            unit.root = event.unit_root
        case on_chain.AuditRevealed():
            unit.audit_root = event.unit_root
        case on_chain.UnitPassed() | on_chain.UnitVerified():
            unit.waits, unit.until_s = "", event.deadline
        case on_chain.UnitDisputed():
            unit.waits = "its verdict"
        case on_chain.UnitFaulted() | on_chain.UnitVoided():
            unit.alive = unit.is_locked = False
        case on_chain.LockReleased():
            over = not unit.alive or not unit.waits
            require(over, Law.LOCKED, f"released while it waits for {unit.waits}: {unit}")
            unit.is_locked = False


def check_money(ledger: Ledger) -> None:
    """Nothing is created or lost, and each contract holds what it owes."""
    bank, escrow = ledger.bank, ledger.escrow
    total = sum(bank.balances.values()) + bank.burned
    require(total == bank.supply, Law.MONEY, f"{total} wei of {bank.supply}")
    require(min(bank.balances.values()) >= 0, Law.MONEY, f"a debt: {bank.balances}")
    deposits = sum(unit.deposit_wei for unit in ledger.units.values())
    owed = {
        VAULT: sum(entry.bond for entry in ledger.vault.accounts.values()),
        ESCROW: escrow.held,
        REWARDS: sum(escrow.rewards.values()),
        LEDGER: deposits,
    }
    for account, amount in owed.items():
        have = bank.balances.get(account, 0)
        require(have == amount >= 0, Law.MONEY, f"{account} holds {have}, owes {amount}")
    require(escrow.paid <= escrow.deposited, Law.MONEY, "more was paid than deposited")
