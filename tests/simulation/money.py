"""Doubles of the token, the bonds and the escrow: integers that move, and rules of when.

The rules are those of ComputeToken, BondVault and JobEscrow (docs/spec/contracts.md, "Money").
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from node.chain import Reverted
from node.chain import events as on_chain
from node.chain.events import Event, Place
from scheduler.audit import lock_wei
from tests.simulation import truth

VAULT, ESCROW, REWARDS, LEDGER, SUBMITTER = "vault", "escrow", "rewards", "ledger", "submitter"
BPS = 10_000


@dataclass(frozen=True)
class Rules:
    """The network's parameters, and the job's price."""

    audit_s: int = 12
    open_s: int = 10
    challenge_s: int = 5
    lease_s: int = 20
    unbond_s: int = 60
    probation: int = 3
    floor_bps: int = 10_000
    lock_prices: int = 3
    """What a unit locks, in prices of one: a bond covers three units."""
    bounty_bps: int = 4_000
    fee_bps: int = 100
    audit_pay_bps: int = 5_000
    bond_wei: int = 1_000
    deposit_wei: int = 70
    unit_wei: int = 101
    seats: int = 3
    redraws: int = 3
    hashes: int = 60
    """Blocks whose hashes a contract can read."""

    @property
    def audit_wei(self) -> int:
        return self.unit_wei * self.audit_pay_bps // BPS

    @property
    def lock_factor_bps(self) -> int:
        return self.lock_prices * self.floor_bps

    @property
    def lock_wei(self) -> int:
        return lock_wei(self.unit_wei, self.lock_factor_bps, self.floor_bps)

    def with_fee(self, amount: int) -> int:
        return amount + amount * self.fee_bps // BPS


@dataclass
class Env:
    """What a contract sees of the block that it runs in, and where its events go."""

    rules: Rules
    height: int = 0
    time_s: int = 0
    hashes: dict[int, bytes] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)

    def emit(self, kind: type[Event], *values: object) -> None:
        self.events.append(kind(Place(self.height, len(self.events), b""), *values))

    def block_hash(self, height: int) -> bytes:
        """Empty where it is forgotten."""
        return self.hashes[height] if height >= self.height - self.rules.hashes else b""


@dataclass
class Bank:
    """The token: balances, and what was burned."""

    supply: int = 0
    burned: int = 0
    balances: dict[str, int] = field(default_factory=dict)

    def mint(self, account: str, amount: int) -> None:
        """At the beginning only."""
        self.supply += amount
        self.balances[account] = self.balances.get(account, 0) + amount

    def approve(self, sender: str, spender: str, amount: int) -> None:
        """Everybody may take what is due here."""

    def require(self, account: str, amount: int) -> None:
        have = self.balances.get(account, 0)
        if amount < 0 or have < amount:
            raise Reverted("token", "ERC20InsufficientBalance", {"balance": have, "needed": amount})

    def move(self, source: str, target: str, amount: int) -> None:
        self.require(source, amount)
        self.balances[source] -= amount
        self.balances[target] = self.balances.get(target, 0) + amount

    def burn(self, source: str, amount: int) -> None:
        self.require(source, amount)
        self.balances[source] -= amount
        self.burned += amount


@dataclass
class Account:
    bond: int = 0
    pending: int = 0
    locked: int = 0
    available_s: int = 0
    since: int | None = None


@dataclass
class Vault:
    """Bonds."""

    env: Env
    bank: Bank
    accounts: dict[str, Account] = field(default_factory=dict)

    def is_active(self, wallet: str) -> bool:
        entry = self.accounts.get(wallet)
        return entry is not None and entry.bond - entry.pending >= self.env.rules.bond_wei

    def active(self) -> list[str]:
        return [wallet for wallet in sorted(self.accounts) if self.is_active(wallet)]

    def bond(self, sender: str, amount: int) -> None:
        self.bank.move(sender, VAULT, amount)
        entry = self.accounts.setdefault(sender, Account())
        entry.bond += amount
        self.env.emit(on_chain.Bonded, sender, amount, entry.bond)
        self._place(sender)

    def request_unbond(self, sender: str, amount: int) -> None:
        entry = self.accounts[sender]
        if not 0 < amount <= entry.bond - entry.pending:
            raise Reverted("unbond", "InsufficientBond", {"account": sender})
        entry.pending += amount
        entry.available_s = self.env.time_s + self.env.rules.unbond_s
        self.env.emit(on_chain.UnbondRequested, sender, amount, entry.pending, entry.available_s)
        self._place(sender)

    def withdraw(self, sender: str) -> None:
        entry = self.accounts[sender]
        amount = entry.pending
        if not amount or self.env.time_s < entry.available_s:
            raise Reverted("withdraw", "NotYetAvailable", {"account": sender})
        entry.pending = 0
        entry.bond -= amount
        self.env.emit(on_chain.Withdrawn, sender, amount, entry.bond)
        self.bank.move(VAULT, sender, amount)

    def lock(self, wallet: str, amount: int) -> None:
        """Set a part of the free bond apart."""
        entry = self.accounts[wallet]
        free = max(0, entry.bond - entry.pending - entry.locked)
        if amount > free:
            arguments = {"worker": wallet, "needed": amount, "free": free}
            raise Reverted("commit", "InsufficientFreeBond", arguments)
        entry.locked += amount
        self.env.emit(on_chain.BondLocked, wallet, amount, entry.locked)

    def unlock(self, wallet: str, amount: int) -> None:
        entry = self.accounts[wallet]
        entry.locked -= amount
        self.env.emit(on_chain.BondUnlocked, wallet, amount, entry.locked)

    def slash(self, wallet: str, amount: int, bounty_to: Sequence[str]) -> int:
        """So much of the bond, if there is so much, what is being withdrawn included."""
        rules, entry = self.env.rules, self.accounts[wallet]
        slashed = min(amount, entry.bond)
        entry.bond -= slashed
        entry.pending = min(entry.pending, entry.bond)
        self._place(wallet)
        share = slashed * rules.bounty_bps // BPS // len(bounty_to) if bounty_to else 0
        bounty = share * len(bounty_to)
        self.env.emit(on_chain.Slashed, wallet, slashed, slashed - bounty, bounty, entry.bond)
        self.bank.burn(VAULT, slashed - bounty)
        for account in bounty_to:
            self.bank.move(VAULT, account, share)
        return slashed

    def draw(self, seed: bytes, excluded: Collection[str], before: int, count: int) -> list[str]:
        """Different active accounts that came onto the list before a block, by a hash."""
        able = []
        for wallet in self.active():
            since = self.accounts[wallet].since
            if wallet not in excluded and since is not None and since < before:
                able.append(wallet)
        able.sort(key=lambda wallet: hashlib.sha256(seed + wallet.encode()).digest())
        return able[:count]

    def _place(self, wallet: str) -> None:
        entry, active = self.accounts[wallet], self.is_active(wallet)
        if active != (entry.since is not None):
            entry.since = self.env.height if active else None
            self.env.emit(on_chain.ActiveChanged, wallet, active)


@dataclass
class Escrow:
    """One job's deposit."""

    env: Env
    bank: Bank
    rounds: int
    slots: int
    rounds_ahead: int = 0
    deposited: int = 0
    paid: int = 0
    refunded: int = 0
    fees: int = 0
    rounds_paid: int = 0
    cancelled_s: int | None = None
    settled: bool = False
    rewards: dict[str, int] = field(default_factory=dict)

    @property
    def held(self) -> int:
        return self.deposited - self.paid - self.refunded - self.fees

    def round_wei(self) -> int:
        return self.slots * (self.env.rules.unit_wei + self.env.rules.audit_wei)

    def price(self) -> int:
        return self.env.rules.with_fee(self.round_wei() * self.rounds)

    def accepts_work(self, started: bool) -> bool:
        """Whether a round may be worked on; a started one is finished."""
        over = self.settled or self.rounds_paid == self.rounds
        return not over and (started or self.cancelled_s is None)

    def cancel(self, sender: str, started: int) -> None:
        if sender != SUBMITTER or self.cancelled_s is not None or self.rounds_paid == self.rounds:
            raise Reverted("cancel", "NotCancellable", {})
        self.cancelled_s = self.env.time_s
        self.env.emit(on_chain.JobCancelled, truth.JOB)
        if started:
            self._refund(self.held - self.env.rules.with_fee(started * self.round_wei()))
        else:
            self._close()

    def settle(self, started: bool) -> None:
        over = self.rounds_paid == self.rounds or self.cancelled_s is not None
        if self.settled or not over or started:
            raise Reverted("settle", "NotYetSettleable", {})
        self._close()

    def pay_round(self, round: int, rewards: Mapping[str, int]) -> None:
        amount = sum(rewards.values())
        if self.settled or round != self.rounds_paid or amount > self.round_wei():
            raise Reverted("pay", "WrongRound", {"round": round})
        fee = self.env.rules.with_fee(amount) - amount
        self.rounds_paid += 1
        self.paid += amount
        self.fees += fee
        self.env.emit(on_chain.RoundPaid, truth.JOB, round, amount, fee)
        if self.rounds_paid == self.rounds:
            self.env.emit(on_chain.JobCompleted, truth.JOB)
        self.bank.burn(ESCROW, fee)
        self.bank.move(ESCROW, REWARDS, amount)
        for account, wei in rewards.items():
            self.rewards[account] = self.rewards.get(account, 0) + wei
        accounts, amounts = tuple(rewards), tuple(rewards.values())
        self.env.emit(on_chain.Credited, "token", ESCROW, accounts, amounts)

    def claim(self, account: str) -> None:
        """What an account earned, once."""
        self.bank.move(REWARDS, account, self.rewards.pop(account))

    def _close(self) -> None:
        self.settled = True
        self.env.emit(on_chain.JobSettled, truth.JOB)
        self._refund(self.held)

    def _refund(self, amount: int) -> None:
        if amount:
            self.refunded += amount
            self.env.emit(on_chain.JobRefunded, truth.JOB, SUBMITTER, amount)
            self.bank.move(ESCROW, SUBMITTER, amount)
