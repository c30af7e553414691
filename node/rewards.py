"""What an account has earned: credited by final rounds and for data that was not to be had.

Read from the chain's events, so that nothing is trusted but the chain. A claim pays all that is
credited in one token, whatever it is for; anyone may send it, the money always goes to the account.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from node.chain import Chain, Receipt, Reverted
from node.chain.events import (
    ChargeOwed,
    ChargePaid,
    Claimed,
    Credited,
    DataCharged,
    RoundPaid,
)
from node.chain.handle import Transaction
from node.errors import BadInput, InsufficientFunds, NodeError
from node.ids import JobId
from node.ledger import JobView, Ledger
from node.tokens import Token, Tokens
from node.unit_history import UnitHistory, history_of

EPOCHS_MAX = 200
"""Epochs in one transaction: some four million gas, a quarter of what a transaction may have."""
Send = Callable[..., list[Receipt]]
"""Sends transactions one after the other."""


@dataclass(frozen=True, slots=True)
class Reward:
    """What an account was credited by a job: for a round, or (None) from its data deposit.

    `token` is the address of the contract, also for AIN.
    """

    job_id: JobId
    round: int | None
    amount: int
    token: str


@dataclass(frozen=True, slots=True)
class Balance:
    """What an account has earned of a token in all time, and been paid. `contract`: its address."""

    token: Token
    contract: str
    earned: int
    claimed: int

    @property
    def left(self) -> int:
        """What a claim pays now."""
        return self.earned - self.claimed


@dataclass(frozen=True, slots=True)
class Part:
    """Wei of a reward and the unit that earned them, for computing or for auditing it."""

    unit: UnitHistory
    role: str
    amount: int


@dataclass(frozen=True, slots=True)
class Explained:
    """A round's reward in its parts. `unexplained`: wei that the contract paid beyond them.

    `fee_wei`: the protocol's, for the whole round.
    """

    job: JobView
    round: int
    parts: tuple[Part, ...]
    unexplained: int
    fee_wei: int

    @property
    def amount(self) -> int:
        """The reward."""
        return sum(part.amount for part in self.parts) + self.unexplained


def rewards_of(chain: Chain, account: str) -> list[Reward]:
    """All that jobs have credited `account` so far, in the order of the chain."""
    start, head = chain.network.deployment_block, chain.head().number
    cause: RoundPaid | DataCharged | ChargePaid | None = None
    found = []
    for event in chain.events(start, head, (RoundPaid, DataCharged, ChargePaid, Credited)):
        # The escrow says what it pays for, then it has it credited, in one transaction.
        if isinstance(event, RoundPaid | DataCharged | ChargePaid):
            cause = event
        elif isinstance(event, Credited) and event.by == chain.escrow.address and cause:
            amount = credited(event, account)
            round = cause.round if isinstance(cause, RoundPaid) else None
            if amount:
                found.append(Reward(JobId(cause.job_id), round, amount, event.token))
    return found


def charges_owed(chain: Chain) -> list[ChargeOwed]:
    """What tokens did not move when jobs' data was not to be had, in the order of the chain.

    Anyone has it paid with `Escrow.pay_charge`, once the token moves again.
    """
    owed: dict[bytes, ChargeOwed] = {}
    for event in chain.events(
        chain.network.deployment_block, chain.head().number, (ChargeOwed, ChargePaid)
    ):
        if isinstance(event, ChargeOwed):
            owed[event.job_id] = event
        elif isinstance(event, ChargePaid):
            owed.pop(event.job_id, None)
    return list(owed.values())


def balances_of(
    chain: Chain, tokens: Tokens, account: str, rewards: Sequence[Reward]
) -> list[Balance]:
    """By token what `account` has of these rewards: AIN first, then in the order of earning."""
    contracts = dict.fromkeys((chain.token.address, *(each.token for each in rewards)))
    return [
        Balance(tokens.of(contract), contract, *chain.rewards.account_of(contract, account))
        for contract in contracts
    ]


def balance_called(balances: Sequence[Balance], text: str) -> Balance:
    """The balance in the token with this symbol or address; BadInput unless there is one."""
    known = [b for b in balances if text.lower() in (b.token.symbol.lower(), b.contract.lower())]
    if len(known) == 1:
        return known[0]
    listed = ", ".join(balance.token.name for balance in balances)
    raise BadInput(
        f"The account has {'nothing' if not known else 'several tokens'} called {text!r}.",
        f"It has earned in: {listed}. Name one by its address.",
    )


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
                found.append(Explained(job, final.round, parts, unexplained, final.fee_wei))
    return found


def _part(unit: UnitHistory, account: str) -> Part:
    role = "worker" if account == unit.worker else "auditor"
    return Part(unit, role, unit.paid[account])


def claim_calls(
    chain: Chain, account: str, credit_wei: int, epochs: Sequence[int], *, to_bond: bool = False
) -> list[Transaction]:
    """The transactions that pay `account` its AIN, and the emission of epochs that are over.

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


def token_calls(chain: Chain, account: str, balances: Sequence[Balance]) -> list[Transaction]:
    """The transactions that pay `account` what is left of tokens other than AIN."""
    return [
        chain.rewards.claim(each.contract, account)
        for each in balances
        if each.left and not each.token.is_ain
    ]


def claim_all(
    calls: Sequence[Transaction],
    send: Send,
    refused: Callable[[Transaction, NodeError], None] | None = None,
) -> Iterator[Receipt]:
    """Send `calls`; yields the receipts.

    What somebody else has claimed in the meantime is left out. `refused` is told what the chain
    refuses for another reason, and the rest goes on: a token that is stopped holds up no other.
    Without it that is raised.
    """
    for call in calls:
        try:
            (receipt,) = send(call)
        except (Reverted, InsufficientFunds) as error:
            if isinstance(error, Reverted) and error.name == "NothingToClaim":
                continue
            if refused is None:
                raise
            refused(call, error)
            continue
        yield receipt


def paid_by(receipts: Sequence[Receipt]) -> Counter[str]:
    """What claims paid, by the token's contract."""
    paid = Counter[str]()
    for receipt in receipts:
        for event in receipt.events:
            if isinstance(event, Claimed):
                paid[event.token] += event.amount
    return paid
