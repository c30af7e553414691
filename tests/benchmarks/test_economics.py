"""The strategies' simulation against the formulas that docs/economics.md derives."""

from dataclasses import replace
from itertools import pairwise
from random import Random

import pytest

from benchmarks.economics import (
    STRATEGIES,
    Rules,
    burst,
    career,
    delegated,
    false_accusation,
    lie_gain,
    lock_min,
    majority,
    profit,
    proposer,
    wash,
)
from node.chain.types import Parameter
from node.deployment import PUBLIC
from node.emission import Rates, counted_flops, part_of, share_of
from scheduler.audit import BPS


def test_honest_worker_earns_its_margin_whatever_the_rules() -> None:
    """Audits cost it nothing."""
    rules = Rules(floor_bps=2_000, lock=200.0, colluding=1 / 3)
    assert career(rules, STRATEGIES["honest"], 100, Random(1)) == pytest.approx(20.0)


@pytest.mark.parametrize("colluding", [0.0, 1 / 3])
def test_lie_is_worth_nothing_at_the_least_lock(colluding: float) -> None:
    """Above it a lie loses, below it wins."""
    rules = Rules(colluding=colluding)
    least = lock_min(rules)
    assert lie_gain(replace(rules, lock=least)) == pytest.approx(0.0, abs=1e-9)
    assert (
        lie_gain(replace(rules, lock=1.01 * least))
        < 0
        < lie_gain(replace(rules, lock=0.99 * least))
    )


def test_simulated_liar_gains_below_the_least_lock_and_loses_above() -> None:
    """Formula and simulation agree about which side pays."""
    least, name = lock_min(Rules()), "lies once trusted"
    honest = profit(Rules(), "honest", 1)
    assert profit(Rules(lock=least / 2), name, 60) > honest
    assert profit(Rules(lock=2 * least), name, 60) < honest


def test_liar_with_others_tokens_loses_at_the_public_lock_while_half_is_its_own() -> None:
    """A half is what the lock bears; more, or bounties of others' part, would make lies pay."""
    half = Rules(lent=0.5, colluding=1 / 3)
    assert lie_gain(half) < 0 < lie_gain(replace(half, lent=0.55))
    assert lie_gain(Rules(lent=0.5)) < 0 < lie_gain(Rules(lent=0.9))
    rows = {row["lent"]: row for row in delegated()}
    assert float(rows[0.5]["gain, a third, bounty of all"]) > 0 >= float(rows[0.5]["gain, a third"])


def test_many_lies_at_once_pay_against_one_bond_but_not_against_a_lock_each() -> None:
    """Why each unit needs a part of the bond of its own."""
    rules = Rules(colluding=1 / 3)
    rules = replace(rules, lock=1.5 * lock_min(rules))
    assert burst(rules, 1, is_locked=False) == pytest.approx(burst(rules, 1, is_locked=True))
    assert burst(rules, 100, is_locked=False) > 0 > burst(rules, 100, is_locked=True)


def test_majority_is_the_binomial_tail() -> None:
    """Three seats, a third: 3 p^2 (1 - p) + p^3."""
    assert majority(1 / 3, 3) == pytest.approx(7 / 27)
    assert majority(0.0, 5) == 0.0


def test_false_accusation_loses_unless_the_jury_is_owned() -> None:
    """At a third of the nodes it loses; with nearly all of them it wins."""
    assert false_accusation(Rules(colluding=1 / 3)) < 0
    assert false_accusation(Rules(colluding=0.9)) > 0


def test_proposer_that_skips_blocks_is_drawn_less_often() -> None:
    """Closed form of p (1 - s) + p s P, checked by playing it."""
    random, drawn, trials = Random(3), 0, 20_000
    for _ in range(trials):
        while (is_drawn := random.random() < 0.5) and random.random() < 0.3:
            pass
        drawn += is_drawn
    assert drawn / trials == pytest.approx(proposer(0.5, 0.3), abs=0.02)
    assert proposer(0.5, 0.0) == 0.5


@pytest.mark.parametrize("share", [0.0, 1 / 3, 1.0])
@pytest.mark.parametrize("is_computed", [False, True])
def test_job_to_oneself_loses_while_emission_is_at_most_the_burned_fee(
    share: float, is_computed: bool
) -> None:
    """Even for who owns every node, at the greatest emission and the least share of the treasury
    that a vote can set; were more than the fee emitted, or nothing kept, it would pay or be free.
    """
    rules = Rules(colluding=share, treasury=0.05)
    for emitted in (0.0, 0.5, 1.0):
        assert wash(rules, emitted, is_computed) < 0
    everybody = Rules(colluding=1.0, treasury=0.0)
    assert wash(everybody, 1.0, is_computed=False) == 0
    assert wash(everybody, 1.01, is_computed=False) > 0


def test_same_job_again_loses_every_time_in_whole_wei() -> None:
    """The contract's own formulas, played in integers: one party alone in every epoch, whatever
    price, FLOPs, rates and budgets. It never has more than before, and less if a fee was burned.
    """
    random = Random(5)
    for _ in range(2_000):
        wealth, fee_bps = 10**30, random.randint(0, 2_000)
        for _ in range(random.randint(1, 5)):
            paid_wei = random.randint(1, 10 ** random.randint(1, 24))
            fee_wei = paid_wei * fee_bps // BPS
            rates = Rates(
                emission_bps=random.randint(0, BPS),
                treasury_bps=random.randint(500, 5_000),
                gflop_fee_wei=random.randint(1, 10 ** random.randint(1, 21)),
            )
            flops = counted_flops(random.randint(0, 64 << 62), fee_wei, rates.gflop_fee_wei)
            budget_wei = 10 ** random.randint(0, 24)
            parts = [part_of(flops, part, paid_wei) for part in _parts(paid_wei, random)]
            shares = [share_of(part, max(1, flops), budget_wei, rates) for part in parts]
            earned = sum(share.amount_wei for share in shares)
            assert earned + sum(share.treasury_wei for share in shares) <= fee_wei
            assert earned < fee_wei or fee_wei == 0
            wealth += earned - fee_wei
        assert wealth <= 10**30


def _parts(total: int, random: Random) -> list[int]:
    """The leaves of a round: amounts that add up to `total`."""
    cuts = sorted(random.randint(0, total) for _ in range(random.randint(0, 7)))
    return [b - a for a, b in pairwise([0, *cuts, total])]


@pytest.mark.parametrize("colluding", [0.0, 0.2, 1 / 3])
def test_public_lock_is_at_least_twice_what_deters(colluding: float) -> None:
    """At its floor and, as locks follow it, at every floor from there on."""
    for floor_bps in (500, 1_000, 2_000):
        rules = Rules(floor_bps=floor_bps, colluding=colluding)
        lock = PUBLIC.parameters[Parameter.LOCK_FACTOR_BPS] / floor_bps
        assert lock >= 2 * lock_min(rules)


def test_least_factor_deters_a_liar_alone_whatever_it_saves() -> None:
    """The hard bound of the parameter: a lock of 1 / floor prices, where computing costs all."""
    for floor_bps in (100, 500, 5_000, 10_000):
        rules = Rules(floor_bps=floor_bps, cost=1.0)
        assert BPS / floor_bps >= lock_min(rules)
