"""The one way in which commands send transactions: shown, written to a file, or sent.

    with transacting(home, how) as desk:
        ... checks on desk.chain ...
        receipt, = desk.send(desk.chain.vault.withdraw())
        note("withdrew ...")

Before each transaction is signed its gas and cost are told. With --dry-run or --unsigned nothing is
sent: `send` shows or writes all that it is given and ends the command there.
"""

import contextlib
import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from node.cli.options import json_option, signer_options
from node.cli.output import ain, emit_json, emit_table, note
from node.cli.session import open_chain, open_signer, open_wallet, parse_address
from node.errors import BadInput
from node.home import Home

if TYPE_CHECKING:
    from node.chain import Chain, Receipt
    from node.chain.handle import Transaction
    from node.chain.sender import Draft

F = TypeVar("F", bound=Callable[..., Any])
_DIGITS = 4
COLUMNS = ("nonce", "does", "gas", "cost", "at most")


@dataclass(frozen=True, slots=True)
class How:
    """What a person asked of a command that sends something."""

    wallet: str | None = None
    password_file: Path | None = None
    dry_run: bool = False
    unsigned: Path | None = None
    sender: str | None = None
    as_json: bool = False

    @property
    def sends(self) -> bool:
        """Whether anything is to be sent."""
        return not self.dry_run and self.unsigned is None


class Desk:
    """Where a command hands in its transactions."""

    def __init__(self, chain: "Chain", how: How) -> None:
        self.chain, self.how = chain, how
        self.emitted = False
        self._receipts: list[Receipt] = []

    def send(self, *transactions: "Transaction") -> "list[Receipt]":
        """Send them one after the other; Reverted if a contract refuses one.

        With --dry-run or --unsigned it does not return.
        """
        if not self.how.sends:
            self._plan(self.chain.drafts(transactions))
            raise _Planned
        receipts = [self.chain.send(each, announce=_announce) for each in transactions]
        self._receipts += receipts
        return receipts

    def emit(self, document: dict[str, object]) -> None:
        """What the command prints with --json instead of a list of its transactions."""
        self.emitted = True
        emit_json(document)

    def close(self) -> None:
        """Print the transactions sent, with --json, unless the command printed something else."""
        if self.how.as_json and not self.emitted:
            sent = [
                {"transaction": r.transaction, "block": r.block, "gas": r.gas_used,
                 "cost_wei": r.gas_used * r.gas_price_wei}
                for r in self._receipts
            ]  # fmt: skip
            emit_json({"transactions": sent})

    def _plan(self, drafts: "list[Draft]") -> None:
        from node.offline import unsigned

        if self.how.unsigned is not None:
            unsigned(drafts).write(self.how.unsigned)
            note(
                f"written, not sent; sign it where the key is: `ainur tx sign {self.how.unsigned}`"
            )
        self.emitted = True
        show_drafts(self.chain, drafts, as_json=self.how.as_json)
        if self.how.dry_run:
            note("nothing was sent")


class _Planned(Exception):
    """A command that was to send nothing has shown what it would send."""


def transaction_options(function: F) -> F:
    """Add the options of every command that sends something, passed as `how: How`."""

    @functools.wraps(function)
    def wrapped(*args: Any, **options: Any) -> Any:
        names = ("wallet", "password_file", "dry_run", "unsigned", "sender", "as_json")
        how = How(**{name: options.pop(name) for name in names})
        if how.dry_run and how.unsigned is not None:
            raise BadInput("Give --dry-run or --unsigned, not both.")
        if how.sender and how.sends:
            raise BadInput(
                "--from is for --dry-run and --unsigned: a key that is elsewhere sends nothing."
            )
        return function(*args, how=how, **options)

    for option in (
        json_option,
        click.option(
            "--from", "sender", help="With --dry-run or --unsigned: the account that would send."
        ),
        click.option(
            "--unsigned",
            type=click.Path(dir_okay=False, path_type=Path),
            help="Write the transactions to this file, to be signed elsewhere; send nothing.",
        ),
        click.option("--dry-run", is_flag=True, help="Show what would be sent; send nothing."),
        signer_options,
    ):
        wrapped = option(wrapped)
    return wrapped  # type: ignore[return-value]


@contextlib.contextmanager
def transacting(home: Home, how: How) -> Iterator[Desk]:
    """A desk over the chain of `home`; a wallet is only unlocked if something is to be sent."""
    signer = open_signer(home, how.wallet, how.password_file) if how.sends else None
    account = ""
    if signer is None:
        account = parse_address(how.sender) if how.sender else open_wallet(home, how.wallet).address
    with open_chain(home, signer, account) as chain, contextlib.suppress(_Planned):
        desk = Desk(chain, how)
        yield desk
        desk.close()


def show_drafts(chain: "Chain", drafts: "list[Draft]", *, as_json: bool) -> None:
    """Print transactions that are not sent: decoded, with gas and cost."""
    lines = [chain.in_words(draft.transaction) for draft in drafts]
    if as_json:
        emit_json(
            {
                "transactions": [
                    {"does": line, "from": draft.sender, "estimate": draft.estimate or None,
                     "likely_wei": draft.likely_wei if draft.estimate else None,
                     "most_wei": draft.most_wei, "fields": draft.fields()}
                    for line, draft in zip(lines, drafts, strict=True)
                ]
            }
        )  # fmt: skip
        return
    emit_table(
        COLUMNS,
        [
            (
                draft.nonce,
                line,
                draft.estimate or f"unknown yet, at most {draft.gas}",
                cost(draft.likely_wei) if draft.estimate else None,
                cost(draft.most_wei),
            )
            for line, draft in zip(lines, drafts, strict=True)
        ],
    )


def native(wei: int) -> str:
    """An amount of the chain's native currency, exactly."""
    return ain(wei).removesuffix(" AIN")


def cost(wei: int) -> str:
    """What gas costs, to four digits, rounded up: JSON has every wei."""
    rest = 10 ** max(0, len(str(wei)) - _DIGITS)
    return native(-(-wei // rest) * rest)


def _announce(draft: "Draft") -> None:
    note(
        f"{draft.transaction.what}: gas {draft.estimate:,}, about {cost(draft.likely_wei)} of "
        f"native currency, at most {cost(draft.most_wei)}"
    )
