"""`ainur demo`: train a real model on a swarm of local peers, end to end."""

import dataclasses
import json
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from node.cli.output import ain, note
from node.cli.stoppable import stoppable
from node.errors import BadInput

if TYPE_CHECKING:
    from node.demo import Demo, Report

BARS = "▁▂▃▄▅▆▇█"
RESULT_FIELDS = (
    "accuracy",
    "final_loss",
    "checkpoint",
    "replay_checkpoint",
    "units",
    "audited",
    "faults",
    "slashed_wei",
    "claimed_wei",
    "refunded_wei",
    "proposal_state",
    "parameter",
    "job_id",
    "artefacts",
    "seconds",
)
"""What `--json` prints; participants come on top."""


@click.command()
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="A new folder for homes, logs and weights; else .demo, replacing the last one's.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON on the last line.")
def command(out: Path | None, as_json: bool) -> None:
    """Train a real model on a swarm of local peers, end to end.

    Starts a local chain and five daemons, one of which cheats; submits a job; audits catch and
    slash the cheat; a replay in one process gives the same digest; rewards are claimed and a
    proposal is voted through. Takes two to three minutes; Ctrl-C stops everything.
    """
    folder = _new_folder(out)
    # Imported late: it takes seconds, and a person should see that something happens.
    note(f"ainur demo: everything is kept under {folder}")
    from node.demo import Demo

    demo = Demo(folder, lambda text: None, _show_progress)
    started = time.monotonic()

    def say(text: str) -> None:
        _end_line()
        note(f"[{time.monotonic() - started:5.1f} s] {text}")

    demo.say = say
    with stoppable():
        report = demo.run()
    click.echo(_summary(report), err=as_json)
    if as_json:
        document = {name: getattr(report, name) for name in RESULT_FIELDS}
        document["participants"] = [dataclasses.asdict(p) for p in report.participants]
        click.echo(json.dumps(document))


def _new_folder(out: Path | None) -> Path:
    if out is None:
        folder = Path.cwd() / ".demo"
        if folder.exists() and not (folder / "logs").is_dir():
            raise BadInput(f"{folder} is not a demo's folder.", "Move it away, or give --out.")
        shutil.rmtree(folder, ignore_errors=True)
        return folder
    if out.exists():
        raise BadInput(f"{out} exists already.", "Give a new folder.")
    return out.absolute()


_last_line = ""


def _show_progress(document: dict[str, object], demo: "Demo") -> None:
    """One line that is rewritten on a terminal, and one line per change elsewhere."""
    global _last_line
    assert demo.swarm is not None
    statuses = [s for home in demo.swarm.homes if (s := demo.swarm.status(home)) is not None]
    metrics, slots = document["metrics"], document["slots"]
    assert isinstance(metrics, dict)
    assert isinstance(slots, dict)
    demo.note_loss(metrics.get("loss"))
    done = slots.get("passed", 0) + slots.get("verified", 0)
    loss = f"{metrics['loss']:.3f}" if "loss" in metrics else "-"
    parts = [
        f"round {document['round']}/{document['rounds']}",
        f"slots {done}/{sum(slots.values()) or '-'}",
        f"loss {loss} {sparkline(demo.report.losses)}".rstrip(),
        f"{document['peers']} peers",
        f"{sum(s.gflops_per_s for s in statuses):.2f} GFLOP/s",
        f"earned {ain(sum(s.earned_wei for s in statuses))}",
    ]
    if document["faults"]:
        parts.append(f"wrong results caught: {document['faults']}")
    line = " | ".join(parts)
    if sys.stderr.isatty():
        width = shutil.get_terminal_size().columns - 1
        print(f"\r\033[K{line[:width]}", end="", file=sys.stderr, flush=True)
    elif line != _last_line:
        note(f"          {line}")
    _last_line = line


def _end_line() -> None:
    global _last_line
    if _last_line and sys.stderr.isatty():
        print(file=sys.stderr)
    _last_line = ""


def sparkline(values: list[float]) -> str:
    """A curve in block characters, the largest value highest."""
    if not values:
        return ""
    low, high = min(values), max(values)
    span = (high - low) or 1.0
    return "".join(BARS[round((value - low) / span * (len(BARS) - 1))] for value in values)


def _summary(report: "Report") -> str:
    """The table that a stranger understands."""
    head = ("node", "role", "units", "audits", "verified GFLOP", "earned", "claimed", "slashed")
    rows = [
        (p.name, p.role, str(p.units), str(p.audits), f"{p.gflop:.3f}", ain(p.earned_wei),
         ain(p.claimed_wei), ain(p.slashed_wei))
        for p in report.participants
    ]  # fmt: skip
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    table = [
        "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) for row in (head, *rows)
    ]
    table.insert(1, "  ".join("-" * width for width in widths))
    facts = {
        "model": f"accuracy {report.accuracy:.2%}, loss {report.final_loss} on held-out digits",
        "work": f"{report.units} units, {report.audited} audited, {report.faults} wrong and redone",
        "digest": f"{report.checkpoint} (network)",
        "": f"{report.replay_checkpoint} (replay in one process): equal",
        "money": f"{ain(report.claimed_wei)} claimed, {ain(report.slashed_wei)} slashed, "
        f"{ain(report.refunded_wei)} refunded to the submitter",
        "vote": f"{report.parameter}: {report.proposal_state}",
        "time": f"{report.seconds:.0f} s",
    }
    lines = [*table, "", *(f"{name:8}{value}" for name, value in facts.items()), ""]
    lines += [f"{name:8}{path}" for name, path in report.artefacts.items()]
    return "\n".join(["", *lines])
