"""How commands speak: data on stdout, everything else on stderr.

Every read can be had as one JSON document. For people it is a table: drawn on a terminal,
separated by tabs in a pipe, so that `cut` and `awk` see the same columns and nothing is ever
truncated there.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import click

from node.tokens import AIN

WEI = 10**18

Cell = str | int | float | bool | None


def emit_json(document: object) -> None:
    """Print `document` as one line of JSON on stdout."""
    click.echo(json.dumps(document, default=_encode))


def emit_table(columns: Sequence[str], rows: Sequence[Sequence[Cell]], *, empty: str = "") -> None:
    """Print rows under their column names; if there are none, say `empty` on stderr instead."""
    if not rows:
        note(empty or "nothing to show")
        return
    texts = [[_cell(value) for value in row] for row in rows]
    if not sys.stdout.isatty():
        for line in (columns, *texts):
            click.echo("\t".join(line))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        # Folded, not cut: an address that lost its end cannot be copied.
        table.add_column(column, overflow="fold")
    for line in texts:
        table.add_row(*line)
    Console(markup=False, emoji=False, highlight=False).print(table)


def emit_fields(fields: Mapping[str, Cell]) -> None:
    """Print one `name  value` line per field, aligned on a terminal, with a tab in a pipe."""
    terminal = sys.stdout.isatty()
    width = max((len(name) for name in fields), default=0)
    for name, value in fields.items():
        gap = " " * (width - len(name) + 2) if terminal else "\t"
        click.echo(f"{name}{gap}{_cell(value)}")


def note(text: str) -> None:
    """Tell the person something that is not data: on stderr."""
    click.echo(text, err=True)


def ain(wei: int) -> str:
    """`wei` in AIN, exactly, without trailing zeros."""
    return AIN.amount(wei)


def percent(basis_points: int) -> str:
    """250 as 2.5%."""
    return f"{basis_points / 100:g}%"


def utc(timestamp: int) -> str:
    """A Unix time as people read it."""
    moment = datetime.fromtimestamp(timestamp, UTC)
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def _cell(value: Cell) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    # A tab or line break inside a value (a peer's or proposer's text) would forge columns or
    # rows, and escape codes could repaint the terminal.
    text = str(value)
    return "".join(c if c.isprintable() else " " for c in text)


def _encode(value: object) -> str:
    if isinstance(value, bytes):
        return "0x" + value.hex()
    raise TypeError(f"{type(value).__name__} has no JSON form")
