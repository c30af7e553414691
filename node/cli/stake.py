"""`ainur stake`: the bond that a node works under, and who owns it."""

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from node.cli.bond_owner import operator_option, owned_account, require_owner
from node.cli.desk import Desk, How, transacting, transaction_options
from node.cli.options import AMOUNT, home_option, json_option
from node.cli.output import Cell, ain, emit_fields, emit_json, note, percent, utc
from node.cli.session import open_chain, open_wallet, parse_address
from node.cli.stake_delegated import commission, delegate, undelegate
from node.cli.stake_first import FirstBondView
from node.errors import BadInput, InsufficientFunds
from node.home import Home
from node.identity import load_seed, peer_id_bytes, peer_id_text

if TYPE_CHECKING:
    from node.chain import Chain
    from node.chain.types import DelegatedBond, Delegation


@click.group()
def command() -> None:
    """Add, remove and show this node's bond, and delegate to that of another."""


for _command in (delegate, undelegate, commission):
    command.add_command(_command)


@command.command("add")
@click.argument("amount", type=AMOUNT)
@operator_option
@home_option
@transaction_options
def add(amount: int, operator: str | None, home: Home, how: How) -> None:
    """Bond AMOUNT tokens for the node of this home. Every open unit locks a part of them, which a
    fault costs.
    """
    if amount == 0:
        raise BadInput("A bond of nothing is no bond.", "Give an amount such as 250.")
    with transacting(home, how) as desk:
        chain = desk.chain
        account = owned_account(chain, operator)
        held = chain.token.balance_of(chain.address)
        if held < amount:
            raise InsufficientFunds(
                f"{chain.address} holds {ain(held)}, less than the {ain(amount)} to be bonded.",
                "Send tokens to it, or bond less.",
            )
        if account == chain.address:
            peer_id = peer_id_bytes(load_seed(home.peer_key))
            _tell_new_peer(chain, account, peer_id)
            calls = [chain.vault.bond(amount, peer_id)]
        else:
            calls = [chain.vault.bond_for(account, amount)]
        if chain.token.allowance(chain.address, chain.vault.address) < amount:
            calls.insert(0, chain.token.approve(chain.vault.address, amount))
        desk.send(*calls)
        bond = chain.vault.bond_of(account)
        note(f"bonded {ain(amount)}; the bond of {account} is now {ain(bond)}")
        _tell_rest(chain, account)


def _tell_new_peer(chain: "Chain", account: str, peer_id: bytes) -> None:
    """A home whose account works elsewhere already would take it over without a word."""
    before = chain.vault.peer_id_of(account)
    if before not in (b"", peer_id):
        note(
            f"{account} has its bond for the node {peer_id_text(before)}; from now on it is for "
            f"that of this home, {peer_id_text(peer_id)}"
        )


def _tell_rest(chain: "Chain", account: str) -> None:
    """What is not as a person who has just bonded may think."""
    from node.chain.types import Parameter

    owner = chain.vault.owner_of(account)
    if owner != chain.address:
        note(f"it belongs to {owner}, who alone can remove it and votes with it")
    if not chain.vault.is_active(account):
        least = chain.parameters.get(Parameter.MIN_BOND_WEI)
        note(f"not active yet: a node needs {ain(least)} that it is not withdrawing")


@command.command("earn")
@home_option
@transaction_options
def earn(home: Home, how: How) -> None:
    """Earn a first bond without any tokens, by blind audits of others' work. Needs only gas.

    Registers this home's wallet; its running node then audits units whenever it is drawn for one.
    What it earns is retained until it is a bond, then paid out: the node does that, or this
    command. `ainur stake show` tells how far it is.
    """
    from node.chain.types import Parameter

    with transacting(home, how) as desk:
        chain, bonds = desk.chain, desk.chain.first_bonds
        state = bonds.newcomer_of(chain.address)
        least = chain.parameters.get(Parameter.MIN_BOND_WEI)
        if state.has_left:
            raise BadInput(
                f"{chain.address} has earned its first bond and was paid.", "`ainur stake add`."
            )
        if state.retained_wei >= least:
            desk.send(bonds.pay_out())
            note(f"paid out {ain(state.retained_wei)}; bond it with `ainur stake add`")
            return
        if bond := chain.vault.bond_of(chain.address):
            raise BadInput(
                f"{chain.address} has a bond of {ain(bond)}; a first bond is for who has none.",
                "Add to it: `ainur stake add AMOUNT`.",
            )
        if until := bonds.registered_until(chain.address):
            note(f"registered until {utc(until)} already; an audit that earns renews it")
            return
        desk.send(bonds.register())
        note(f"registered until {utc(bonds.registered_until(chain.address))}")
        note("keep the node running: `ainur node start`; how far it is: `ainur stake show`")


@command.command("remove")
@click.argument("amount", type=AMOUNT, required=False)
@click.option("--all", "everything", is_flag=True, help="Remove the whole bond.")
@click.option("--withdraw", is_flag=True, help="Pay out what was asked for.")
@click.option("--cancel", is_flag=True, help="Keep bonded what was asked for.")
@operator_option
@home_option
@transaction_options
def remove(
    amount: int | None,
    everything: bool,
    withdraw: bool,
    cancel: bool,
    operator: str | None,
    home: Home,
    how: How,
) -> None:
    """Ask for AMOUNT of the bond back; after the delay, --withdraw pays it out.

    Until it is paid out, a fault can still cost it.
    """
    if [amount is not None, everything, withdraw, cancel].count(True) != 1:
        raise BadInput("Give one of: an AMOUNT, --all, --withdraw, --cancel.")
    with transacting(home, how) as desk:
        account = owned_account(desk.chain, operator)
        require_owner(desk.chain, account)
        if withdraw:
            _withdraw(desk, account)
        elif cancel:
            desk.send(desk.chain.vault.cancel_unbond(_other(desk.chain, account)))
            note("nothing is being withdrawn any more")
        else:
            _request(desk, account, amount)


@command.command("owner")
@click.argument("address")
@operator_option
@home_option
@transaction_options
def owner(address: str, operator: str | None, home: Home, how: How) -> None:
    """Offer the bond of this home's node to ADDRESS, a key that is kept elsewhere.

    Once ADDRESS has accepted, it alone removes the bond and votes with it; this node goes on
    working, and its rewards are still its own. ADDRESS bonds with `stake add --operator`.
    """
    to = parse_address(address)
    with transacting(home, how) as desk:
        chain = desk.chain
        account = owned_account(chain, operator)
        require_owner(chain, account)
        calls = [chain.vault.offer_owner(account, to)]
        if account == chain.address and not chain.vault.peer_id_of(account):
            calls.append(chain.vault.set_peer_id(peer_id_bytes(load_seed(home.peer_key))))
        desk.send(*calls)
        note(f"offered the bond of {account} to {to}, which takes it with:")
        note(f"  ainur stake accept {account}")


@command.command("accept")
@click.argument("operator")
@home_option
@transaction_options
def accept(operator: str, home: Home, how: How) -> None:
    """Become the owner of the bond of OPERATOR, which has offered it to this wallet."""
    account = parse_address(operator)
    with transacting(home, how) as desk:
        chain = desk.chain
        offered = chain.vault.offered_owner_of(account)
        if offered != chain.address:
            raise BadInput(
                f"The bond of {account} is not offered to {chain.address}.",
                f"Its owner offers it: `ainur stake owner {chain.address}`.",
            )
        desk.send(chain.vault.accept_owner(account))
        note(f"{chain.address} owns the bond of {account}, {ain(chain.vault.bond_of(account))}")
        note(f"add to it with `ainur stake add AMOUNT --operator {account}`")


@command.command("show")
@click.option("--account", help="An address, instead of this home's wallet.")
@home_option
@json_option
def show(account: str | None, home: Home, as_json: bool) -> None:
    """Show a bond: whose, how much, whether active, what is locked, leaving, delegated."""
    from node.chain.types import ZERO_ADDRESS, Parameter

    address = parse_address(account) if account else open_wallet(home).address
    with open_chain(home) as chain:
        bond, owner = chain.vault.bond_of(address), chain.vault.owner_of(address)
        offered = chain.vault.offered_owner_of(address)
        pending = chain.vault.pending_of(address)
        locked, free = chain.vault.locked_of(address), chain.vault.free_of(address)
        active = chain.vault.is_active(address)
        peer_id = chain.vault.peer_id_of(address)
        least = chain.parameters.get(Parameter.MIN_BOND_WEI)
        clean = chain.ledger.clean_units(address)
        pool = chain.vault.delegated_to(address)
        lent = chain.vault.delegation_of(address)
        first = FirstBondView.of(chain, address, least)
    elsewhere = lent.account != ZERO_ADDRESS
    if as_json:
        emit_json(
            {
                "account": address,
                "owner": owner,
                "offered_to": None if offered == ZERO_ADDRESS else offered,
                "bond_wei": bond,
                "active": active,
                "min_bond_wei": least,
                "locked_wei": locked,
                "free_wei": free,
                "pending_wei": pending.amount,
                "available_at": pending.available_at or None,
                "peer_id": peer_id_text(peer_id) or None,
                "clean_units": clean,
                "takes_delegated": pool.is_open,
                "commission_bps": pool.commission_bps,
                "delegated_wei": pool.amount,
                "delegated_leaving_wei": pool.leaving,
                "index_ray": pool.index,
                "delegates_to": lent.account if elsewhere else None,
                "delegates_wei": lent.amount,
                "delegates_leaving_wei": lent.leaving,
                "delegates_available_at": lent.available_at or None,
                "first_bond": asdict(first),
            }
        )
        return
    fields: dict[str, Cell] = {
        "account": address,
        "owner": "itself" if owner == address else owner,
        "offered to": None if offered == ZERO_ADDRESS else offered,
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
    of_first: dict[str, Cell] = {} if active else {**first.fields()}
    emit_fields(fields | _delegated_fields(pool, lent if elsewhere else None) | of_first)


def _delegated_fields(pool: "DelegatedBond", lent: "Delegation | None") -> dict[str, Cell]:
    """What others have delegated to the account, and what it has delegated, if anything."""
    fields: dict[str, Cell] = {"takes delegated bonds": pool.is_open}
    if pool.is_open or pool.amount:
        fields |= {
            "commission": percent(pool.commission_bps),
            "delegated to it": ain(pool.amount),
            "of that leaving": ain(pool.leaving),
            # What a token that was delegated at the start is worth: below 1 by slashes, above by
            # rewards.
            "index": f"{pool.index / 10**27:.6g}",
        }
    if lent is not None:
        fields |= {
            "has delegated": f"{ain(lent.amount)} to {lent.account}",
            "of these leaving": ain(lent.leaving),
            "available then": utc(lent.available_at) if lent.available_at else None,
        }
    return fields


def _other(chain: "Chain", account: str) -> str:
    """The account, if it is not the sender's own."""
    return "" if account == chain.address else account


def _request(desk: Desk, account: str, amount: int | None) -> None:
    chain = desk.chain
    free = chain.vault.bond_of(account) - chain.vault.pending_of(account).amount
    wanted = free if amount is None else amount
    if not 0 < wanted <= free:
        raise InsufficientFunds(
            f"{ain(wanted)} cannot be removed: {ain(free)} is bonded and not being withdrawn.",
            "`ainur stake show` tells what there is.",
        )
    desk.send(chain.vault.request_unbond(wanted, _other(chain, account)))
    pending = chain.vault.pending_of(account)
    note(f"{ain(pending.amount)} can be withdrawn from {utc(pending.available_at)} on:")
    note(
        "  ainur stake remove --withdraw"
        + (f" --operator {account}" * bool(_other(chain, account)))
    )
    if not chain.vault.is_active(account):
        note("this node is no longer active: it gets no work")


def _withdraw(desk: Desk, account: str) -> None:
    chain = desk.chain
    pending = chain.vault.pending_of(account)
    if pending.amount == 0:
        raise BadInput("Nothing is being withdrawn.", "Ask for it: `ainur stake remove AMOUNT`.")
    now = chain.head().timestamp
    if now < pending.available_at:
        raise BadInput(
            f"{ain(pending.amount)} can be withdrawn from {utc(pending.available_at)} on, "
            f"in {pending.available_at - now} s.",
            "Try again then.",
        )
    desk.send(chain.vault.withdraw(_other(chain, account)))
    note(f"withdrew {ain(pending.amount)} to {chain.address}")
