"""`ainur wallet`: create, import and list the wallets of a home, and look at their money."""

from pathlib import Path

import click

from node.cli.desk import How, transacting, transaction_options
from node.cli.options import home_option, json_option, parse_amount
from node.cli.output import ain, emit_fields, emit_json, emit_table, note
from node.cli.session import (
    import_key_file,
    new_password,
    open_chain,
    open_config,
    open_wallet,
    parse_address,
)
from node.errors import BadInput, InsufficientFunds
from node.home import Home
from node.wallet import Kdf, WalletFile, list_wallets, new_wallet


@click.group()
def command() -> None:
    """Create, import and list wallets, look at their money and send it."""


def _password_file(function: click.decorators.FC) -> click.decorators.FC:
    return click.option(
        "--password-file",
        type=click.Path(dir_okay=False, path_type=Path),
        help="A file whose first line is the password. Else AINUR_PASSWORD, else a prompt.",
    )(function)


@command.command("new")
@click.argument("name", default="default")
@home_option
@_password_file
@click.option(
    "--kdf",
    type=click.Choice(["scrypt", "pbkdf2"]),
    default="scrypt",
    show_default=True,
    help="How the password becomes a key; pbkdf2 needs less memory.",
)
@json_option
def new(name: str, home: Home, password_file: Path | None, kdf: Kdf, as_json: bool) -> None:
    """Create a wallet with a fresh key."""
    wallet = new_wallet(home.wallets, name, new_password(password_file), kdf=kdf)
    _show(wallet, as_json)
    note(f"keep a backup of {wallet.path} and its password: nobody can restore them")


@command.command("import")
@click.argument("source", type=click.Path(dir_okay=False, path_type=Path))
@click.argument("name", default="default")
@home_option
@_password_file
@json_option
def import_(source: Path, name: str, home: Home, password_file: Path | None, as_json: bool) -> None:
    """Import SOURCE: a keystore file, or a file with a hexadecimal private key.

    A keystore keeps its own password; a bare key is encrypted under the password given.
    """
    _show(import_key_file(home.wallets, name, source, password_file), as_json)


@command.command("list")
@home_option
@json_option
def list_(home: Home, as_json: bool) -> None:
    """List the wallets of this home; a star marks the one that signs."""
    chosen = open_config(home).wallet
    wallets = list_wallets(home.wallets)
    if as_json:
        emit_json([{**_document(wallet), "selected": wallet.name == chosen} for wallet in wallets])
        return
    emit_table(
        ("", "name", "address", "file"),
        [
            ("*" if wallet.name == chosen else "", wallet.name, wallet.address, str(wallet.path))
            for wallet in wallets
        ],
        empty="no wallets; create one with `ainur wallet new`",
    )


@command.command("balance")
@click.argument("name", required=False)
@home_option
@json_option
def balance(name: str | None, home: Home, as_json: bool) -> None:
    """Show what wallet NAME (or the configured one) holds, has bonded and may vote with."""
    from node.governance import current_votes
    from node.tokens import Tokens, held_by

    wallet = open_wallet(home, name)
    with open_chain(home) as chain:
        native = chain.balance(wallet.address)
        tokens = chain.token.balance_of(wallet.address)
        bond = chain.vault.bond_of(wallet.address)
        delegated = chain.vault.delegation_of(wallet.address).amount
        votes = current_votes(chain, wallet.address)
        others = [
            (token, held_by(chain, token, wallet.address))
            for token in Tokens(chain).ever_accepted()
        ]
    if as_json:
        emit_json(
            {
                **_document(wallet),
                "native_wei": native,
                "token_wei": tokens,
                "bond_wei": bond,
                "delegated_wei": delegated,
                "votes_wei": votes,
                "tokens": [token.document() | {"held": held} for token, held in others if held],
            }
        )
        return
    emit_fields(
        {
            "wallet": wallet.name,
            "address": wallet.address,
            "gas money": _plain(native),
            "tokens": ain(tokens),
            **{f"in {token.name}": token.amount(held) for token, held in others if held},
            "bonded": ain(bond),
            "delegated to a bond": ain(delegated),
            "votes": ain(votes),
        }
    )


@command.command("send")
@click.argument("address")
@click.argument("amount")
@click.option("--gas", is_flag=True, help="Send the chain's native currency, not AIN.")
@click.option("--token", help="Send a token other than AIN, by symbol or address.")
@home_option
@transaction_options
def send(address: str, amount: str, gas: bool, token: str | None, home: Home, how: How) -> None:
    """Send AMOUNT tokens to ADDRESS; with --gas native currency, which pays for transactions."""
    to = parse_address(address)
    if gas and token is not None:
        raise BadInput("Give --gas or --token, not both.")
    with transacting(home, how) as desk:
        chain = desk.chain
        units, kind = parse_amount(chain, amount, token)
        if units == 0:
            raise BadInput("There is nothing to send.", "Give an amount such as 250.")
        money = chain.token if kind.is_ain else chain.erc20(kind.address)
        held = chain.balance(chain.address) if gas else money.balance_of(chain.address)

        def told(value: int) -> str:
            return f"{_plain(value)} of native currency" if gas else kind.amount(value)

        if held < units:
            raise InsufficientFunds(
                f"{chain.address} holds {told(held)}, less than {told(units)}.", "Send less."
            )
        call = chain.payment(to, units) if gas else money.transfer(to, units)
        (receipt,) = desk.send(call)
        note(f"sent {told(units)} to {to}")
        if how.as_json:
            desk.emit({"to": to, "amount_wei": units, "transaction": receipt.transaction})


def _plain(wei: int) -> str:
    return ain(wei).removesuffix(" AIN")


def _document(wallet: WalletFile) -> dict[str, object]:
    return {"name": wallet.name, "address": wallet.address, "file": str(wallet.path)}


def _show(wallet: WalletFile, as_json: bool) -> None:
    if as_json:
        emit_json(_document(wallet))
        return
    emit_fields({"name": wallet.name, "address": wallet.address, "file": str(wallet.path)})
