"""From a home folder to what a command works with: settings, network, signer, chain."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from node.config import Config, load_config
from node.errors import BadInput, WrongPassword
from node.evm_address import check_address
from node.files import read_text
from node.home import Home
from node.network_file import NetworkFile, load_network
from node.wallet import (
    PASSWORD_VARIABLE,
    Signer,
    WalletFile,
    find_wallet,
    import_keystore,
    import_wallet,
    password_from_environment,
    read_key,
    read_password_file,
    unlock,
    unlock_file,
)

if TYPE_CHECKING:
    from node.chain import Chain

_RECEIPT_POLL_S_MAX = 1.0


def require_home(home: Home) -> None:
    """BadInput unless `home` was created by `ainur init`."""
    if not home.peer_key.exists():
        raise BadInput(
            f"{home.path} is not a node's home folder.",
            "Create it with `ainur init`, or give --home.",
        )


def open_config(home: Home) -> Config:
    """The settings of `home`."""
    return load_config(home.config)


def open_network(home: Home) -> NetworkFile:
    """The network of `home`, with the endpoints of its settings if it names any."""
    network = load_network(home.network)
    endpoints = open_config(home).rpc_endpoints
    return network.with_endpoints(*endpoints) if endpoints else network


def open_wallet(home: Home, name: str | None = None) -> WalletFile:
    """The wallet called `name`, or the configured one, still locked."""
    return find_wallet(home.wallets, name or open_config(home).wallet)


def open_signer(home: Home, wallet: str | None = None, password_file: Path | None = None) -> Signer:
    """Unlock a wallet. The password: `password_file`, AINUR_PASSWORD, the settings, a prompt."""
    chosen = open_wallet(home, wallet)
    password, source = _password(home, chosen.name, password_file)
    try:
        return unlock(chosen, password)
    except WrongPassword as error:
        remedy = (
            "Unset it, or give --password-file." if source == PASSWORD_VARIABLE else error.remedy
        )
        raise WrongPassword(f"{error.message} It came from {source}.", remedy) from None


def open_chain(home: Home, signer: Signer | None = None, account: str = "") -> "Chain":
    """The chain of `home`, sending as `signer` if there is one, or drafting for `account`."""
    # Imported late: it takes a second, and many commands end before they need a chain.
    from node.chain import Chain

    config = open_config(home)
    return Chain(
        open_network(home),
        signer,
        poll_s=min(config.chain_poll_s, _RECEIPT_POLL_S_MAX),
        gas_price_max_wei=config.gas_price_max_wei,
        account=account,
    )


def import_key_file(
    folder: Path, name: str, source: Path, password_file: Path | None
) -> WalletFile:
    """Import a keystore (opened with its own password) or a file with a hexadecimal key."""
    text = read_text(source, "key file")
    if not text.lstrip().startswith("{"):
        return import_wallet(folder, name, text, new_password(password_file))
    given = _given_password(password_file)
    password = given if given is not None else _prompt(f"Password of {source}", confirm=False)
    return import_keystore(folder, name, source, password)


def signer_of(
    home: Home, wallet: str | None, key: Path | None, password_file: Path | None
) -> Signer:
    """The signer of a key file, if one is given, else of a wallet of this home."""
    if key is not None:
        return _signer_from_file(key, password_file)
    return open_signer(home, wallet, password_file)


def _signer_from_file(source: Path, password_file: Path | None) -> Signer:
    """The signer of a keystore or of a file with a hexadecimal key, which is not copied."""
    text = read_text(source, "key file")
    if not text.lstrip().startswith("{"):
        return read_key(text)
    given = _given_password(password_file)
    password = given if given is not None else _prompt(f"Password of {source}", confirm=False)
    return unlock_file(source, password)


def parse_address(text: str) -> str:
    """An address given on the command line; BadInput if it is none or its checksum is wrong."""
    try:
        return check_address(text)
    except ValueError as error:
        raise BadInput(f"{text!r} is not an address: {error}.") from None


def new_password(password_file: Path | None) -> str:
    """The password for a wallet about to be written; asked for twice if it must be asked for."""
    given = _given_password(password_file)
    return given if given is not None else _prompt("Password for the new wallet", confirm=True)


def _password(home: Home, wallet: str, password_file: Path | None) -> tuple[str, str]:
    """The password and, for a message, where it is from."""
    given = _given_password(password_file)
    if given is not None:
        return given, PASSWORD_VARIABLE if password_file is None else str(password_file)
    configured = open_config(home).password_file
    if configured:
        path = home.path / Path(configured).expanduser()
        return read_password_file(path), str(path)
    return _prompt(f"Password of wallet {wallet}", confirm=False), "the prompt"


def _given_password(password_file: Path | None) -> str | None:
    if password_file is not None:
        return read_password_file(password_file)
    return password_from_environment()


def _prompt(text: str, *, confirm: bool) -> str:
    if not sys.stdin.isatty():
        raise BadInput(
            "A password is needed and there is no terminal to ask on.",
            f"Give it by --password-file or {PASSWORD_VARIABLE}.",
        )
    answer = click.prompt(text, hide_input=True, confirmation_prompt=confirm, err=True)
    return str(answer)
