"""Quotes: exact integers, from the manifest and the Programs alone."""

from dataclasses import replace

import numpy as np
import pytest

from engine.state import types_of
from node.bundle import Bundle
from node.errors import BadInput
from node.quote import Offer, check_budget, forecast, integers_read, quote
from node.tokens import AIN, Accepted, Token

A, B, C = (f"0x{digit * 40}" for digit in "abc")
USDX = Token("0x" + "5" * 40, "USDX", 6)


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
    assert price.gflop_wei == 1001 * 10**9 // price.unit_flops
    assert price.audit_wei == 500
    assert (price.work_wei, price.audits_wei_max) == (6006, 3000)
    assert price.fee_wei == 90
    assert price.total_wei_max == 6006 + 3000 + 90


def test_lock_follows_price_and_floor(tiny: Bundle) -> None:
    """What a unit locks of its worker's bond; without a network nothing is known of it."""
    manifest = tiny.manifest.model_copy(update={"unit_flops": 1, "price_wei_per_gflop": 10**12 + 1})
    price = quote(manifest, tiny.job.costs, lock_factor_bps=38_500, audit_floor_bps=500)
    assert price.lock_wei == 77 * 1001
    assert quote(manifest, tiny.job.costs).lock_wei == 0


def test_forecast_counts_the_units_that_bonds_cover(tiny: Bundle) -> None:
    """Each bond by itself, and of those with enough memory only."""
    needed = tiny.manifest.memory_bytes
    offers = [Offer(A, needed, 1, 25), Offer(B, needed, 1, 19), Offer(C, needed - 1, 1, 1_000)]
    assert forecast(tiny.manifest, offers, 1, lock_wei=10).units_covered == 3
    assert forecast(tiny.manifest, offers, 1).units_covered == 0


def test_peers_needed_are_those_of_the_protocol(tiny: Bundle) -> None:
    """As many to work as the job file says, a third to audit, five to judge."""
    price = quote(tiny.manifest, tiny.job.costs)
    assert (price.peers_min, price.peers_audited, price.peers_judged) == (2, 3, 5)


def test_a_lock_follows_from_what_the_price_counts_as(tiny: Bundle) -> None:
    """In AIN, by the token's rate and rounded up; what is paid stays in the token."""
    accepted = Accepted(USDX, 25 * 10**29 + 1)
    price = quote(
        tiny.manifest,
        tiny.job.costs,
        lock_factor_bps=10_000,
        audit_floor_bps=500,
        unit_wei=4,
        accepted=accepted,
    )
    assert (price.unit_wei, price.work_wei) == (4, 4 * price.units)
    assert price.unit_value_wei == 10**13 + 1
    assert price.lock_wei == 20 * (10**13 + 1)


def test_budget_is_a_limit(tiny: Bundle) -> None:
    """Exactly the budget is fine; a wei more is refused with both figures."""
    price = quote(tiny.manifest, tiny.job.costs)
    check_budget(replace(tiny, budget_wei=price.total_wei_max), price, USDX)
    most = USDX.amount(price.total_wei_max)
    less = USDX.amount(price.total_wei_max - 1)
    with pytest.raises(BadInput, match=rf"budget is {less}, the job may cost up to {most};"):
        check_budget(replace(tiny, budget_wei=price.total_wei_max - 1), price, USDX)


def test_a_budget_that_is_too_small_says_how_far_it_goes(tiny: Bundle) -> None:
    """Whole rounds; none of them is begun with it, since the deposit must cover the job."""
    price = quote(tiny.manifest, tiny.job.costs)
    for wei, rounds in ((price.total_wei_max // 2, 1), (price.total_wei_max // 2 - 1, 0)):
        with pytest.raises(BadInput, match=f"covers {rounds} of 2 rounds"):
            check_budget(replace(tiny, budget_wei=wei), price, AIN)


def test_data_is_counted_as_often_as_it_is_read(tiny: Bundle) -> None:
    """10 rows, batches of 4: the last 2 are never read; integers with a length may be tokens."""
    price = quote(tiny.manifest, tiny.job.costs)
    assert price.rows_read == 2 * 3 * 5 * 4
    assert price.rows_unread == 2
    train = {
        "text": np.zeros((10, 7), np.int32),
        "label": np.zeros(10, np.int32),
        "x": np.zeros((10, 3), np.float32),
    }
    assert integers_read(tiny.manifest, types_of(train)) == {"text": 7 * price.rows_read}


def test_time_is_that_of_the_peers_that_can(tiny: Bundle) -> None:
    """Three slots over a fast and a slow peer; one too small takes none; the window every round."""
    manifest = tiny.manifest.model_copy(update={"unit_flops": 12 * 10**6})
    needed = manifest.memory_bytes
    offers = [Offer(A, needed, 6), Offer(B, needed, 3), Offer(C, needed - 1, 1000)]
    found = forecast(manifest, offers, window_s=5)
    # A ends its first unit after 2 s and its second after 4 s, B its first after 4 s.
    assert (found.seconds_min, found.seconds_max) == (2 * 4 + 10, 2 * 8 + 10)
    assert (found.peers, found.able, found.measured) == (3, 2, 2)
    assert (found.memory_bytes_max, found.gflops_per_s) == (needed, 0.009)


def test_a_peer_works_for_ain_and_for_what_it_names() -> None:
    """By address: a symbol is nobody's."""
    offer = Offer(A, 1, 1, tokens=(USDX.address,))
    assert [offer.works_for(token) for token in (AIN, USDX)] == [True, True]
    assert not offer.works_for(Token("0x" + "6" * 40, "USDX", 6))


def test_a_peer_without_a_speed_counts_with_the_median(tiny: Bundle) -> None:
    """And where nobody knows its speed there is no time."""
    manifest = tiny.manifest.model_copy(update={"unit_flops": 6 * 10**6})
    fresh = Offer(B, manifest.memory_bytes, 0)
    known = forecast(manifest, [Offer(A, manifest.memory_bytes, 3), fresh], window_s=0)
    assert (known.measured, known.seconds_min) == (1, 2 * 4)
    for offers in ([fresh], []):
        assert forecast(manifest, offers, window_s=0).seconds_min is None


def test_the_least_speed_ends_a_unit_in_its_timeout(tiny: Bundle) -> None:
    """GFLOP/s times seconds are the unit's operations."""
    price = quote(tiny.manifest, tiny.job.costs)
    seconds = tiny.manifest.unit_timeout_s
    assert round(price.unit_gflops_per_s_min * 1e9 * seconds) == price.unit_flops
