"""Tables and curves of benchmarks.training's results: `python -m benchmarks.training_report FILE`.

Every variant stands beside the carried float32 run of equal M and H, seed by seed: the ratio of the
losses, its mean and its range over the seeds that both have. --plot writes the curves as a picture.
"""

import argparse
import json
import sys
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from benchmarks.training_variants import REFERENCE_NAMES, VARIANTS

Runs = dict[str, dict[int, dict[str, Any]]]
"""By name and seed."""

SHOWN = ("carried, float32 deltas", "default", "reset", "reset, re-warm-up", "factored")


def read(path: Path) -> Runs:
    """The finished runs of a results file; of one that was repeated the last."""
    runs: Runs = {}
    for line in path.read_text().splitlines():
        try:
            run = json.loads(line)
        except ValueError:
            continue  # cut off
        runs.setdefault(run["name"], {})[run["seed"]] = run
    return runs


def row(name: str, runs: Runs) -> dict[str, Any]:
    """One variant's figures: final losses by seed, and their ratio to the reference's."""
    own = {seed: run["final"] for seed, run in sorted(runs.get(name, {}).items())}
    reference = runs.get(REFERENCE_NAMES.get(name, ""), {})
    ratios = [loss / reference[seed]["final"] for seed, loss in own.items() if seed in reference]
    return {
        "name": name,
        "losses": list(own.values()),
        "mean": mean(own.values()) if own else None,
        "spread": stdev(own.values()) if len(own) > 1 else None,
        "ratio": mean(ratios) if ratios else None,
        "ratios": ratios,
    }


def table(rows: list[dict[str, Any]]) -> str:
    """The rows in Markdown; a variant without a finished run is left out."""
    lines = ["| variant | seeds | loss | ± | to carried float32 |", "|---|---|---|---|---|"]
    for r in rows:
        if r["mean"] is None:
            continue
        spread = f"{r['spread']:.4f}" if r["spread"] is not None else ""
        ratio = f"{100 * (r['ratio'] - 1):+.2f}%" if r["ratio"] else ""
        if len(r["ratios"]) > 1:
            low, high = (100 * (f(r["ratios"]) - 1) for f in (min, max))
            ratio += f" ({low:+.2f} to {high:+.2f})"
        lines.append(f"| {r['name']} | {len(r['losses'])} | {r['mean']:.4f} | {spread} | {ratio} |")
    return "\n".join(lines)


def plot(runs: Runs, path: Path) -> None:
    """The held-out loss after every round, seed 0: beside the reference, and with a liar."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    curves = {name: runs[name][0]["curve"] for name in runs if 0 in runs[name]}
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    for name in (name for name in SHOWN if name in curves):
        pairs = zip(curves[name], curves[REFERENCE_NAMES[name]], strict=True)
        change = [100 * (ours / reference - 1) for ours, reference in pairs]
        left.plot(range(1, len(change) + 1), change, marker=".", label=name)
    left.set(title="what a unit begins with", ylabel="loss, % above carried float32")
    for name in ("default", *(v.name for v in VARIANTS if v.lie)):
        if name in curves:
            right.plot(range(1, len(curves[name]) + 1), curves[name], marker=".", label=name)
    right.set(title="one of eight slots lies in every round", ylabel="loss, nats per character")
    for axis in (left, right):
        axis.set(xlabel="round of 100 steps")
        axis.legend(fontsize="small")
        axis.grid(alpha=0.3)
    figure.savefig(path, dpi=110)


def main() -> None:
    """Parse the arguments, print, draw."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training_report")
    parser.add_argument("results", type=Path)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--plot", type=Path, help="write the curves here (PNG)")
    options = parser.parse_args()
    runs = read(options.results)
    rows = [row(variant.name, runs) for variant in VARIANTS]
    print(json.dumps(rows) if options.json else table(rows))
    if options.plot:
        plot(runs, options.plot)


if __name__ == "__main__":
    sys.exit(main())
