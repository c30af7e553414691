"""What an account has earned by work: the leaves of finalised rounds, claimed or not.

Read from the events RoundRewards and Claimed, so that nothing is trusted but the chain. Claims go
out in bounded batches; anyone may send them, the money always goes to the leaf's account.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from node.chain import Chain, Receipt, Reverted
from node.chain.contracts import Emission, Rewards
from node.chain.events import Claimed, EmissionClaimed, RoundRewards
from node.chain.handle import Transaction
from node.chain.types import RewardClaim
from node.ids import JobId
from node.ledger import JobView, Ledger
from node.merkle import merkle_proof, reward_leaves
from node.unit_history import UnitHistory, history_of

BATCH_MAX = 64
"""Leaves in one transaction: some five million gas, a third of what a transaction may have."""
_ATTEMPTS = 3
Send = Callable[..., list[Receipt]]
"""Sends transactions one after the other."""


@dataclass(frozen=True, slots=True)
class Reward:
    """One leaf of a finalised round that belongs to the account asked about."""

    claim: RewardClaim
    claimed: bool


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
    """All rewards of `account` so far, in the order of their rounds' finalisation."""
    start, head = chain.network.deployment_block, chain.head().number
    events = chain.events(start, head, (RoundRewards, Claimed))
    paid = {(e.job_id, e.round, e.index) for e in events if isinstance(e, Claimed)}
    return [
        Reward(claim, (claim.job_id, claim.round, claim.index) in paid)
        for event in events
        if isinstance(event, RoundRewards)
        for claim in claims_in(event, account)
    ]


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


def claim_calls(claims: Sequence[RewardClaim], source: Rewards | Emission) -> list[Transaction]:
    """The transactions that claim these leaves from what pays them."""
    return [source.claim(batch) for batch in _batches(claims)]


def claim_all(
    chain: Chain,
    claims: Sequence[RewardClaim],
    send: Send,
    source: Rewards | Emission | None = None,
) -> Iterator[tuple[Receipt, int]]:
    """Send `claims` in batches; yields each receipt with the wei that it paid.

    `source` pays: the distributor of rewards if None, else the emission controller. Leaves that
    somebody else claims in the meantime are left out.
    """
    for batch in _batches(claims):
        yield from _claim_batch(batch, send, source or chain.rewards)


def _batches(claims: Sequence[RewardClaim]) -> list[Sequence[RewardClaim]]:
    return [claims[start : start + BATCH_MAX] for start in range(0, len(claims), BATCH_MAX)]


def _claim_batch(
    batch: Sequence[RewardClaim], send: Send, source: Rewards | Emission
) -> Iterator[tuple[Receipt, int]]:
    for attempt in range(_ATTEMPTS):
        try:
            (receipt,) = send(source.claim(batch))
        except Reverted as error:
            if error.name != "AlreadyClaimed" or attempt == _ATTEMPTS - 1:
                raise
            batch = [c for c in batch if not source.is_claimed(c.job_id, c.round, c.index)]
            if not batch:
                return
            continue
        paid = (e for e in receipt.events if isinstance(e, Claimed | EmissionClaimed))
        yield receipt, sum(event.amount for event in paid)
        return


def claims_in(event: RoundRewards, account: str) -> Iterator[RewardClaim]:
    """The leaf of `account` in a round, proved; nothing if it has none."""
    if account not in event.accounts:
        return
    job_id = JobId(event.job_id)
    leaves = reward_leaves(job_id, event.round, event.accounts, event.amounts)
    for index, (owner, amount) in enumerate(zip(event.accounts, event.amounts, strict=True)):
        if owner == account:
            proof = merkle_proof(leaves, index)
            yield RewardClaim(job_id, event.round, index, account, amount, proof)
