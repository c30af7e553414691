"""The command `ainur`: finds the command, runs it, and turns whatever it raises into an exit code.

Commands live in modules of their own and are imported when they are called, so that `ainur --help`
answers at once. Each module of the table exposes a click command under the name `command`. This
module holds the one funnel of the command line: below it nobody prints a traceback or exits.
"""

import importlib
import os
import sys
import traceback
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import NamedTuple

import click

from node.cli.failures import Failure, describe

DEBUG_VARIABLE = "AINUR_DEBUG"


class _Entry(NamedTuple):
    module: str
    help: str


COMMANDS = {
    "demo": _Entry("node.cli.demo", "Train a real model on a swarm of local peers, end to end."),
    "init": _Entry("node.cli.init", "Create a home folder: identity, wallet, network."),
    "doctor": _Entry("node.cli.doctor", "Check device, chain, wallet and network of this home."),
    "devnet": _Entry("node.cli.devnet", "Run a local chain with contracts and funded homes."),
    "deploy": _Entry("node.cli.deploy", "Put the contracts on a chain, from a file; resumable."),
    "node": _Entry("node.cli.node", "Run a node daemon and ask it how it is."),
    "job": _Entry("node.cli.job", "Quote, submit and follow training jobs."),
    "stake": _Entry("node.cli.stake", "Add, remove, show and delegate bonds."),
    "rewards": _Entry("node.cli.rewards", "Show and claim what finalised work has earned."),
    "gov": _Entry("node.cli.gov", "Propose, vote on and execute changes of parameters."),
    "delegate": _Entry("node.cli.delegate", "Let somebody, or yourself, vote with your tokens."),
    "params": _Entry("node.cli.params", "Show what the DAO may tune, and within which bounds."),
    "treasury": _Entry("node.cli.treasury", "Show what the DAO holds, and its grants."),
    "tx": _Entry("node.cli.tx", "Sign transactions offline, and send what was signed."),
    "wallet": _Entry("node.cli.wallet", "Create and list wallets, see and send their money."),
    "config": _Entry("node.cli.config", "Read and change settings."),
}


class LazyGroup(click.Group):
    """A group whose commands are imported only when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        command = importlib.import_module(entry.module).command
        assert isinstance(command, click.Command)
        command.name = cmd_name
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.help) for name, entry in COMMANDS.items()])


def _print_version(ctx: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        click.echo(f"ainur {_version()}")
        ctx.exit()


def _version() -> str:
    try:
        return version("ainur")
    except PackageNotFoundError:
        return "(not installed)"


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Print the version and exit.",
)
def cli() -> None:
    """Ainur: home computers train models together, and verify every result bit for bit."""


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code. Nothing but SystemExit passes this funnel."""
    try:
        result = cli.main(list(arguments), prog_name="ainur", standalone_mode=False)
        # Outside standalone mode click returns the code of ctx.exit() as the result.
        code = result if isinstance(result, int) else 0
        sys.stdout.flush()
    except BrokenPipeError:
        return _leave_broken_pipe()
    except (Exception, KeyboardInterrupt, BaseExceptionGroup) as error:  # noqa: BLE001 - the funnel
        if os.environ.get(DEBUG_VARIABLE):
            traceback.print_exception(error)
        return _report(describe(error))
    return code


def main() -> None:
    """The console script's entry point."""
    sys.exit(run(sys.argv[1:]))


def _report(failure: Failure) -> int:
    for line in failure.lines:
        click.echo(line, err=True)
    return failure.exit_code


def _leave_broken_pipe() -> int:
    # The reader went away (`ainur ... | head`). Point stdout at nothing, or the interpreter
    # complains once more when it flushes at exit.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 1


if __name__ == "__main__":
    main()
