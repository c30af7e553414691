"""The load that the benchmark plays is a real job's, and its fit is a fit."""

import math

from benchmarks.scheduler import event_costs, fit, growth
from benchmarks.scheduler_load import Load, names
from scheduler.invariants import invariants


def test_load_finishes_rounds_and_leaves_a_sound_state() -> None:
    """Nothing in it is illegal; units are assigned and declined, records written."""
    load = Load(0, 8, names(20))
    for _ in range(150):
        load.step()
    assert invariants(load.state) == []
    assert load.rounds == load.state.round > 1
    assert load.assigned >= 8 * load.rounds
    assert load.declined
    assert load.records < sum(load.events.values())
    assert {"UnitPassed", "UnitVerified", "RoundFinalizedOnChain"} <= set(load.events)


def test_fit_finds_the_logarithm_it_was_given() -> None:
    """And says how far the worst point is off."""
    sizes = [100, 1_000, 10_000]
    a, b = fit(sizes, [5 + 2 * math.log(size) for size in sizes])
    assert (round(a, 6), round(b, 6)) == (5, 2)
    rows = [{"peers": n, "event_us": 5 + 2 * math.log(n)} for n in sizes]
    assert growth(rows)["worst_residual_us"] == 0
    assert growth(rows)["ratio_of_logarithms"] == 2


def test_every_size_is_measured() -> None:
    """In the order that was asked for."""
    assert [row["peers"] for row in event_costs((3, 5), 5)] == [3, 5]
