"""node/cli/output.py and options.py: amounts, cells, tables."""

import re

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.cli.options import AMOUNT
from node.cli.output import _cell, ain, emit_table


@given(st.integers(0, 10**30))
def test_amount_round_trips(wei: int) -> None:
    """What is printed can be typed back without losing a wei."""
    assert AMOUNT.convert(ain(wei).replace(",", ""), None, None) == wei


@pytest.mark.parametrize(
    ("text", "wei"),
    [("2.5", 25 * 10**17), ("2.5AIN", 25 * 10**17), ("300wei", 300), ("1_000 ain", 10**21)],
)
def test_amount_forms(text: str, wei: int) -> None:
    """AIN unless wei is said."""
    assert AMOUNT.convert(text, None, None) == wei


@pytest.mark.parametrize("text", ["", "-1", "1e3", "0.5wei", "1.0000000000000000001", "x", "1 ETH"])
def test_bad_amounts_are_refused(text: str) -> None:
    """Never rounded, never guessed."""
    with pytest.raises(click.BadParameter):
        AMOUNT.convert(text, None, None)


def test_cells_cannot_forge_rows_or_repaint() -> None:
    """A stranger's text stays within its cell."""
    assert _cell("a\tb\nc\x1b[2J") == "a b c [2J"
    assert [_cell(None), _cell(True), _cell(3)] == ["-", "yes", "3"]


def test_table_in_a_pipe_is_tab_separated(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is truncated, however long."""
    emit_table(("a", "b"), [("x" * 300, None)])
    assert capsys.readouterr().out == "a\tb\n" + "x" * 300 + "\t-\n"
    emit_table(("a",), [], empty="nothing yet")
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "nothing yet\n")


def test_table_on_a_terminal_is_drawn(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Aligned columns; square brackets in a value are not markup."""
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    emit_table(("name", "value"), [("a", "[red]x[/red]"), ("bbb", "y")])
    plain = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)
    lines = [line.rstrip() for line in plain.splitlines()]
    assert lines == ["name  value", "a     [red]x[/red]", "bbb   y"]


def test_a_narrow_terminal_loses_no_character(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An address without its end could not be copied."""
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "40")
    address = "0x" + "0123456789" * 4
    emit_table(("check", "found"), [("wallet", address)])
    text = re.sub(r"\x1b\[[0-9;]*m|\s", "", capsys.readouterr().out)
    assert text == f"checkfoundwallet{address}"
