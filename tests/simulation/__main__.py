"""Many simulated jobs: `python -m tests.simulation --seeds 10000`.

    --first N       the first seed; to go on where a run was stopped, the seed that it printed
    --seed N        one seed alone, with its scenario, its faults and the error in full
    --processes N   how many run at once

Prints progress, the seeds that failed, and how often each fault happened. Exit code 1 if one
failed, else 0.
"""

import argparse
import gc
import json
import logging
import multiprocessing
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from math import sqrt

from tests.simulation.laws import Violation
from tests.simulation.scenarios import escaped, run, scenario
from tests.simulation.world import World

EVERY, COLLECT_EVERY = 100, 20


@dataclass
class Tally:
    """What a number of seeds came to."""

    runs: int = 0
    failed: dict[int, str] = field(default_factory=dict)
    faults: Counter[str] = field(default_factory=Counter)
    work: Counter[str] = field(default_factory=Counter)
    lies: int = 0
    missed: int = 0
    expected: float = 0.0
    variance: float = 0.0

    def add(self, other: "Tally") -> None:
        self.runs += other.runs
        self.failed |= other.failed
        self.faults += other.faults
        self.work += other.work
        self.lies += other.lies
        self.missed += other.missed
        self.expected += other.expected
        self.variance += other.variance

    @property
    def deviation(self) -> float:
        """How far the share of lies that were not drawn is from the formula, in its deviations."""
        return (self.missed - self.expected) / sqrt(self.variance) if self.variance else 0.0


def tally(world: World) -> Tally:
    """Count one run. Lies of captured batches count, whatever became of them."""
    ledger, counted = world.chain.state.ledger, Tally(1, faults=Counter(world.faults))
    for unit in ledger.units.values():
        counted.work["units on chain"] += 1
        counted.work[f"units {unit.status.name.lower().replace('_', ' ')}"] += 1
        if unit.rate and not ledger.honest(unit):
            counted.lies += 1
            counted.missed += not unit.drawn
            counted.expected += 1 - unit.rate
            counted.variance += unit.rate * (1 - unit.rate)
    counted.work["rounds"] += ledger.open_round
    counted.work["lies that escaped"] += len(escaped(world))
    counted.work["simulated seconds"] += world.loop.elapsed_ms // 1000
    counted.work["disputes"] += len(ledger.committee.disputes)
    counted.work["receipted units left out, proved"] += len(world.proved & world.falsified)
    return counted


def attempt(seed: int) -> Tally:
    """One seed; a broken law or any other error is its failure."""
    logging.disable(logging.CRITICAL)
    if seed % COLLECT_EVERY == 0:
        # A world is full of cycles; collecting them all the time costs more than keeping a few.
        gc.disable()
        gc.collect()
    try:
        return tally(run(scenario(seed)))
    except Violation as broken:
        return Tally(1, {seed: str(broken)})
    except Exception as error:  # noqa: BLE001 - a seed that breaks a double is a failure too
        return Tally(1, {seed: f"{type(error).__name__}: {error}"})


def attempts(seeds: Iterable[int], processes: int) -> Iterator[Tally]:
    """The tallies in the order of the seeds."""
    if processes == 1:
        yield from map(attempt, seeds)
        return
    with multiprocessing.Pool(processes, signal.signal, (signal.SIGINT, signal.SIG_IGN)) as pool:
        yield from pool.imap(attempt, seeds, chunksize=4)


def one(seed: int) -> int:
    """One seed with everything that is known about it."""
    which = scenario(seed)
    print(which)
    world = World(which)
    try:
        counted = tally(run(which))
    except Violation as broken:
        print(broken)
        return 1
    print(json.dumps(vars(counted), indent=2))
    return int(world.scenario.seed != seed)


def main() -> int:
    """Run the seeds that the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--processes", type=int, default=1)
    arguments = parser.parse_args()
    if arguments.seed is not None:
        return one(arguments.seed)
    seeds = range(arguments.first, arguments.first + arguments.seeds)
    return summary(follow(seeds, arguments.processes))


def follow(seeds: range, processes: int) -> Tally:
    """Run seeds and say how it goes; ends early, with what there is, when it is interrupted."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    total, began = Tally(), time.monotonic()
    try:
        for seed, counted in zip(seeds, attempts(seeds, processes), strict=True):
            total.add(counted)
            for broken in counted.failed.values():
                print(f"seed {seed} FAILED: {broken}", flush=True)
            if total.runs % EVERY == 0:
                pace_ms = 1000 * (time.monotonic() - began) / total.runs
                print(
                    f"{total.runs} of {len(seeds)} seeds, {len(total.failed)} failed, "
                    f"{pace_ms:.0f} ms a seed; next --first {seed + 1}",
                    flush=True,
                )
    except KeyboardInterrupt:
        print(f"interrupted; next --first {seeds.start + total.runs}")
    return total


def summary(total: Tally) -> int:
    """Print what it came to; the exit code."""
    for name, counts in (("faults", total.faults), ("work", total.work)):
        print(f"\n{name}:")
        for what, count in sorted(counts.items()):
            print(f"  {count:9,}  {what}")
    print(
        f"\n{total.lies} lies on chain, {total.missed} not drawn; the formula expects "
        f"{total.expected:.1f}, which is {total.deviation:+.2f} deviations away"
    )
    print(f"{total.runs} seeds, {len(total.failed)} failed: {sorted(total.failed)}")
    return int(bool(total.failed))


if __name__ == "__main__":
    sys.exit(main())
