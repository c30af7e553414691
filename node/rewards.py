"""What an account has earned: credited by final rounds and for data that was not to be had.

Read from the chain's events, so that nothing is trusted but the chain. A claim pays all that is
credited, whatever it is for; anyone may send it, the money always goes to the account.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from node.chain import Chain, Receipt, Reverted
from node.chain.events import Claimed, Credited, DataCharged, RoundPaid
from node.chain.handle import Transaction
from node.ids import JobId
from node.ledger import JobView, Ledger
from node.unit_history import UnitHistory, history_of

EPOCHS_MAX = 200
"""Epochs in one transaction: some four million gas, a quarter of what a transaction may have."""
Send = Callable[..., list[Receipt]]
"""Sends transactions one after the other."""


@dataclass(frozen=True, slots=True)
class Reward:
    """What an account was credited by a job: for a round, or (None) from its data deposit."""

    job_id: JobId
    round: int | None
    amount: int


@dataclass(frozen=True, slots=True)
class Part:
    """Wei of a reward and the unit that earned them, for computing or for auditing it."""

    unit: UnitHistory
    role: str
    amount: int


@dataclass(frozen=True, slots=True)
class Explained:
    """A round's reward in its parts. `unexplained`: wei that the contract paid beyond them."""

    job: JobView
    round: int
    parts: tuple[Part, ...]
    unexplained: int

    @property
    def amount(self) -> int:
        """The reward."""
        return sum(part.amount for part in self.parts) + self.unexplained


def rewards_of(chain: Chain, account: str) -> list[Reward]:
    """All that jobs have credited `account` so far, in the order of the chain."""
    start, head = chain.network.deployment_block, chain.head().number
    cause: RoundPaid | DataCharged | None = None
    found = []
    for event in chain.events(start, head, (RoundPaid, DataCharged, Credited)):
        # The escrow says what it pays for, then it has it credited, in one transaction.
        if isinstance(event, RoundPaid | DataCharged):
            cause = event
        elif isinstance(event, Credited) and event.by == chain.escrow.address and cause:
            amount = credited(event, account)
            round = cause.round if isinstance(cause, RoundPaid) else None
            if amount:
                found.append(Reward(JobId(cause.job_id), round, amount))
    return found


def credited(event: Credited, account: str) -> int:
    """What an account has in a credit."""
    pairs = zip(event.accounts, event.amounts, strict=True)
    return sum(amount for owner, amount in pairs if owner == account)


def explain(ledger: Ledger, account: str) -> list[Explained]:
    """Every reward of `account`, recomputed from the units of its round alone."""
    found = []
    for job in ledger.jobs.values():
        history = history_of(job)
        for final in history.rounds:
            units = [unit for unit in history.units if unit.round == final.round]
            parts = tuple(_part(unit, account) for unit in units if account in unit.paid)
            unexplained = final.unexplained.get(account, 0)
            if parts or unexplained:
                found.append(Explained(job, final.round, parts, unexplained))
    return found


def _part(unit: UnitHistory, account: str) -> Part:
    role = "worker" if account == unit.worker else "auditor"
    return Part(unit, role, unit.paid[account])


def claim_calls(
    chain: Chain, account: str, credit_wei: int, epochs: Sequence[int], *, to_bond: bool = False
) -> list[Transaction]:
    """The transactions that pay `account` its credit, and the emission of epochs that are over.

    The first pays what is credited already: as a rule there is one. `to_bond`: all of it goes into
    the account's bond, which the last does.
    """
    starts = range(0, len(epochs), EPOCHS_MAX)
    batches = [epochs[start : start + EPOCHS_MAX] for start in starts]
    if to_bond and (credit_wei or batches):
        collects = [chain.emission.collect(account, batch) for batch in batches]
        return [*collects, chain.rewards.claim_to_bond(account)]
    if batches:
        return [chain.emission.claim(account, batch) for batch in batches]
    return [chain.rewards.claim(chain.token.address, account)] if credit_wei else []


def claim_all(calls: Sequence[Transaction], send: Send) -> Iterator[tuple[Receipt, int]]:
    """Send `calls`; yields each receipt with the wei that it paid.

    What somebody else has claimed in the meantime is left out.
    """
    for call in calls:
        try:
            (receipt,) = send(call)
        except Reverted as error:
            if error.name != "NothingToClaim":
                raise
            continue
        yield receipt, sum(e.amount for e in receipt.events if isinstance(e, Claimed))
