"""Whole jobs under faults: whatever happens, the laws hold (laws.py), on the way and at the end.

Every run prints its seed; `python -m tests.simulation --seed 17` runs one again, exactly.
"""

from dataclasses import replace
from random import Random

import pytest

from tests.simulation import truth
from tests.simulation.faults import Scenario, Traits, Weather
from tests.simulation.scenarios import HONEST, check_end, escaped, run, scenario
from tests.simulation.world import World


@pytest.mark.parametrize("seed", range(200), ids=lambda seed: f"seed_{seed}")
def test_job_under_faults_keeps_every_law(seed: int) -> None:
    """Safety throughout and liveness once faults stop."""
    print(scenario(seed))
    run(scenario(seed))


@pytest.mark.parametrize("seed", range(20), ids=lambda seed: f"cancelled_{seed}")
def test_cancelled_job_ends_after_at_most_its_started_round(seed: int) -> None:
    """Whenever the submitter cancels; what was finalized stands and is paid."""
    cancel_ms = Random(seed).randrange(70_000)
    world = run(replace(scenario(seed), rounds=3, cancel_ms=cancel_ms))
    state = world.chain.state
    assert state.escrow.settled
    assert not state.ledger.started or state.ledger.open_round == 3


def ahead(seed: int) -> Scenario:
    """The same jobs, with rounds that run up to three ahead of open audits."""
    random = Random(seed)
    return replace(scenario(seed), rounds=random.randint(2, 5), rounds_ahead=random.randint(1, 3))


@pytest.mark.parametrize("seed", range(40), ids=lambda seed: f"ahead_{seed}")
def test_job_with_rounds_ahead_keeps_every_law(seed: int) -> None:
    """A fault behind an anchored checkpoint costs time and work, never bits or money."""
    print(ahead(seed))
    run(ahead(seed))


@pytest.mark.parametrize("seed", range(10), ids=lambda seed: f"cancelled_ahead_{seed}")
def test_cancelled_job_with_rounds_ahead_ends_after_its_started_rounds(seed: int) -> None:
    """Started rounds are finished; what a fault dissolves does not begin again."""
    cancel_ms = Random(seed).randrange(70_000)
    world = run(replace(ahead(seed), rounds=5, cancel_ms=cancel_ms))
    state = world.chain.state
    assert state.escrow.settled
    assert not state.ledger.started or state.ledger.open_round == 5


def test_rounds_ahead_are_cut_behind_faults_and_save_time() -> None:
    """The runs above are not idle; and without faults rounds ahead end sooner, in the same bits."""
    assert sum(run(ahead(seed)).chain.state.ledger.cuts for seed in range(8)) > 0
    honest = Scenario(seed=3, rounds=5, workers=(HONEST,) * 5)
    alone, early = run(honest), run(replace(honest, rounds_ahead=3))
    assert early.chain.state.ledger.checkpoints == alone.chain.state.ledger.checkpoints
    assert early.loop.now_ms < alone.loop.now_ms


@pytest.mark.parametrize("seed", range(4), ids=lambda seed: f"misled_{seed}")
def test_a_successor_withdraws_what_was_anchored_falsely(seed: int) -> None:
    """It combines what stands on chain itself; what was computed from the false one is dissolved,
    and the bits at the end are those of honest work.
    """
    hosts = (Traits(anchors_falsely=1.0), HONEST)
    world = run(Scenario(seed=seed, rounds=4, workers=(HONEST,) * 5, hosts=hosts, rounds_ahead=2))
    ledger = world.chain.state.ledger
    assert world.faults["false anchors"] > 0
    assert ledger.cuts > 0
    assert ledger.checkpoints[-1] == truth.fault_free(4, 4)


@pytest.mark.parametrize("workers", [1, 3, 5])
def test_checkpoint_does_not_depend_on_the_number_of_workers(workers: int) -> None:
    """Alone, only the coordinator can audit; the result is the same."""
    world = run(Scenario(seed=workers, workers=(HONEST,) * workers))
    assert world.chain.state.ledger.checkpoints[-1] == truth.fault_free(2, 4)


@pytest.mark.parametrize("seed", [5, 77])
def test_run_is_replayable_from_its_seed(seed: int) -> None:
    """Same seed, same journals, same chain, to the byte."""
    first, second = run(scenario(seed)), run(scenario(seed))
    assert [host.journals for host in first.hosts] == [host.journals for host in second.hosts]
    assert first.chain.state.env.hashes == second.chain.state.env.hashes
    assert first.faults == second.faults
    assert first.loop.now_ms == second.loop.now_ms


def test_undrawn_lie_reaches_the_checkpoint() -> None:
    """The check of checkpoints can fail: a liar that the lot spares is paid."""
    liars = (Traits(lies=1.0),) * 2
    world = World(
        Scenario(seed=1, rounds=1, workers=liars, probation=1, clean_units=10**6, floor_bps=1)
    )
    world.run()
    check_end(world)
    assert len(escaped(world)) == 4
    assert world.chain.state.ledger.checkpoints[-1] != truth.fault_free(1, 4)


def test_watched_lie_does_not() -> None:
    """A challenge within the window puts it before a jury, which decides against it."""
    workers = (Traits(lies=0.7), Traits(watches=1.0), HONEST, HONEST, HONEST)
    world = run(Scenario(seed=3, workers=workers, clean_units=10**6, floor_bps=1))
    assert world.faults["challenges"] > 0
    assert not escaped(world)


def test_receipted_unit_that_is_left_out_is_proved() -> None:
    """A coordinator that claims a receipted unit for itself is convicted by receipt and chain."""
    workers, hosts = (HONEST,) * 4, (Traits(leaves_out=1.0),)
    world = run(Scenario(seed=4, workers=workers, hosts=hosts, faults_ms=10_000))
    assert world.falsified
    assert world.proved == world.falsified


@pytest.mark.parametrize("seed", range(6))
def test_replaced_blocks_take_nothing_back_that_counted(seed: int) -> None:
    """Forks all the time, as deep as the confirmations allow."""
    weather = Weather(fork=0.3, stuck=0.05, out_of_gas=0.1)
    world = run(Scenario(seed=seed, weather=weather, faults_ms=200_000, confirmations=2))
    assert world.faults["blocks replaced"] > 20


def test_successor_challenges_a_lie_that_the_lot_spared() -> None:
    """It cannot combine a result that nobody gives it, waits for who may, and is still in time."""
    workers = (Traits(lies=0.5), HONEST, HONEST, HONEST, HONEST)
    weather = Weather(kill=0.02, outage_ms=250_000)
    which = Scenario(
        seed=0, rounds=1, slots=6, workers=workers, hosts=(HONEST, HONEST), weather=weather,
        clean_units=10**6, floor_bps=1, challenge_s=240, faults_ms=240_000,
    )  # fmt: skip
    disputes = 0
    for seed in range(8):
        world = run(replace(which, seed=seed))
        assert world.over
        disputes += len(world.chain.state.ledger.committee.disputes)
    assert disputes > 0
