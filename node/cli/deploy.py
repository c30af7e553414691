"""`ainur deploy`: a network of one's own on any EVM chain, from a file."""

from pathlib import Path

import click

from node.cli.options import home_option, json_option, signer_options
from node.cli.output import emit_fields, emit_json, note
from node.cli.session import signer_of
from node.errors import BadInput
from node.home import Home
from node.network_file import save_network

FILE = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.argument("file", type=FILE, required=False)
@click.option("--example", is_flag=True, help="Print a file to begin with.")
@click.option("--out", type=FILE, help="Where to write the network file; else FILE.network.json.")
@click.option("--record", type=FILE, help="What was done so far; else FILE.record.json.")
@click.option("--key", type=FILE, help="A keystore or a hexadecimal key, instead of a wallet.")
@home_option
@signer_options
@json_option
def command(
    file: Path | None,
    example: bool,
    out: Path | None,
    record: Path | None,
    key: Path | None,
    home: Home,
    wallet: str | None,
    password_file: Path | None,
    as_json: bool,
) -> None:
    """Put the contracts on a chain, as FILE says, and write the network file.

    Interrupted at any time, the same command goes on where it was: what is on the chain is taken
    over if it was made by just the code of this release. Run again at the end, it checks all again.
    """
    from node.deployment import deploy
    from node.deployment_config import EXAMPLE, load_deployment

    if example or file is None:
        if file is None and not example:
            raise BadInput("Name a deployment file.", "`ainur deploy --example` prints one.")
        click.echo(EXAMPLE, nl=False)
        return
    config = load_deployment(file)
    start = config.start()
    signer = signer_of(home, wallet, key, password_file)
    target = out or file.with_suffix(".network.json")
    network = deploy(
        config.rpc_endpoints,
        config.chain_id,
        signer,
        config.treasury,
        start,
        name=config.name,
        record=record or file.with_suffix(".record.json"),
        told=note,
    )
    network = network.with_bootstrap(*config.bootstrap)
    save_network(target, network)
    if as_json:
        emit_json({"network": str(target), **network.model_dump(mode="json")})
        return
    emit_fields({"network": str(target), **network.contracts.model_dump()})
    note(f"join it with `ainur init --network {target}`")
