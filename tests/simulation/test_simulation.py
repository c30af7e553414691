"""Whole jobs under faults: whatever happens, the checkpoint is the fault-free one.

Every run prints its seed; `pytest tests/simulation -k "seed_17"` runs one again, exactly.
"""

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
            drawn=random.choice((1.0, 1.0, 0.4)),
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
    if which.odds.drawn == 1.0:
        assert world.ledger.checkpoints[-1] == truth.fault_free(which.rounds, which.slots)
