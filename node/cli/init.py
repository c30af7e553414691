"""`ainur init`: everything that a node owns before it joins a network."""

from pathlib import Path

import click

from node.cli.options import home_option, json_option, signer_options
from node.cli.output import emit_fields, emit_json, note
from node.cli.session import import_key_file, new_password, open_config
from node.config import default_text, set_value
from node.errors import BadInput
from node.files import make_private_folder, write_new
from node.home import Home
from node.identity import create_seed, load_seed, peer_id_from_key
from node.network_file import load_network, save_network
from node.wallet import (
    WalletFile,
    find_wallet,
    new_wallet,
    wallet_path,
)


@click.command()
@home_option
@click.option(
    "--network",
    "network_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The network file of the network to join.",
)
@click.option(
    "--import-key",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A keystore file, or a file with a hexadecimal private key, instead of a new key.",
)
@signer_options
@json_option
def command(
    home: Home,
    network_file: Path | None,
    import_key: Path | None,
    wallet: str | None,
    password_file: Path | None,
    as_json: bool,
) -> None:
    """Create a home folder: identity, wallet, network.

    Safe to repeat: what exists is kept, keys are never overwritten. With --network an existing
    home moves to that network.
    """
    # Checked before anything is written, so that a wrong file leaves no half-made home.
    if network_file is not None and not network_file.exists():
        raise BadInput(
            f"There is no file {network_file}.",
            "Who runs a network hands out its file; `ainur devnet --folder NET` writes "
            "NET/network.json.",
        )
    network = load_network(network_file) if network_file is not None else None
    make_private_folder(home.path)
    if not home.config.exists():
        write_new(home.config, default_text().encode())
    account = _wallet(home, wallet, import_key, password_file)
    peer_id = _identity(home)
    if network is not None:
        save_network(home.network, network)
    joined = network or (load_network(home.network) if home.network.exists() else None)
    document = {
        "home": str(home.path),
        "peer_id": peer_id,
        "wallet": account.name,
        "address": account.address,
        "network": joined.name if joined else None,
    }
    if as_json:
        emit_json(document)
        return
    emit_fields(document)
    _next_steps(home, joined is not None)


def _identity(home: Home) -> str:
    if home.peer_key.exists():
        return peer_id_from_key(load_seed(home.peer_key))
    return peer_id_from_key(create_seed(home.peer_key))


def _wallet(
    home: Home, name: str | None, import_key: Path | None, password_file: Path | None
) -> WalletFile:
    chosen = name or open_config(home).wallet
    if wallet_path(home.wallets, chosen).exists():
        if import_key is not None:
            raise BadInput(
                f"There is a wallet {chosen!r} in {home.wallets} already; it is not overwritten.",
                "Import under another name with --wallet NAME.",
            )
        account = find_wallet(home.wallets, chosen)
    elif import_key is not None:
        account = import_key_file(home.wallets, chosen, import_key, password_file)
    else:
        account = new_wallet(home.wallets, chosen, new_password(password_file))
    if name is not None and name != open_config(home).wallet:
        set_value(home.config, "wallet", name)
    return account


def _next_steps(home: Home, joined: bool) -> None:
    if not joined:
        note("next: ainur init --network FILE, with the network file of a network to join")
        return
    note("next: have AIN and gas sent to the address above (`ainur wallet send` does), then")
    note("  ainur doctor       check device, chain and wallet")
    note("  ainur stake add N  bond tokens, so that the network gives this node work")
    note("  ainur node start   run the node")
    note(f"keep a backup of {home.wallets} and {home.peer_key}: nobody can restore them")
