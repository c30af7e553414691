"""Whole jobs under faults: whatever happens, the checkpoint is the fault-free one.

Every run prints its seed; `pytest tests/simulation -k "seed_17"` runs one again, exactly.
"""

from dataclasses import replace
from random import Random

import pytest

from scheduler.commands import Outcome
from scheduler.coordinator import digest, replay
from tests.simulation import truth
from tests.simulation.ledger import Odds
from tests.simulation.worker import Traits
from tests.simulation.world import Scenario, World

HONEST = Traits()
VILLAINS = (
    Traits(unit_ms=6_000),
    Traits(lies=0.6),
    Traits(malforms=0.5),
    Traits(withholds=0.5),
    Traits(vanishes=0.1),
    Traits(crashes=0.05, prefetches=True),
    Traits(repeats=0.5),
    Traits(prefetches=True),
    Traits(lies=0.2, vanishes=0.05, withholds=0.2, repeats=0.2),
)


def scenario(seed: int) -> Scenario:
    """A random job with random faults; at least two workers are honest."""
    random = Random(seed)
    villains = [random.choice(VILLAINS) for _ in range(random.randint(1, 4))]
    return Scenario(
        seed=seed,
        rounds=random.randint(1, 4),
        slots=random.randint(1, 6),
        workers=(HONEST, HONEST, *villains),
        faults_ms=random.choice((10_000, 40_000, 80_000)),
        loss=random.choice((0.0, 0.1, 0.3)),
        crash=random.choice((0.0, 0.02, 0.1, 0.1)),
        outage_ms=random.choice((1_000, 5_000, 60_000, 60_000)),
        hosts=random.choice((1, 2, 2)),
        odds=Odds(
            drawn=random.choice((1.0, 0.4, 0.0)),
            watched=random.choice((1.0, 1.0, 0.5)),
            auditor_silent=random.choice((0.0, 0.3)),
            auditor_lies=random.choice((0.0, 0.2)),
            worker_silent=random.choice((0.0, 0.1)),
            void=random.choice((0.0, 0.3)),
            frivolous=random.choice((0.0, 0.3)),
        ),
        thorough=seed % 50 == 0,
    )


def run(which: Scenario) -> World:
    print(f"seed {which.seed}: {which}")
    world = World(which)
    world.run()
    return world


def check_journals(world: World) -> None:
    """Each journal replays to the state that its node holds."""
    for host in world.hosts:
        if host.state is not None:
            assert digest(replay(host.journal).state) == digest(host.state)


@pytest.mark.parametrize("seed", range(200), ids=lambda seed: f"seed_{seed}")
def test_job_under_faults_completes_with_checkpoint_of_honest_results(seed: int) -> None:
    """Safety throughout (checked on the way) and liveness once faults stop."""
    which = scenario(seed)
    world = run(which)
    assert world.outcome is Outcome.COMPLETED, f"stuck after {world.loop.elapsed_ms} ms"
    check_journals(world)
    assert len(world.ledger.checkpoints) == which.rounds + 1
    if which.odds.watched == 1.0:
        assert world.ledger.checkpoints[-1] == truth.fault_free(which.rounds, which.slots)


@pytest.mark.parametrize("seed", range(20), ids=lambda seed: f"cancelled_{seed}")
def test_cancelled_job_ends_after_at_most_its_started_round(seed: int) -> None:
    """Whenever the submitter cancels; what was finalized stands."""
    which = replace(scenario(seed), rounds=4, cancel_ms=Random(seed).randrange(40_000))
    world = run(which)
    assert world.outcome in (Outcome.CANCELLED, Outcome.COMPLETED), "stuck"
    check_journals(world)
    open_round = world.ledger.open_round
    assert world.outcome is Outcome.COMPLETED or not world.ledger.batches.get(open_round)


@pytest.mark.parametrize("workers", [1, 3, 5])
def test_checkpoint_does_not_depend_on_the_number_of_workers(workers: int) -> None:
    """Alone, nobody can audit; the result is the same."""
    world = run(Scenario(seed=workers, rounds=2, slots=4, workers=(HONEST,) * workers))
    assert world.outcome is Outcome.COMPLETED
    assert world.ledger.checkpoints[-1] == truth.fault_free(2, 4)


@pytest.mark.parametrize("seed", [5, 77])
def test_run_is_replayable_from_its_seed(seed: int) -> None:
    """Same seed, same journals, to the byte."""
    first, second = run(scenario(seed)), run(scenario(seed))
    assert [host.journal for host in first.hosts] == [host.journal for host in second.hosts]
    assert first.loop.now_ms == second.loop.now_ms


def test_undrawn_lie_reaches_the_checkpoint() -> None:
    """The check above can fail: without audits a liar's results are combined."""
    liars = (Traits(lies=1.0),) * 2
    world = run(
        Scenario(seed=1, rounds=1, slots=4, workers=liars, odds=Odds(drawn=0.0, watched=0.0))
    )
    assert world.outcome is Outcome.COMPLETED
    assert world.ledger.checkpoints[-1] != truth.fault_free(1, 4)
