"""What a coordinator costs: `python -m benchmarks.scheduler [--json] [--picture FILE]`.

Two measurements with the real state machine, one core, journal records encoded:

- 100 jobs at once with 64 slots each (the most that the ledger takes), and 10,000 peers, each of
  which serves 10 of the jobs, with `--everywhere` all of them: assignments a second, peak memory;
- one job with 100 to 10,000 peers, the same mix of events: the cost of an event, and how it grows.
"""

import argparse
import json
import math
import resource
from collections.abc import Sequence
from pathlib import Path
from time import process_time

from benchmarks.scheduler_load import Factory, Load, names

SLOTS = 64
PEERS, JOBS, JOBS_EACH = 10_000, 100, 10
SIZES = (100, 300, 1_000, 3_000, 10_000)
REPEATS, ASSIGNMENTS = 5, 1_000
Results = dict[str, object]


def many_jobs(peers: int, jobs: int, each: int, assignments: int, make: Factory = Load) -> Results:
    """Every peer at `each` of the jobs; so many units assigned, the jobs in turn."""
    crowd = names(peers)
    began = process_time()
    loads = [
        make(job, SLOTS, [crowd[i] for i in range(peers) if (i - job) % jobs < each])
        for job in range(jobs)
    ]
    joined = process_time()
    for load in loads:
        load.seconds.clear()
        load.events.clear()
    while sum(load.assigned for load in loads) < assignments:
        for load in loads:
            load.step()
    seconds = sum(sum(load.seconds.values()) for load in loads)
    assigned = sum(load.assigned for load in loads)
    return {
        "peers": peers,
        "jobs": jobs,
        "jobs_each": each,
        "assignments": assigned,
        "declined": sum(load.declined for load in loads),
        "rounds": sum(load.rounds for load in loads),
        "events": sum(sum(load.events.values()) for load in loads),
        "machine_s": round(seconds, 2),
        "assignments_per_s": round(assigned / seconds),
        "with_the_playing_per_s": round(assigned / (process_time() - joined)),
        "joining_s": round(joined - began, 2),
        "journal_bytes_per_assignment": round(sum(x.record_bytes for x in loads) / assigned),
        "peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def event_costs(sizes: Sequence[int], assignments: int, make: Factory = Load) -> list[Results]:
    """The mean cost of an event at one job with so many peers, in microseconds, best of repeats.

    The sizes take turns, so that what else the machine does falls on all of them alike.
    """
    loads = {size: make(0, SLOTS, names(size)) for size in sizes}
    best: dict[int, Results] = {}
    for _ in range(REPEATS):
        for size, load in loads.items():
            row = _event_cost(load, assignments)
            if size not in best or float(str(row["event_us"])) < float(str(best[size]["event_us"])):
                best[size] = {"peers": size, **row}
    return list(best.values())


def _event_cost(load: Load, assignments: int) -> Results:
    load.seconds.clear()
    load.events.clear()
    until = load.assigned + assignments
    while load.assigned < until:
        load.step()
    seconds, events = load.seconds, load.events
    by_kind = {kind: round(seconds[kind] / events[kind] * 1e6, 1) for kind in sorted(events)}
    mean_us = round(sum(seconds.values()) / sum(events.values()) * 1e6, 2)
    return {"event_us": mean_us, "by_kind_us": by_kind}


def fit(sizes: list[int], costs: list[float]) -> tuple[float, float]:
    """Least squares of cost = a + b ln(peers): a and b."""
    logs = [math.log(size) for size in sizes]
    mean_x, mean_y = sum(logs) / len(logs), sum(costs) / len(costs)
    spread = sum((x - mean_x) ** 2 for x in logs)
    b = sum((x - mean_x) * (y - mean_y) for x, y in zip(logs, costs, strict=True)) / spread
    return mean_y - b * mean_x, b


def growth(rows: list[Results]) -> Results:
    """How the cost of an event grows with the number of peers, against the logarithm."""
    sizes, costs = (
        [int(str(row["peers"])) for row in rows],
        [float(str(r["event_us"])) for r in rows],
    )
    a, b = fit(sizes, costs)
    return {
        "fit_us": f"{a:.2f} + {b:.2f} ln(peers)",
        "worst_residual_us": round(
            max(abs(c - a - b * math.log(n)) for n, c in zip(sizes, costs, strict=True)), 2
        ),
        "ratio": round(costs[-1] / costs[0], 2),
        "ratio_of_logarithms": round(math.log(sizes[-1]) / math.log(sizes[0]), 2),
    }


def draw(path: Path, rows: list[Results], fitted: tuple[float, float]) -> None:
    """The measured costs over the number of peers, with the fit, as a picture."""
    from matplotlib.figure import Figure

    sizes, costs = (
        [int(str(row["peers"])) for row in rows],
        [float(str(r["event_us"])) for r in rows],
    )
    figure = Figure(figsize=(6.4, 4))
    axes = figure.subplots()
    axes.plot(sizes, costs, "o", label="measured")
    axes.plot(sizes, [fitted[0] + fitted[1] * math.log(n) for n in sizes], "-", label="a + b ln n")
    axes.set(
        xscale="log", xlabel="peers of one job", ylabel="one event, µs", ylim=(0, 1.5 * max(costs))
    )
    axes.legend()
    figure.savefig(path, dpi=110, bbox_inches="tight")


def main() -> None:
    """Measure, print, and draw if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON document")
    parser.add_argument("--picture", type=Path, help="write the growth as a picture")
    parser.add_argument("--assignments", type=int, default=20_000, help="at the many jobs")
    parser.add_argument("--everywhere", action="store_true", help="every peer serves every job")
    arguments = parser.parse_args()
    each = JOBS if arguments.everywhere else JOBS_EACH
    rows = event_costs(SIZES, ASSIGNMENTS)
    crowd = many_jobs(PEERS, JOBS, each, arguments.assignments)
    result: Results = {"many_jobs": crowd, "one_job": rows, "growth": growth(rows)}
    if arguments.picture is not None:
        costs = [float(str(row["event_us"])) for row in rows]
        draw(arguments.picture, rows, fit(list(SIZES), costs))
    print(json.dumps(result, indent=None if arguments.json else 2))


if __name__ == "__main__":
    main()
