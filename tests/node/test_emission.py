"""node/emission.py on a real chain: what emission gives an account, to the wei, and when."""

from collections.abc import Callable
from typing import Any

from node.chain.events import Credited, EmissionClaimed
from node.chain.types import EmissionPlan, EmissionSchedule, EmissionShare
from node.deployment import AIN
from node.devnet import Devnet
from node.emission import Rates, cap_wei, counted_flops, emissions_of, part_of, share_of
from node.rewards import claim_all, claim_calls, paid_by

RATES = Rates(emission_bps=5_000, treasury_bps=1_000, gflop_fee_wei=4 * 10**9)


def test_an_account_shares_its_epochs_budget_by_flops_below_its_cap() -> None:
    """Every division rounds down, but the treasury's share, which rounds up."""
    assert share_of(40, 120, 100, RATES) == EmissionShare(29, 4)
    assert share_of(40, 120, 1_000, RATES) == EmissionShare(72, 8)
    assert cap_wei(40, RATES) == 80
    assert share_of(0, 0, 1_000, RATES) == EmissionShare(0, 0)
    assert counted_flops(10, 100, 4 * 10**9) == 10
    assert counted_flops(100, 9, 4 * 10**9) == 2
    assert part_of(10, 2, 3) == 6


def test_budgets_halve() -> None:
    """As the token's do."""
    schedule = EmissionSchedule(1_000, EmissionPlan(10, 25, 2))
    assert [schedule.budget_wei(epoch) for epoch in range(11)] == [
        25, 25, 12, 12, 6, 6, 3, 3, 1, 1, 0,
    ]  # fmt: skip
    assert schedule.ends_at(0) == 1_010


def test_emission_is_foretold_to_the_wei_and_paid_once(
    make_node: Callable[..., Any],
    fund_job: Callable[..., Any],
    finish_round: Callable[..., None],
    devnet: Devnet,
) -> None:
    """Our figures are what the contract pays, after the epoch and not before; then none is left."""
    submitter, coordinator, worker = make_node(bond_wei=0), make_node(), make_node()
    job_id = fund_job(submitter, rounds=2, slots=3, unit_wei=AIN + 7, unit_flops=3 * 10**9)
    for round in range(2):
        finish_round(job_id, coordinator, worker, round=round, slots=3)
    chain, account = worker.chain, worker.address
    early = emissions_of(chain, account)
    assert all(e.is_final == (chain.head().timestamp >= e.claimable_at_s) for e in early)
    devnet.travel(chain.token.schedule().plan.epoch_s)
    found = emissions_of(chain, account)
    assert all(e.is_final and not e.is_claimed for e in found)
    assert [e.epoch for e in early] == [e.epoch for e in found]
    assert all(a.amount_wei >= b.amount_wei for a, b in zip(early, found, strict=True))
    shares = [chain.emission.share_of(account, e.epoch) for e in found]
    assert shares == [EmissionShare(e.amount_wei, e.treasury_wei) for e in found]
    before, emitted = chain.token.balance_of(account), chain.token.emitted_wei()
    credit = chain.rewards.credit_of(chain.token.address, account)
    assert credit == 6 * (AIN + 7)
    calls = claim_calls(chain, account, credit, [e.epoch for e in found])
    (receipt,) = claim_all(calls, lambda call: [chain.send(call)])
    paid = paid_by([receipt])[chain.token.address]
    total, treasury = sum(s.amount_wei for s in shares), sum(s.treasury_wei for s in shares)
    assert paid == credit + total
    assert chain.token.balance_of(account) == before + paid
    told = [e.amount for e in receipt.events if isinstance(e, EmissionClaimed)]
    assert told == [s.amount_wei for s in shares]
    (minted,) = [e for e in receipt.events if isinstance(e, Credited)]
    dao = chain.network.contracts.timelock
    assert (minted.accounts, minted.amounts) == ((account, dao), (total, treasury))
    assert chain.token.emitted_wei() == emitted + total + treasury
    assert 0 < total + treasury <= chain.escrow.job(job_id).fees
    assert all(e.is_claimed for e in emissions_of(chain, account))
    assert list(claim_all(calls, lambda call: [chain.send(call)])) == []
