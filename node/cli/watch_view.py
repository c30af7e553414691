"""How `job watch` shows what it knows: a screen that is redrawn, lines in a pipe, or JSON."""

import json
import math
import sys
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Self

from node.cli.chart import chart
from node.cli.output import emit_json, note
from node.tokens import Token

if TYPE_CHECKING:
    from rich.live import Live

Document = Mapping[str, object]


class View:
    """A context manager; `show` is called with every look, and shows what has changed.

    At the end, and before it on a terminal, the whole curve is drawn. JSON goes to stdout, a
    document a line, with the evaluation of each round in the first document that knows it.
    """

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._curve: dict[int, float] = {}
        self._name = ""
        self._shown = ""
        self._live: Live | None = None

    def __enter__(self) -> Self:
        if not self._as_json and sys.stderr.isatty():
            from rich.console import Console
            from rich.live import Live

            self._live = Live(console=Console(stderr=True, highlight=False), auto_refresh=False)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()
        elif not self._as_json:
            for line in self._drawn():
                note(line)

    def show(self, document: Document, new: Mapping[int, Mapping[str, float]]) -> None:
        """Show a look at the job; `new` are evaluations of rounds, counted from 0."""
        for round, metrics in new.items():
            self._enter(round, metrics)
        if self._as_json:
            self._show_json(document, new)
            return
        if self._live is not None:
            from rich.text import Text

            lines = [*self._drawn(), *lines_of(document)]
            self._live.update(Text("\n".join(lines)), refresh=True)
            return
        line = " | ".join(lines_of(document))
        if line != self._shown:
            self._shown = line
            note(line)

    def _enter(self, round: int, metrics: Mapping[str, float]) -> None:
        """The curve is that of the loss, or of the first metric where there is none."""
        if not self._name and metrics:
            self._name = "loss" if "loss" in metrics else min(metrics)
        if self._name in metrics:
            self._curve[round] = metrics[self._name]

    def _drawn(self) -> list[str]:
        if not self._curve:
            return []
        rounds = sorted(self._curve)
        title = f"{self._name} after rounds {rounds[0] + 1} to {rounds[-1] + 1}"
        return [title, *chart([self._curve[round] for round in rounds])]

    def _show_json(self, document: Document, new: Mapping[int, Mapping[str, float]]) -> None:
        text = json.dumps({key: v for key, v in document.items() if key != "eta_s"}, default=str)
        if text == self._shown and not new:
            return
        self._shown = text
        rounds = [{"round": round + 1} | _plain(metrics) for round, metrics in new.items()]
        emit_json({**document, "new_rounds": rounds})
        sys.stdout.flush()


def _plain(metrics: Mapping[str, float]) -> dict[str, float | None]:
    """Metrics as JSON has them: it knows no NaN and no infinity."""
    return {name: value if math.isfinite(value) else None for name, value in metrics.items()}


def lines_of(document: Document) -> list[str]:
    """What is known now, in the words of the glossary."""
    lines = [_where(document), _money(document)]
    if document["not_finite"]:
        lost = ", ".join(_names(document["not_finite"]))
        lines.append(
            f"{lost} is not a finite number any more: more rounds will hardly mend that; "
            "`ainur job cancel` saves what is not spent"
        )
    lines += _uncounted(document)
    if document["state"] == "funded" and document["waiting"]:
        lines.append(str(document["waiting"]))
    return lines


def _uncounted(document: Document) -> list[str]:
    """What became of units whose results are no finite numbers: they count for nothing.

    `counted` is what the Programs of scheduler/diloco.py report; other jobs need not.
    """
    metrics, of = document["metrics"], document["round_slots"]
    assert isinstance(metrics, dict)
    assert isinstance(of, int)
    counted = metrics.get("counted")
    if not document["round"] or counted is None or counted >= of:
        return []
    if counted <= 0:
        return [
            f"none of the last round's {of} units counted: their results are not finite numbers "
            "(a loss that is NaN does that), so the weights stay as they are; more rounds will "
            "hardly mend that; `ainur job cancel` saves what is not spent"
        ]
    return [
        f"{of - counted:.0f} of the last round's {of} units counted for nothing: their results "
        "are not finite numbers; a lower rate may mend that in another job"
    ]


def _where(document: Document) -> str:
    metrics, slots, eta_s = document["metrics"], document["slots"], document["eta_s"]
    assert isinstance(metrics, dict)
    assert isinstance(slots, dict)
    parts = [f"{document['state']}: round {document['round']}/{document['rounds']}"]
    parts += [f"{document['anchored']} more anchored"] if document["anchored"] else []
    parts += [" ".join(f"{count} {name}" for name, count in slots.items())]
    parts += [" ".join(f"{name} {value:.4f}" for name, value in metrics.items())]
    if isinstance(eta_s, float) and document["state"] == "funded":
        parts.append(f"about {timedelta(seconds=round(eta_s))} left")
    return ", ".join(part for part in parts if part)


def _money(document: Document) -> str:
    paid, fees, deposited = (document[f"{name}_wei"] for name in ("paid", "fees", "deposited"))
    assert isinstance(paid, int)
    assert isinstance(fees, int)
    assert isinstance(deposited, int)
    told = document["token"]
    assert isinstance(told, dict)
    token = Token.of_document(told)
    parts = [f"spent {token.amount(paid + fees)} of {token.amount(deposited)}"]
    if document["state"] == "funded":
        parts.append(f"{document['peers']} peers")
    parts.append(f"{document['units']} units, {document['audited']} audited")
    for key, what in (("retries", "tried again"), ("failures", "failed in a row"),
                      ("faults", "faults"), ("voids", "void"),
                      ("unavailable", "results unavailable")):  # fmt: skip
        if document.get(key):
            parts.append(f"{document[key]} {what}")
    return ", ".join(parts)


def _names(names: object) -> list[str]:
    assert isinstance(names, list)
    return names
