"""`ainur tx`: transactions in files, signed where there is no network and sent from anywhere."""

from collections.abc import Sequence
from pathlib import Path

import click

from node.cli.desk import cost
from node.cli.options import home_option, json_option, signer_options
from node.cli.output import emit_json, emit_table, note
from node.cli.session import open_chain, signer_of
from node.errors import BadInput
from node.home import Home
from node.network_file import load_network
from node.offline import Prepared, SignedFile, UnsignedFile, sign

FILE = click.Path(dir_okay=False, path_type=Path)


@click.group()
def command() -> None:
    """Sign transactions that --unsigned wrote, offline, and send them."""


@command.command("show")
@click.argument("file", type=FILE)
@home_option
@json_option
def show(file: Path, home: Home, as_json: bool) -> None:
    """Show what the transactions in FILE do, decoded from their bytes. Needs no network."""
    found: UnsignedFile | SignedFile
    try:
        found = UnsignedFile.read(file)
    except BadInput:
        found = SignedFile.read(file)
    _show(found, home, as_json)


@command.command("sign")
@click.argument("file", type=FILE)
@click.option("--out", type=FILE, help="Where to write the signed file; else FILE.signed.")
@click.option("--key", type=FILE, help="A keystore or a hexadecimal key, instead of a wallet.")
@home_option
@signer_options
@json_option
def sign_(
    file: Path,
    out: Path | None,
    key: Path | None,
    home: Home,
    wallet: str | None,
    password_file: Path | None,
    as_json: bool,
) -> None:
    """Sign the transactions in FILE. Needs no network: the key can stay on a machine without one.

    What is signed is shown first, decoded from its bytes.
    """
    unsigned = UnsignedFile.read(file)
    signer = signer_of(home, wallet, key, password_file)
    made = sign(unsigned, signer)
    target = out or file.with_name(file.name + ".signed")
    made.write(target)
    _show(made, home, as_json)
    note(f"signed; anybody can hand it in: `ainur tx send {target}`")


@command.command("send")
@click.argument("file", type=FILE)
@home_option
@json_option
def send(file: Path, home: Home, as_json: bool) -> None:
    """Send the signed transactions in FILE, in their order. Run again, it goes on where it was."""
    signed = SignedFile.read(file)
    sent = []
    with open_chain(home, account=signed.sender) as chain:
        if signed.chain_id != chain.network.chain_id:
            raise BadInput(
                f"The transactions are for chain {signed.chain_id}, this network is on "
                f"{chain.network.chain_id}."
            )
        _require_turn(
            signed, int(chain.rpc("eth_getTransactionCount", signed.sender, "latest"), 16)
        )
        for each in signed.transactions:
            words = chain.words(each.to, each.calldata, each.value_wei)
            receipt = chain.broadcast(each.raw_bytes, f"transaction {each.nonce}")
            note(f"{words}: mined in block {receipt.block}, gas {receipt.gas_used:,}")
            sent.append({"transaction": receipt.transaction, "block": receipt.block})
    if as_json:
        emit_json({"transactions": sent})


def _require_turn(signed: SignedFile, nonce: int) -> None:
    """BadInput where the first transaction would wait for others that nobody has sent."""
    first = signed.transactions[0].nonce
    if first > nonce:
        raise BadInput(
            f"The first transaction has nonce {first}, the next of {signed.sender} is {nonce}.",
            "Send what comes before it, or prepare it again.",
        )


def _show(file: UnsignedFile | SignedFile, home: Home, as_json: bool) -> None:
    from node.chain.describe import in_words, names_of

    # Without a network file addresses have no names, but the calls are decoded all the same.
    contracts = load_network(home.network).contracts.model_dump() if home.network.exists() else {}
    names = names_of(contracts)
    each: Sequence[Prepared] = file.transactions
    lines = [in_words(names, t.to, t.calldata, t.value_wei) for t in each]
    note(f"of {file.sender} on chain {file.chain_id}")
    if as_json:
        pairs = zip(each, lines, strict=True)
        shown = [{"does": line, **t.model_dump(mode="json")} for t, line in pairs]
        emit_json({"sender": file.sender, "chain_id": file.chain_id, "transactions": shown})
        return
    rows = [(t.nonce, line, t.gas, cost(t.most_wei)) for t, line in zip(each, lines, strict=True)]
    emit_table(("nonce", "does", "gas at most", "cost at most"), rows)
