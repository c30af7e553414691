"""Churn on real processes: python -m benchmarks.churn [--json] [--only NAME ...] [--out FOLDER].

Each scenario runs the daemons of its peers on a chain of its own and trains the same job to the
end. Told are the digest of the last checkpoint, which must be that of a replay in one process,
the goodput (benchmarks/churn/measure.py) and the time. What a scenario gave is kept in
FOLDER/NAME.json and not run again unless --again says so; logs stay in FOLDER/NAME. Exit code 1
where a digest differs. All of them take about a quarter of an hour on two cores.
"""

import argparse
import json
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.churn.job import Settings, write
from benchmarks.churn.measure import data_shares, measure
from benchmarks.churn.network import open_network
from benchmarks.churn.scenarios import SCENARIOS, Run, Scenario
from engine.backend import open_backend
from engine.commitment import state_root
from node.bundle import assemble
from node.errors import NodeError
from node.ledger import JobState
from node.replay import replay

PATIENCE_S = 1800.0

Result = dict[str, Any]


def run_scenario(scenario: Scenario, folder: Path, job_file: Path, seed: int) -> Result:
    """One scenario from a new chain to the end of the job; NodeError where it does not end."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with open_network(folder) as network:
        plain = scenario.peers - len(scenario.environments)
        for environment in (*({} for _ in range(plain)), *scenario.environments):
            network.launch(network.add(environment))
        network.swarm.wait_until_up(peers=scenario.peers - 1)
        network.say(f"{scenario.title}: all up")
        job_id = network.submit(job_file)
        started = time.monotonic()
        run = Run(network, network.look(job_id), Random(seed))
        _follow(run, scenario)
        took_s = time.monotonic() - started
        cost, lost = measure(network, run.job)
        last = run.job.finalized[run.job.rounds - 1].checkpoint
        restarts_s = network.restarts_s
        shares = data_shares(network, assemble(job_file).manifest)
        return {
            "scenario": scenario.name,
            "title": scenario.title,
            "digest": last.hex(),
            "seconds": round(took_s, 1),
            "goodput": round(cost.goodput, 4),
            **{name: _rounded(value) for name, value in asdict(cost).items()},
            "restart_s_mean": round(sum(restarts_s) / len(restarts_s), 1) if restarts_s else None,
            "data_shares": [round(share, 3) for share in shares],
            "seed": seed,
            "facts": scenario.tells(run),
            "lost": lost,
        }


def _follow(run: Run, scenario: Scenario) -> None:
    """Look and act until the job is completed."""
    act = scenario.act(run)
    give_up = time.monotonic() + PATIENCE_S
    shown = -1
    while run.job.state is not JobState.COMPLETED:
        if time.monotonic() > give_up or run.job.is_over:
            raise NodeError(f"The job is {run.job.state} in round {run.job.open_round}.")
        next(act, None)
        run.job = run.network.look(run.job.job_id)
        if run.job.open_round != shown:
            shown = run.job.open_round
            run.network.say(f"round {shown}/{run.job.rounds}")


def _rounded(value: float) -> float:
    return round(value, 2) if isinstance(value, float) else value


def expected_digest(folder: Path) -> tuple[Path, str]:
    """The job's file, and the digest that a replay in this process gives; both are kept."""
    job_file, kept = folder / "job" / "job.toml", folder / "replay.json"
    settings = asdict(Settings())
    if kept.exists() and (known := json.loads(kept.read_text()))["settings"] == settings:
        return job_file, known["digest"]
    write(job_file.parent, Settings())
    digest = state_root(replay(assemble(job_file).job, open_backend()).state).hex()
    kept.write_text(json.dumps({"settings": settings, "digest": digest}))
    return job_file, digest


def table(results: list[Result], expected: str) -> str:
    """What a person reads."""
    head = ("digest", "goodput", "executed", "audits", "cut off", "repeated", "time")
    rows = [f"replay in one process: {expected}", "", _row("scenario", head)]
    for result in results:
        verdict = "equal" if result["digest"] == expected else "DIFFERENT"
        seconds = (f"{result[name]:.0f} s" for name in ("executed_s", "audits_s"))
        counts = (str(result[name]) for name in ("cut_off", "repeated"))
        goodput = f"{result['goodput']:.1%}"
        took = f"{result['seconds']:.0f} s"
        rows.append(_row(result["title"], (verdict, goodput, *seconds, *counts, took)))
        facts = result["facts"] | {"restart takes, mean of s": result["restart_s_mean"]}
        parts = [share for share in result["data_shares"] if share < 1]
        if parts:
            least, most = min(parts), max(parts)
            facts["chunks of the data at peers that keep only windows"] = (
                f"{least:.0%} to {most:.0%}"
            )
        rows += [f"    {name}: {value}" for name, value in facts.items() if value is not None]
        rows += [f"    for nothing: {line}" for line in result["lost"]]
    return "\n".join(rows)


def _row(title: str, cells: Sequence[str]) -> str:
    return f"{title:<44}" + "".join(f"{cell:>10}" for cell in cells)


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def main() -> int:
    """Run what was asked for; the exit code."""
    names = [scenario.name for scenario in SCENARIOS]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.churn", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument("--only", nargs="+", choices=names, default=names)
    parser.add_argument("--out", type=Path, default=Path(".churn"), help="logs and results")
    parser.add_argument("--again", action="store_true", help="run also what has a result")
    parser.add_argument("--seed", type=int, default=1, help="which peers are killed")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, _interrupt)
    options.out.mkdir(parents=True, exist_ok=True)
    job_file, expected = expected_digest(options.out.resolve())
    results = []
    for scenario in SCENARIOS:
        kept = options.out / f"{scenario.name}.json"
        if scenario.name in options.only and (options.again or not kept.exists()):
            folder = options.out.resolve() / scenario.name
            result = run_scenario(scenario, folder, job_file, options.seed)
            kept.write_text(json.dumps(result, indent=1))
        if scenario.name in options.only:
            results.append(json.loads(kept.read_text()))
    same = all(result["digest"] == expected for result in results)
    report = {"replay": expected, "equal": same, "scenarios": results}
    print(json.dumps(report) if options.json else table(results, expected))
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
