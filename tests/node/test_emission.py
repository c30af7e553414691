"""node/emission.py on a real chain: what emission gives a leaf, to the wei, and when."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from node.chain import Chain, Receipt, Reverted
from node.chain.events import Place, RoundCounted, TreasuryPaid
from node.chain.types import EmissionPlan, EmissionSchedule, EmissionShare
from node.deployment import AIN
from node.devnet import Devnet
from node.emission import emissions_of, leaf_wei, share_of
from node.ids import JobId
from node.rewards import claim_all
from node.wallet import Signer

COUNTED = RoundCounted(
    Place(1, 0, b""), JobId(bytes(32)), 0, epoch=3, flops=40, cap_wei=10**6, treasury_bps=1_000
)


def test_a_round_shares_its_epochs_budget_by_flops_below_its_cap() -> None:
    """Every division rounds down, but the treasury's share, which rounds up."""
    assert share_of(COUNTED, 1_000, 120) == EmissionShare(333, 34)
    assert share_of(replace(COUNTED, cap_wei=7), 1_000, 120) == EmissionShare(7, 1)
    assert share_of(replace(COUNTED, flops=0), 1_000, 0) == EmissionShare(0, 0)
    assert leaf_wei(EmissionShare(333, 34), 2, 3) == 199


def test_budgets_halve() -> None:
    """As the token's do."""
    schedule = EmissionSchedule(1_000, EmissionPlan(10, 25, 2))
    assert [schedule.budget_wei(epoch) for epoch in range(11)] == [
        25, 25, 12, 12, 6, 6, 3, 3, 1, 1, 0,
    ]  # fmt: skip
    assert schedule.ends_at(0) == 1_010


@pytest.fixture
def worked(
    make_node: Callable[..., Any], fund_job: Callable[..., Any], finish_round: Callable[..., None]
) -> Any:
    """A worker of two rounds, and their job."""
    submitter, coordinator, worker = make_node(bond_wei=0), make_node(), make_node()
    job_id = fund_job(submitter, rounds=2, slots=3, unit_wei=AIN + 7, unit_flops=3 * 10**9)
    for round in range(2):
        finish_round(job_id, coordinator, worker, round=round, slots=3)
    return worker, job_id


def test_emission_is_foretold_to_the_wei_and_paid_once(worked: Any, devnet: Devnet) -> None:
    """Our figures are what the contract pays, after the epoch and not before; then none is left."""
    worker, job_id = worked
    chain = worker.chain
    early = emissions_of(chain, worker.address)
    assert all(e.is_final == (chain.head().timestamp >= e.claimable_at_s) for e in early)
    devnet.travel(chain.token.schedule().plan.epoch_s)
    found = emissions_of(chain, worker.address)
    assert [e.is_final for e in found] == [True, True]
    assert all(a.amount_wei >= b.amount_wei for a, b in zip(early, found, strict=True))
    before, emitted = chain.token.balance_of(worker.address), chain.token.emitted_wei()
    sent = list(claim_all(chain, [e.claim for e in found], sending(chain), chain.emission))
    total = sum(e.amount_wei for e in found)
    assert [amount for _, amount in sent] == [total]
    assert chain.token.balance_of(worker.address) == before + total
    shares = [chain.emission.share_of(job_id, round) for round in range(2)]
    ((receipt, _),) = sent
    paid = [e.amount for e in receipt.events if isinstance(e, TreasuryPaid)]
    assert paid == [share.treasury_wei for share in shares]
    # The only leaf has all that the treasury leaves.
    assert [e.amount_wei for e in found] == [s.emission_wei - s.treasury_wei for s in shares]
    assert chain.token.emitted_wei() == emitted + total + sum(paid)
    assert chain.token.emitted_wei() <= chain.token.scheduled_wei()
    assert sum(s.emission_wei for s in shares) <= chain.escrow.job(job_id).fees
    assert all(e.is_claimed for e in emissions_of(chain, worker.address))
    assert list(claim_all(chain, [e.claim for e in found], sending(chain), chain.emission)) == []


def test_a_forged_leaf_gets_no_emission(worked: Any, devnet: Devnet) -> None:
    """More, or for another account: refused."""
    worker, _ = worked
    devnet.travel(worker.chain.token.schedule().plan.epoch_s)
    claim = emissions_of(worker.chain, worker.address)[0].claim
    for forged in (
        replace(claim, amount=claim.amount + 1),
        replace(claim, account=Signer.random().address),
    ):
        with pytest.raises(Reverted, match="BadProof"):
            list(claim_all(worker.chain, [forged], sending(worker.chain), worker.chain.emission))


def sending(chain: Chain) -> Callable[..., list[Receipt]]:
    """As the command's desk sends."""
    return lambda *transactions: [chain.send(each) for each in transactions]
