"""Options that many commands share, and the types of their values."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from node.cli.output import WEI
from node.home import HOME_VARIABLE, Home

if TYPE_CHECKING:
    from node.chain import Chain
    from node.tokens import Token

F = TypeVar("F", bound=Callable[..., Any])


class _HomeType(click.ParamType[Home]):
    name = "folder"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Home:
        return value if isinstance(value, Home) else Home.find(str(value))


class _AmountType(click.ParamType[int]):
    """An amount of tokens in wei: `2.5` and `2.5AIN` are AIN, `300wei` is wei."""

    name = "amount"
    _form = re.compile(r"(?P<number>\d[\d_]*(\.\d+)?) ?(?P<unit>AIN|ain|wei)?")

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        if isinstance(value, int):
            return value
        match = self._form.fullmatch(str(value))
        if match is None:
            self.fail(f"{value!r} is not an amount; write 2.5, 2.5AIN or 300wei.", param, ctx)
        whole, _, fraction = match["number"].replace("_", "").partition(".")
        if match["unit"] == "wei":
            if fraction:
                self.fail(f"{value!r}: there is no part of a wei.", param, ctx)
            return int(whole)
        if len(fraction) > 18:
            self.fail(f"{value!r} has more than 18 decimals.", param, ctx)
        return int(whole) * WEI + int(fraction.ljust(18, "0"))


class _PercentType(click.ParamType[int]):
    """A percentage in basis points: `2.5` and `2.5%` are 250."""

    name = "percent"
    _form = re.compile(r"(?P<whole>\d{1,3})(\.(?P<part>\d{1,2}))?%?")

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        if isinstance(value, int):
            return value
        match = self._form.fullmatch(str(value))
        if match is None:
            self.fail(f"{value!r} is not a percentage; write 5, 2.5 or 2.5%.", param, ctx)
        return int(match["whole"]) * 100 + int((match["part"] or "").ljust(2, "0"))


AMOUNT = _AmountType()
PERCENT = _PercentType()


def parse_amount(chain: "Chain", text: str, token: str | None) -> "tuple[int, Token]":
    """An amount of AIN, or whole units of another token by its symbol or address."""
    from node.tokens import AIN, Tokens

    if token is None:
        return AMOUNT.convert(text, None, None), AIN
    named = Tokens(chain).named(token)
    return named.units(text), named


def home_option(function: F) -> F:
    """Add `--home FOLDER`, passed to the command as `home: Home`."""
    return click.option(
        "--home",
        type=_HomeType(),
        envvar=HOME_VARIABLE,
        default=lambda: Home.find(),
        show_default=f"{HOME_VARIABLE}, else ~/.ainur",
        help="The node's home folder.",
    )(function)


def json_option(function: F) -> F:
    """Add `--json`, passed to the command as `as_json: bool`."""
    return click.option(
        "--json", "as_json", is_flag=True, help="Print one JSON document instead of a table."
    )(function)


def signer_options(function: F) -> F:
    """Add `--wallet NAME` and `--password-file FILE`, passed as `wallet` and `password_file`."""
    function = click.option(
        "--password-file",
        type=click.Path(dir_okay=False, path_type=Path),
        help="A file whose first line opens the wallet. Else AINUR_PASSWORD, else a prompt.",
    )(function)
    return click.option("--wallet", help="The wallet that signs, if not the configured one.")(
        function
    )
