"""`ainur doctor`: check whether this machine and this home can take part."""

import sys
from collections.abc import Sized

import click

from node.cli.options import home_option, json_option
from node.cli.output import emit_json, emit_table, note
from node.home import Home


@click.command()
@home_option
@json_option
@click.option(
    "--tune", "tunes", is_flag=True, help="Measure which tile makes this device's products fastest."
)
@click.option("--forget-tuning", is_flag=True, help="Go back to the default tile of every device.")
def command(home: Home, as_json: bool, tunes: bool, forget_tuning: bool) -> None:
    """Check device, home, wallet, chain, bond and peers; exit code 0 if the node could start."""
    from engine.tuning import Trial, forget, name_of
    from node.clock import unix_s
    from node.doctor import Level, examine

    def tried(trial: Trial) -> None:
        said = trial.refused or f"{trial.gain:.2f} times as fast as the default"
        note(f"tile {name_of(trial.tile)}: {said}")

    if forget_tuning:
        forget()
        note("every device has its default tile from the next start on")
    if sys.stderr.isatty():
        minutes = "a few minutes" if tunes else "up to half a minute"
        note(f"checking device, chain and peers: {minutes}")
    findings = list(examine(home, unix_s, tried if tunes else None))
    if as_json:
        rows = [
            {"check": f.check, "level": str(f.level), "found": f.found, "remedy": f.remedy}
            for f in findings
        ]
        emit_json(rows)
    else:
        emit_table(
            ("check", "", "found", "remedy"),
            [(f.check, str(f.level), f.found, f.remedy) for f in findings],
        )
    failed = [f for f in findings if f.level is Level.FAIL]
    warned = [f for f in findings if f.level is Level.WARN]
    if warned:
        note(f"{_count(warned)} can wait: the node can start, but see the remedies")
    if failed:
        note(f"{_count(failed)} failed")
        click.get_current_context().exit(failed[0].exit_code)


def _count(findings: Sized) -> str:
    return f"{len(findings)} check{'s' * (len(findings) != 1)}"
