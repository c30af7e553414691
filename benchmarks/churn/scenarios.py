"""The scenarios: who takes part in a job, and what happens to them meanwhile.

All train the same job, so the digest of the last checkpoint must be the same in all of them, and
that of a replay in one process. An `Act` is called again and again while the job runs.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from random import Random

from benchmarks.churn.network import Network
from benchmarks.churn.node import SHIFT_VARIABLE
from benchmarks.churn.worker import SLOWNESS_VARIABLE
from node.chain import events as on_chain
from node.ledger import JobView

PEERS = 8
KILL_EVERY_S = 15.0
SLOWNESS = 10
CLOCK_SHIFTS_S = (5 * 3600, -5 * 3600)

Act = Iterator[None]
"""Runs up to the next `yield` at every look; ends when it has done its part."""

Facts = dict[str, object]


@dataclass(slots=True)
class Run:
    """A job under way on a network; `facts` is what a scenario has to tell."""

    network: Network
    job: JobView
    chance: Random
    facts: Facts = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Scenario:
    """`peers` daemons from the start, and what is done to them. `environments` are those of the
    last ones; `tells` reads what is worth telling when the job is over.
    """

    name: str
    title: str
    peers: int = PEERS
    act: Callable[[Run], Act] = lambda _run: iter(())
    environments: tuple[dict[str, str], ...] = ()
    tells: Callable[[Run], Facts] = lambda run: run.facts


def _kill_at_random(run: Run) -> Act:
    """Kill -9 a random peer every KILL_EVERY_S seconds; it is started again at once."""
    kills = 0
    of_coordinator = 0
    next_at = time.monotonic() + KILL_EVERY_S
    while True:
        if time.monotonic() >= next_at:
            next_at += KILL_EVERY_S
            victim = run.chance.choice(run.network.homes)
            kills += 1
            of_coordinator += run.network.address(victim) == run.job.holder
            run.network.say(f"kill -9 {victim.path.name}")
            run.network.kill(victim, restart=True)
            run.facts |= {"kills": kills, "of them the coordinator": of_coordinator}
        yield


def _join_half_way(run: Run) -> Act:
    """A new bonded peer starts when half of the rounds are final."""
    while run.job.open_round < run.job.rounds // 2:
        yield
    home = run.network.add()
    run.network.launch(home)
    run.facts["started in round"] = run.job.open_round
    run.network.say(f"{home.path.name} starts")
    while run.network.swarm.status(home) is None:
        yield
    run.facts["answered in round"] = run.job.open_round
    run.facts["wallet"] = run.network.address(home)


def _tell_joiner(run: Run) -> Facts:
    """In which round its first unit was, and where its checkpoint came from."""
    wallet = run.facts.pop("wallet", "")
    first = [
        event.round
        for event in run.job.log
        if isinstance(event, on_chain.RoundCommitted)
        and any(claim.worker == wallet for claim in event.claims)
    ]
    log = (run.network.homes[-1].logs / "node.log").read_text()
    fetched = [line for line in log.splitlines() if " chunks from " in line]
    return run.facts | {
        "first unit in round": min(first, default=None),
        "fetched": [line.split("blob ", 1)[-1] for line in fetched],
    }


def _bury_coordinator(run: Run) -> Act:
    """Kill -9 the coordinator for good when half of the rounds are final."""
    while run.job.open_round < run.job.rounds // 2 or not run.job.holder:
        yield
    dead = run.job.holder
    run.facts["killed in round"] = run.job.open_round
    run.network.kill(run.network.home_of(dead), restart=False)
    run.network.say("the coordinator is gone for good")
    killed_at = time.monotonic()
    while run.job.holder == dead:
        yield
    run.facts["another took the lease after_s"] = round(time.monotonic() - killed_at, 1)
    run.network.say("another took the lease")


SCENARIOS = (
    Scenario("one", "1 peer", peers=1),
    Scenario("eight", "8 peers"),
    Scenario("kills", "8 peers, a random one killed -9 every 15 s", act=_kill_at_random),
    Scenario(
        "slow",
        "8 peers, one at a tenth of the speed",
        environments=({SLOWNESS_VARIABLE: str(SLOWNESS)},),
    ),
    Scenario(
        "joiner", "7 peers, another joins half-way", PEERS - 1, _join_half_way, tells=_tell_joiner
    ),
    Scenario("successor", "8 peers, the coordinator dies for good", act=_bury_coordinator),
    Scenario(
        "clocks",
        "8 peers, one clock 5 h fast, one 5 h slow",
        environments=tuple({SHIFT_VARIABLE: str(shift)} for shift in CLOCK_SHIFTS_S),
    ),
)
