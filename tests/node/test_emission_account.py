"""node/emission_account.py on a real chain: each wei of emission from what it follows from."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from node import emission_account as module
from node.chain.types import EmissionSchedule, Parameter
from node.deployment import AIN
from node.devnet import Devnet
from node.emission import emissions_of
from node.emission_account import explain_emission
from node.rewards import claim_all, claim_calls

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
    chain, account = worker.chain, worker.address
    devnet.travel(chain.token.schedule().plan.epoch_s)
    explained = explain_emission(chain, account)
    rounds = [one for each in explained for one in each.rounds]
    assert [(one.event.job_id, one.event.round) for one in rounds] == [
        (job_id, 0), (job_id, 1), (cheap, 0),
    ]  # fmt: skip
    assert not any(each.differences for each in explained)
    for one in rounds[:2]:
        assert one.stated_flops == SLOTS * UNIT_FLOPS
        assert one.fee_wei == one.round_wei // 100
        covered = one.fee_wei * 10**9 // one.rates.gflop_fee_wei
        assert one.flops == one.part_flops == min(one.stated_flops, covered) > 0
    assert (rounds[2].fee_wei, rounds[2].flops, rounds[2].part_flops) == (0, 0, 0)
    for each in explained:
        assert each.flops == sum(one.part_flops for one in each.rounds)
        assert each.by_flops_wei == each.budget_wei * each.flops // max(1, each.epoch_flops)
        whole = each.share.amount_wei + each.share.treasury_wei
        assert whole == min(each.by_flops_wei, each.cap_wei)
        assert each.cap_wei <= sum(one.fee_wei for one in each.rounds)
        assert each.share.treasury_wei == -(-whole // 10)
    foretold = {e.epoch: e.share.amount_wei for e in explained if e.share.amount_wei}
    paid = emissions_of(chain, account)
    assert {e.epoch: e.amount_wei for e in paid} == foretold
    calls = claim_calls(chain, account, 1, [e.epoch for e in paid])
    list(claim_all(calls, lambda call: [chain.send(call)]))
    again = explain_emission(chain, account, lambda job, _round: job == job_id)
    assert all(e.is_claimed and not e.differences for e in again)


@pytest.mark.parametrize(
    ("forge", "said"),
    [({"flops": 1}, "the FLOPs of round 2"), ({"epoch": 10**6}, "the epoch of round 2")],
)
def test_a_chain_that_says_otherwise_is_told_of(
    worked: Any, devnet: Devnet, monkeypatch: pytest.MonkeyPatch, forge: dict[str, int], said: str
) -> None:
    """One changed figure of an event, and the difference is named with both values."""
    worker, job_id, _ = worked
    build = module.CountedRound

    def forged(event: Any, *rest: Any) -> Any:
        wrong = (event.job_id, event.round) == (job_id, 1)
        return build(replace(event, **forge) if wrong and "flops" in forge else event, *rest)

    monkeypatch.setattr(module, "CountedRound", forged)
    if "epoch" in forge:
        monkeypatch.setattr(EmissionSchedule, "epoch_at", lambda _schedule, _time: forge["epoch"])
    found = explain_emission(worker.chain, worker.address, lambda j, r: (j, r) == (job_id, 1))
    (each,) = found
    assert any(said in difference for difference in each.differences), each.differences


def test_other_rates_or_another_share_are_told_of(
    worked: Any, devnet: Devnet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rates are those of the parameters; the contract's own figures are asked for."""
    worker, *_ = worked
    chain, account = worker.chain, worker.address
    devnet.travel(chain.token.schedule().plan.epoch_s)
    values = module._Log.apply

    def other(log: Any, event: Any) -> None:
        values(log, event)
        log.values[Parameter.EMISSION_BPS] = 9_999

    monkeypatch.setattr(module._Log, "apply", other)
    found = [d for each in explain_emission(chain, account) for d in each.differences]
    assert any(d.startswith("the epoch's rates: recomputed") for d in found)
    assert any(d.startswith("the rates that the contract holds: recomputed") for d in found)
    monkeypatch.undo()
    monkeypatch.setattr(module, "part_of", lambda flops, *_: max(0, flops - 1))
    found = [d for each in explain_emission(chain, account) for d in each.differences]
    assert any(d.startswith("its FLOPs: recomputed") for d in found)
    assert any(d.startswith("its share: recomputed") for d in found)


def test_rates_are_those_of_the_epochs_first_round(worked: Any) -> None:
    """The parameters' values come from their events, in order."""
    worker, job_id, _ = worked
    (each,) = explain_emission(worker.chain, worker.address, lambda j, r: (j, r) == (job_id, 0))
    values = worker.chain.parameters.all()
    assert each.rates.treasury_bps == values[Parameter.TREASURY_SHARE_BPS]
    assert each.rates.emission_bps == values[Parameter.EMISSION_BPS]
    assert each.rates.gflop_fee_wei == values[Parameter.EMISSION_GFLOP_FEE_WEI]
