"""`ainur doctor`: check whether this machine and this home can take part."""

import sys
import time
from collections.abc import Sized

import click

from node.cli.options import home_option, json_option
from node.cli.output import emit_json, emit_table, note
from node.home import Home


@click.command()
@home_option
@json_option
def command(home: Home, as_json: bool) -> None:
    """Check device, home, wallet, chain, bond and peers; exit code 0 if the node could start."""
    from node.doctor import Level, examine

    if sys.stderr.isatty():
        note("checking device, chain and peers: up to half a minute")
    findings = list(examine(home, time.time))
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
