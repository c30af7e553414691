"""node/emission_account.py on a real chain: each wei of emission from what it follows from."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from node import emission_account as module
from node.chain.types import Parameter
from node.deployment import AIN
from node.devnet import Devnet
from node.emission import emissions_of
from node.emission_account import explain_emission
from node.rewards import claim_all

UNIT_FLOPS = 3 * 10**9
SLOTS = 3


@pytest.fixture
def worked(
    make_node: Callable[..., Any], fund_job: Callable[..., Any], finish_round: Callable[..., None]
) -> Any:
    """A worker of two rounds of a job, and of one of another, whose fee covers no FLOP."""
    submitter, coordinator, worker = make_node(bond_wei=0), make_node(), make_node()
    job_id = fund_job(submitter, rounds=2, slots=SLOTS, unit_wei=AIN + 7, unit_flops=UNIT_FLOPS)
    for round in range(2):
        finish_round(job_id, coordinator, worker, round=round, slots=SLOTS)
    cheap = fund_job(submitter, rounds=1, slots=1, unit_wei=1, unit_flops=UNIT_FLOPS)
    finish_round(cheap, coordinator, worker, round=0, slots=1)
    return worker, job_id, cheap


def test_every_figure_follows_from_the_log_and_is_the_contracts(
    worked: Any, devnet: Devnet
) -> None:
    """Two ways to the same wei: this account, and what the contract pays."""
    worker, job_id, cheap = worked
    chain = worker.chain
    devnet.travel(chain.token.schedule().plan.epoch_s)
    explained = explain_emission(chain, worker.address)
    assert [(e.claim.job_id, e.claim.round) for e in explained] == [
        (job_id, 0), (job_id, 1), (cheap, 0),
    ]  # fmt: skip
    assert [e.differences for e in explained] == [(), (), ()]
    fee_bps = 100
    for each in explained[:2]:
        counted = each.counted
        assert counted.stated_flops == SLOTS * UNIT_FLOPS == counted.flops
        assert counted.fee_wei == each.round_wei * fee_bps // 10_000
        assert counted.cap_wei == counted.fee_wei
        assert each.by_flops_wei == each.budget_wei * counted.flops // each.epoch_flops
        assert each.share.emission_wei == min(each.by_flops_wei, counted.cap_wei)
        assert each.share.treasury_wei == -(-each.share.emission_wei // 10)
    none = explained[2]
    assert (none.counted.fee_wei, none.counted.flops, none.by_flops_wei) == (0, 0, 0)
    foretold = {(e.claim.job_id, e.claim.round): e.amount_wei for e in explained if e.amount_wei}
    paid = emissions_of(chain, worker.address)
    assert {(e.claim.job_id, e.claim.round): e.amount_wei for e in paid} == foretold
    send = lambda *calls: [chain.send(call) for call in calls]  # noqa: E731
    list(claim_all(chain, [e.claim for e in paid], send, chain.emission))
    again = explain_emission(chain, worker.address, lambda job, _round: job == job_id)
    assert [(e.is_claimed, e.differences) for e in again] == [(True, ()), (True, ())]


@pytest.mark.parametrize(
    ("forge", "said"),
    [
        ({"flops": 1}, "what was counted"),
        ({"cap_wei": 1}, "what was counted"),
        ({"treasury_bps": 501}, "what was counted"),
        ({"epoch": 10**6}, "the epoch: recomputed"),
    ],
)
def test_a_chain_that_says_otherwise_is_told_of(
    worked: Any, devnet: Devnet, monkeypatch: pytest.MonkeyPatch, forge: dict[str, int], said: str
) -> None:
    """One changed figure of an event, and the difference is named with both values."""
    worker, job_id, _ = worked
    build = module.Counted

    def forged(event: Any, *rest: Any) -> Any:
        return build(replace(event, **forge), *rest)

    monkeypatch.setattr(module, "Counted", forged)
    found = explain_emission(worker.chain, worker.address, lambda j, r: (j, r) == (job_id, 1))
    (each,) = found
    assert any(said in difference for difference in each.differences), each.differences


def test_rates_are_those_of_the_rounds_own_moment(worked: Any) -> None:
    """The parameters' values come from their events, in order."""
    worker, job_id, _ = worked
    (each,) = explain_emission(worker.chain, worker.address, lambda j, r: (j, r) == (job_id, 0))
    values = worker.chain.parameters.all()
    assert each.counted.treasury_bps == values[Parameter.TREASURY_SHARE_BPS]
    assert each.counted.emission_bps == values[Parameter.EMISSION_BPS]
    assert each.counted.gflop_fee_wei == values[Parameter.EMISSION_GFLOP_FEE_WEI]
