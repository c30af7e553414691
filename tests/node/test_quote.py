"""Quotes: exact integers, from the manifest and the Programs alone."""

import pytest

from node.bundle import Bundle
from node.errors import BadInput
from node.quote import check_budget, quote


def test_quote_adds_up(tiny: Bundle) -> None:
    """FLOPs of unit, round and job; bytes of every blob."""
    price, costs = quote(tiny.manifest, tiny.job.costs), tiny.job.costs
    unit = 5 * costs.step.flops + costs.result.flops
    assert (price.units, price.unit_flops, price.audit_flops) == (6, unit, unit)
    assert price.round_flops == 3 * unit + costs.aggregate.flops + costs.outer.flops
    assert price.total_flops == 2 * price.round_flops + costs.evaluate.flops
    assert price.total_flops_max == price.total_flops + 6 * unit
    assert price.unit_bytes_moved == 5 * costs.step.bytes_moved + costs.result.bytes_moved
    assert price.peak_bytes == max(
        part.peak_bytes
        for part in (costs.step, costs.result, costs.aggregate, costs.outer, costs.evaluate)
    )
    blobs = [*tiny.blobs, tiny.manifest.to_bytes()]
    assert price.blob_bytes == sum(map(len, blobs))


def test_unit_flops_of_a_known_step(tiny: Bundle) -> None:
    """x @ w and x.T @ e are 2*4*3 each; the rest is counted per element."""
    dots = 2 * (2 * 4 * 3)
    elementwise = tiny.job.costs.step.flops - dots
    assert 0 < elementwise < 60


def test_money_follows_price_and_rates(tiny: Bundle) -> None:
    """A unit's price rounds up; an audit pays its share; the fee is on all of it."""
    manifest = tiny.manifest.model_copy(update={"unit_flops": 1, "price_wei_per_gflop": 10**12 + 1})
    price = quote(manifest, tiny.job.costs, audit_pay_bps=5000, protocol_fee_bps=100)
    assert price.unit_wei == 1001
    assert price.audit_wei == 500
    assert (price.work_wei, price.audits_wei_max) == (6006, 3000)
    assert price.fee_wei == 90
    assert price.total_wei_max == 6006 + 3000 + 90


def test_peers_needed_are_those_of_the_protocol(tiny: Bundle) -> None:
    """One to work, a third to audit, five to judge."""
    price = quote(tiny.manifest, tiny.job.costs)
    assert (price.peers_min, price.peers_audited, price.peers_judged) == (1, 3, 5)


def test_budget_is_a_limit(tiny: Bundle) -> None:
    """Exactly the budget is fine; a wei more is refused with both figures."""
    price = quote(tiny.manifest, tiny.job.costs)
    enough = tiny.spec.budget.model_copy(update={"budget_wei": price.total_wei_max})
    check_budget(tiny.spec.model_copy(update={"budget": enough}), price)
    less = tiny.spec.budget.model_copy(update={"budget_wei": price.total_wei_max - 1})
    with pytest.raises(BadInput, match=rf"budget_wei = {price.total_wei_max - 1}: .* may cost"):
        check_budget(tiny.spec.model_copy(update={"budget": less}), price)
