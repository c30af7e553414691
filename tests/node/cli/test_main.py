"""node/cli/main.py: the root, its laziness, and the funnel from errors to exit codes."""

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import click
import pytest
from pydantic import BaseModel, ValidationError

from node import errors
from node.cli import main as module
from node.cli.failures import describe
from node.cli.main import COMMANDS, cli

Ainur = Callable[..., Any]


def test_help_lists_every_command(ainur: Ainur) -> None:
    """On stdout, exit 0."""
    outcome = ainur("--help")
    assert outcome.code == 0
    assert outcome.err == ""
    for name, entry in COMMANDS.items():
        assert f"  {name} " in outcome.out
        assert entry.help in outcome.out


def test_help_imports_no_command() -> None:
    """What takes long to import is imported when it is needed."""
    code = (
        "import sys; from node.cli.main import run; code = run(['--help']);"
        "heavy = {'web3', 'libp2p', 'numpy', 'pydantic', 'eth_account', 'trio', 'rich'};"
        "print(sorted(heavy & set(sys.modules))); sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_version_is_printed(ainur: Ainur) -> None:
    """One line with the name."""
    outcome = ainur("--version")
    assert (outcome.code, outcome.out.split()[0]) == (0, "ainur")


@pytest.mark.parametrize(
    "arguments", [["nonsense"], ["--nonsense"], ["config", "get", "--nonsense"], ["config", "set"]]
)
def test_wrong_usage_is_exit_2_and_one_line(ainur: Ainur, arguments: list[str]) -> None:
    """With a hint where help is to be had; nothing on stdout."""
    outcome = ainur(*arguments)
    assert (outcome.code, outcome.out) == (2, "")
    (line,) = outcome.err.splitlines()
    assert line.startswith("error: ")
    assert "--help`" in line


def node_errors() -> list[type[errors.NodeError]]:
    return [kind for kind in vars(errors).values() if isinstance(kind, type)]


@pytest.mark.parametrize("kind", node_errors())
def test_every_node_error_has_its_code_and_one_line(
    ainur: Ainur, monkeypatch: pytest.MonkeyPatch, kind: type[errors.NodeError]
) -> None:
    """Message and remedy in one line on stderr, never a traceback."""
    outcome = raising(ainur, monkeypatch, kind("It broke.", "Mend it."))
    assert (outcome.code, outcome.out) == (kind.exit_code, "")
    assert outcome.err == "error: It broke. Mend it.\n"


def test_exit_codes_are_distinct() -> None:
    """A script can tell the reasons apart."""
    direct = errors.NodeError, *(k for k in node_errors() if k.__base__ is errors.NodeError)
    codes = [kind.exit_code for kind in direct]
    assert sorted(codes) == list(range(1, len(codes) + 1))


class Model(BaseModel):
    port: int


def validation_error() -> ValidationError:
    with pytest.raises(ValidationError) as caught:
        Model.model_validate({"port": "x"})
    return caught.value


def engine_errors() -> list[tuple[Exception, int]]:
    from engine.errors import DeviceError, ProgramError, UsageError

    return [(DeviceError("d"), 3), (ProgramError("p"), 2), (UsageError("u"), 2)]


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (KeyboardInterrupt(), 130, "interrupted"),
        (click.Abort(), 130, "interrupted"),
        (validation_error(), 2, "port = 'x'"),
        (FileNotFoundError(2, "No such file", "/x"), 1, "No such file /x"),
        (ZeroDivisionError("oops"), 1, "unexpected ZeroDivisionError: oops"),
        (ExceptionGroup("g", [ValueError("a"), errors.NoDevice("No GPU.")]), 3, "No GPU."),
        (BaseExceptionGroup("g", [ValueError("a"), KeyboardInterrupt()]), 130, "interrupted"),
        *[(error, code, str(error)) for error, code in engine_errors()],
    ],
)
def test_foreign_errors_are_mapped(
    ainur: Ainur, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, text: str
) -> None:
    """Whatever a command raises ends as one line and a documented code."""
    outcome = raising(ainur, monkeypatch, error)
    assert (outcome.code, outcome.out) == (code, "")
    # click ends the line that ^C stands on.
    (line,) = outcome.err.strip().splitlines()
    assert text in line


def test_message_of_several_lines_becomes_one() -> None:
    """A log or a script reads one line per failure."""
    assert describe(errors.BadInput("a\n  b\n", "c")).lines == ("error: a b. c",)


def test_debug_shows_where(ainur: Ainur, monkeypatch: pytest.MonkeyPatch) -> None:
    """AINUR_DEBUG adds the traceback for whoever reports a defect."""
    monkeypatch.setenv("AINUR_DEBUG", "1")
    outcome = raising(ainur, monkeypatch, ZeroDivisionError("oops"))
    assert "Traceback" in outcome.err
    assert outcome.err.splitlines()[-1].startswith("error: unexpected ZeroDivisionError")


def test_reader_that_goes_away_is_no_error_message() -> None:
    """`ainur config get | head -0` prints no traceback."""
    reader = subprocess.Popen(["true"], stdin=subprocess.PIPE)
    reader.wait()
    assert reader.stdin is not None
    done = subprocess.run(
        [sys.executable, "-m", "node.cli.main", "config", "get"],
        stdout=reader.stdin,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    reader.stdin.close()
    assert done.returncode == 1
    assert done.stderr == ""


def test_every_registered_command_exists(ainur: Ainur) -> None:
    """Each entry of the table can be imported and has help for each of its subcommands."""
    for name in COMMANDS:
        outcome = ainur(name, "--help")
        assert outcome.code == 0, name
        command = cli.get_command(click.Context(cli), name)
        for subcommand in getattr(command, "commands", {}):
            assert ainur(name, subcommand, "--help").code == 0, (name, subcommand)


def raising(ainur: Ainur, monkeypatch: pytest.MonkeyPatch, error: BaseException) -> Any:
    """Run a command that raises `error`."""

    @click.command()
    def command() -> None:
        raise error

    monkeypatch.setattr(module.LazyGroup, "get_command", lambda *_: command)
    return ainur("anything")


def test_json_is_one_line(ainur: Ainur, tmp_path: Any) -> None:
    """A read with --json prints one document, so that a line is a record."""
    outcome = ainur("config", "get", "--json", "--home", tmp_path)
    assert len(outcome.out.splitlines()) == 1
    assert json.loads(outcome.out)["wallet"] == "default"
