"""`ainur stake`: the bond that a node works under."""

import click

from node.cli.desk import Desk, How, transacting, transaction_options
from node.cli.options import AMOUNT, home_option, json_option
from node.cli.output import ain, emit_fields, emit_json, note, utc
from node.cli.session import open_chain, open_wallet, parse_address
from node.errors import BadInput, InsufficientFunds
from node.home import Home
from node.identity import load_seed, peer_id_bytes, peer_id_text


@click.group()
def command() -> None:
    """Add, remove and show this node's bond."""


@command.command("add")
@click.argument("amount", type=AMOUNT)
@home_option
@transaction_options
def add(amount: int, home: Home, how: How) -> None:
    """Bond AMOUNT tokens for the node of this home. Every open unit locks a part of them, which a
    fault costs.
    """
    from node.chain.types import Parameter

    if amount == 0:
        raise BadInput("A bond of nothing is no bond.", "Give an amount such as 250.")
    peer_id = peer_id_bytes(load_seed(home.peer_key))
    with transacting(home, how) as desk:
        chain = desk.chain
        held = chain.token.balance_of(chain.address)
        if held < amount:
            raise InsufficientFunds(
                f"{chain.address} holds {ain(held)}, less than the {ain(amount)} to be bonded.",
                "Send tokens to it, or bond less.",
            )
        calls = [chain.vault.bond(amount, peer_id)]
        if chain.token.allowance(chain.address, chain.vault.address) < amount:
            calls.insert(0, chain.token.approve(chain.vault.address, amount))
        desk.send(*calls)
        bond = chain.vault.bond_of(chain.address)
        note(f"bonded {ain(amount)}; the bond of {chain.address} is now {ain(bond)}")
        if not chain.vault.is_active(chain.address):
            least = chain.parameters.get(Parameter.MIN_BOND_WEI)
            note(f"not active yet: a node needs {ain(least)} that it is not withdrawing")


@command.command("remove")
@click.argument("amount", type=AMOUNT, required=False)
@click.option("--all", "everything", is_flag=True, help="Remove the whole bond.")
@click.option("--withdraw", is_flag=True, help="Pay out what was asked for.")
@click.option("--cancel", is_flag=True, help="Keep bonded what was asked for.")
@home_option
@transaction_options
def remove(
    amount: int | None,
    everything: bool,
    withdraw: bool,
    cancel: bool,
    home: Home,
    how: How,
) -> None:
    """Ask for AMOUNT of the bond back; after the delay, --withdraw pays it out.

    Until it is paid out, a fault can still cost it.
    """
    if [amount is not None, everything, withdraw, cancel].count(True) != 1:
        raise BadInput("Give one of: an AMOUNT, --all, --withdraw, --cancel.")
    with transacting(home, how) as desk:
        if withdraw:
            _withdraw(desk)
        elif cancel:
            desk.send(desk.chain.vault.cancel_unbond())
            note("nothing is being withdrawn any more")
        else:
            _request(desk, amount)


@command.command("show")
@click.option("--account", help="An address, instead of this home's wallet.")
@home_option
@json_option
def show(account: str | None, home: Home, as_json: bool) -> None:
    """Show a bond: how much, whether the node is active, what is locked, what is leaving."""
    from node.chain.types import Parameter

    address = parse_address(account) if account else open_wallet(home).address
    with open_chain(home) as chain:
        bond = chain.vault.bond_of(address)
        pending = chain.vault.pending_of(address)
        locked, free = chain.vault.locked_of(address), chain.vault.free_of(address)
        active = chain.vault.is_active(address)
        peer_id = chain.vault.peer_id_of(address)
        least = chain.parameters.get(Parameter.MIN_BOND_WEI)
        clean = chain.ledger.clean_units(address)
    if as_json:
        emit_json(
            {
                "account": address,
                "bond_wei": bond,
                "active": active,
                "min_bond_wei": least,
                "locked_wei": locked,
                "free_wei": free,
                "pending_wei": pending.amount,
                "available_at": pending.available_at or None,
                "peer_id": peer_id_text(peer_id) or None,
                "clean_units": clean,
            }
        )
        return
    emit_fields(
        {
            "account": address,
            "bond": ain(bond),
            "active": active,
            "least bond": ain(least),
            "locked for open units": ain(locked),
            "free for more": ain(free),
            "withdrawing": ain(pending.amount),
            "available": utc(pending.available_at) if pending.amount else None,
            "peer id": peer_id_text(peer_id) or None,
            "clean units": clean,
        }
    )


def _request(desk: Desk, amount: int | None) -> None:
    chain = desk.chain
    free = chain.vault.bond_of(chain.address) - chain.vault.pending_of(chain.address).amount
    wanted = free if amount is None else amount
    if not 0 < wanted <= free:
        raise InsufficientFunds(
            f"{ain(wanted)} cannot be removed: {ain(free)} is bonded and not being withdrawn.",
            "`ainur stake show` tells what there is.",
        )
    desk.send(chain.vault.request_unbond(wanted))
    pending = chain.vault.pending_of(chain.address)
    note(f"{ain(pending.amount)} can be withdrawn from {utc(pending.available_at)} on:")
    note("  ainur stake remove --withdraw")
    if not chain.vault.is_active(chain.address):
        note("this node is no longer active: it gets no work")


def _withdraw(desk: Desk) -> None:
    chain = desk.chain
    pending = chain.vault.pending_of(chain.address)
    if pending.amount == 0:
        raise BadInput("Nothing is being withdrawn.", "Ask for it: `ainur stake remove AMOUNT`.")
    now = chain.head().timestamp
    if now < pending.available_at:
        raise BadInput(
            f"{ain(pending.amount)} can be withdrawn from {utc(pending.available_at)} on, "
            f"in {pending.available_at - now} s.",
            "Try again then.",
        )
    desk.send(chain.vault.withdraw())
    note(f"withdrew {ain(pending.amount)} to {chain.address}")
