"""From a home folder to what a command works with: settings, network, signer, chain."""

import sys
from pathlib import Path

import click

from node.config import Config, load_config
from node.errors import BadInput
from node.home import Home
from node.network_file import NetworkFile, load_network
from node.wallet import (
    PASSWORD_VARIABLE,
    Signer,
    WalletFile,
    find_wallet,
    password_from_environment,
    read_password_file,
    unlock,
)


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
    """Unlock a wallet of `home`. The password: `password_file`, AINUR_PASSWORD, settings, prompt."""
    chosen = open_wallet(home, wallet)
    return unlock(chosen, _password(home, chosen.name, password_file))


def new_password(password_file: Path | None) -> str:
    """The password for a wallet about to be written; asked for twice if it must be asked for."""
    given = _given_password(password_file)
    return given if given is not None else _prompt("Password for the new wallet", confirm=True)


def _password(home: Home, wallet: str, password_file: Path | None) -> str:
    given = _given_password(password_file)
    if given is not None:
        return given
    configured = open_config(home).password_file
    if configured:
        return read_password_file(home.path / Path(configured).expanduser())
    return _prompt(f"Password of wallet {wallet}", confirm=False)


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
