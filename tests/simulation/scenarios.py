"""Random scenarios, one for each seed, and what must be true when their runs have ended."""

from random import Random

from node.chain.types import UnitStatus
from node.ledger import Ledger as View
from node.unit_history import history_of
from scheduler.commands import RecoverResult
from scheduler.coordinator import digest, pending, replay
from tests.simulation import truth
from tests.simulation.faults import Scenario, Traits, Weather
from tests.simulation.laws import Law, require
from tests.simulation.ledger import DONE, Unit
from tests.simulation.world import World

HONEST = Traits()
WATCHFUL = Traits(watches=1.0)
VILLAINS = (
    Traits(unit_ms=6_000),
    Traits(lies=0.6),
    Traits(lies=1.0),
    Traits(malforms=0.5),
    Traits(withholds=0.5),
    Traits(vanishes=0.1),
    Traits(crashes=0.05),
    Traits(repeats=0.5),
    Traits(unit_ms=3_000),
    Traits(lies=0.2, vanishes=0.05, withholds=0.2, repeats=0.2),
    Traits(opens_late=0.5),
    Traits(lies=0.5, withdraws=0.5),
    Traits(audits_silent=0.5, votes_silent=0.5),
    Traits(audits_wrong=0.3),
    Traits(accuses=0.3),
)
PAIR = Traits(lies=0.5, colludes=True)


def scenario(seed: int) -> Scenario:
    """A random job with random faults; at least four workers are honest."""
    random = Random(seed)
    pick = random.choice
    villains = [pick(VILLAINS) for _ in range(random.randint(1, 3))]
    villains += [PAIR, PAIR] if random.random() < 0.2 else []
    watcher = pick((HONEST, WATCHFUL, WATCHFUL, Traits(watches=0.5)))
    byzantine = Traits(leaves_out=pick((0.0, 0.0, 0.0, 0.3)))
    return Scenario(
        seed=seed,
        rounds=random.randint(1, 3),
        slots=random.randint(1, 6),
        workers=(HONEST, HONEST, HONEST, watcher, *villains),
        hosts=pick(((byzantine,), (HONEST, byzantine), (byzantine, HONEST))),
        faults_ms=pick((20_000, 60_000, 90_000)),
        clean_units=pick((0, 5, 30)),
        probation=pick((1, 3, 100)),
        floor_bps=pick((1_000, 5_000, 10_000)),
        confirmations=pick((2, 2, 3)),
        weather=Weather(
            loss=pick((0.0, 0.1, 0.3)),
            duplicate=pick((0.0, 0.1, 0.3)),
            delay_ms=pick((50, 200, 2_000)),
            partition=pick((0.0, 0.1, 0.3)),
            out_of_gas=pick((0.0, 0.05, 0.2)),
            stuck=pick((0.0, 0.05, 0.1)),
            fork=pick((0.0, 0.03, 0.1)),
            crash=pick((0.0, 0.02, 0.1)),
            kill=pick((0.0, 0.0, 0.01)),
            disk_slow=pick((0.0, 0.05)),
            disk_full=pick((0.0, 0.02)),
            outage_ms=pick((1_000, 5_000, 40_000)),
        ),
        lock_prices=pick((1, 3, 3, 9)),
        thorough=seed % 50 == 0,
    )


def run(which: Scenario) -> World:
    """The run, with every law checked on the way and at its end."""
    world = World(which)
    world.run()
    check_end(world)
    return world


def check_end(world: World) -> None:
    """Liveness, and what can only be said of a whole run."""
    if not world.over and stalled_by_a_lie(world):
        world.faults["stalled by an escaped lie after a change of coordinators"] += 1
        return
    require(world.over, Law.CLOSES, f"stuck in round {world.chain.state.ledger.open_round}")
    for host in world.hosts:
        if host.alive and host.state is not None:
            same = digest(replay(host.journal).state) == digest(host.state)
            require(same, Law.REPLAY, f"the journal of {host.name} leads elsewhere")
    state = world.chain.state
    if world.scenario.cancel_ms is None:
        rounds = state.ledger.open_round
        require(rounds == world.scenario.rounds, Law.CLOSES, f"{rounds} rounds are final")
    check_lies(world)
    check_pay(world)
    settle(world)


def stalled_by_a_lie(world: World) -> bool:
    """Whether a coordinator misses the result of a lie that its predecessor put on chain.

    A known limit: neither drawn nor challenged in time, the lie counts, and its bytes are with its
    worker and with the coordinator that is gone.
    """
    state = world.chain.state
    for host in world.hosts:
        commands = pending(host.state) if host.working and host.state is not None else ()
        for command in commands:
            if isinstance(command, RecoverResult):
                ref = command.unit
                unit = state.ledger.units[truth.unit_id(ref.round, ref.slot, ref.attempt)]
                late = unit.status in DONE and state.env.time_s > unit.deadline_s
                if late and not state.ledger.honest(unit):
                    return True
    return False


def escaped(world: World) -> list[Unit]:
    """Wrong units that counted."""
    ledger = world.chain.state.ledger
    units = [u for u in ledger.units.values() if u.round < ledger.open_round]
    return [u for u in units if u.status in DONE and not ledger.honest(u)]


def check_lies(world: World) -> None:
    """Without a lie that escaped the checkpoint is the fault-free one; none escapes unless it was
    neither drawn nor challenged, or those who looked were silent or accomplices.
    """
    ledger, lies = world.chain.state.ledger, escaped(world)
    for unit in lies:
        require(not unit.disputed, Law.CAUGHT, f"the jury upheld a lie: {unit}")
        seen = unit.drawn and unit.audit_root and not _accomplices(world, unit)
        require(not seen, Law.CAUGHT, f"an honest auditor verified a lie: {unit}")
    if not lies:
        right = truth.fault_free(ledger.open_round, world.scenario.slots)
        require(ledger.checkpoints[-1] == right, Law.CHECKPOINT, "it is not the fault-free one")


def _accomplices(world: World, unit: Unit) -> bool:
    pair = (world.by_wallet[unit.worker], world.by_wallet[unit.auditor])
    return all(peer.traits.colludes for peer in pair)


def check_pay(world: World) -> None:
    """The node's own fold explains every wei, and honest units were not slashed without cause."""
    view = View(whole_logs=True)
    for block in world.chain.blocks:
        for event in block.events:
            view.apply(event)
    history = history_of(view.jobs[truth.JOB])
    for final in history.rounds:
        require(not final.unexplained, Law.PAID, f"{final} is not explained")
    paid = {(u.round, u.slot) for u in history.units if u.paid.get(u.worker)}
    rounds, slots = len(history.rounds), world.scenario.slots
    require(len(paid) == rounds * slots, Law.PAID, f"{len(paid)} slots of {rounds} rounds are paid")
    ledger = world.chain.state.ledger
    for unit in ledger.units.values():
        blamed = unit.status is UnitStatus.FAULTED and unit.unit_root and ledger.honest(unit)
        require(not blamed, Law.PAID, f"an honest, opened unit was faulted: {unit}")
    for receipt in world.falsified - world.proved:
        world.faults["left out, not proved"] += receipt is not None


def settle(world: World) -> None:
    """The books are closed: rewards claimed, the rest refunded, nothing left."""
    state = world.chain.state
    if not state.escrow.settled:
        state.escrow.settle(state.ledger.started)
    for account in sorted(state.escrow.rewards):
        state.escrow.claim(account)
    state.env.events.clear()
    state.env.time_s += state.env.rules.challenge_s + 1
    for place, batch in state.ledger.history.items():
        state.ledger.release_locks("anyone", truth.JOB, *place, batch.claims)
    state.watch.block(state.env.events, state.ledger)
    require(state.escrow.held == 0, Law.MONEY, f"{state.escrow.held} wei stay in the escrow")
