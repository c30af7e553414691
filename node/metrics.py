"""A job's metrics as rows: of every step from the units' results, of every round its evaluation.

Rounds count from 1 and so do steps, slots from 0, as everywhere that people read. A value that is
not finite is None: JSON knows no NaN.
"""

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from node.bundle import State
from node.errors import BadInput
from scheduler.contract import METRIC

Row = dict[str, int | float | str | None]


@dataclass(frozen=True, slots=True)
class RoundMetrics:
    """A final round, counted from 0: its results in slot order, as far as they are known, and its
    evaluation. `recomputed`: evaluated here, not told by the round's coordinator.
    """

    round: int
    results: Sequence[State]
    evaluation: Mapping[str, float]
    recomputed: bool = False


def rows_of(rounds: Iterable[RoundMetrics]) -> Iterator[Row]:
    """A row per slot and step, and after those of a round its evaluation."""
    for known in rounds:
        for slot, result in enumerate(known.results):
            steps = {name.removeprefix(METRIC): v for name, v in result.items() if _is_metric(name)}
            count = min((len(values) for values in steps.values()), default=0)
            for step in range(count):
                values = {name: _plain(float(v[step])) for name, v in sorted(steps.items())}
                yield {"round": known.round + 1, "slot": slot, "step": step + 1, **values}
        if known.evaluation:
            by = "recomputed" if known.recomputed else "told"
            values = {name: _plain(value) for name, value in sorted(known.evaluation.items())}
            yield {"round": known.round + 1, "evaluation": by, **values}


def jsonl(rows: Iterable[Row]) -> bytes:
    """One JSON object a line."""
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def picture(rounds: Sequence[RoundMetrics], steps: int, title: str) -> bytes:
    """The loss as a PNG: every step's mean and range over the slots, and each round's evaluation.

    Needs matplotlib: BadInput with the remedy where it is missing.
    """
    figure = _figure()
    axes = figure.subplots()
    name = _curve_name(rounds)
    for known in rounds:
        curves = [r[METRIC + name] for r in known.results if METRIC + name in r]
        if curves:
            at = known.round * steps + np.arange(1, len(curves[0]) + 1)
            values = np.stack(curves).astype(np.float64)
            axes.plot(at, values.mean(axis=0), color="C0", linewidth=1)
            low, high = values.min(axis=0), values.max(axis=0)
            axes.fill_between(at, low, high, color="C0", alpha=0.2, linewidth=0)
    told = [known for known in rounds if name in known.evaluation]
    places = [(known.round + 1) * steps for known in told]
    axes.plot(places, [known.evaluation[name] for known in told], "C1o-", label="evaluation")
    axes.plot([], [], color="C0", label="training: mean and range over the slots")
    axes.set(title=title, xlabel=f"steps of a slot ({steps} a round)", ylabel=name)
    axes.legend()
    return _png(figure)


def _curve_name(rounds: Sequence[RoundMetrics]) -> str:
    names = {name for known in rounds for name in known.evaluation}
    for known in rounds:
        names |= {n.removeprefix(METRIC) for r in known.results for n in r if _is_metric(n)}
    if not names:
        raise BadInput("No metric of this job is known to any peer: there is nothing to draw.")
    return "loss" if "loss" in names else min(names)


def _figure() -> Any:
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise BadInput(
            "A picture needs matplotlib, which is not installed.", "pip install 'ainur[plot]'"
        ) from None
    return Figure(figsize=(8, 5), dpi=120, layout="constrained")


def _png(figure: Any) -> bytes:
    from io import BytesIO

    file = BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()


def _is_metric(name: str) -> bool:
    return name.startswith(METRIC)


def _plain(value: float) -> float | None:
    return value if math.isfinite(value) else None
