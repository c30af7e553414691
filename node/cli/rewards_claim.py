"""`ainur rewards claim`: what was earned, paid out."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from node.cli.bond_owner import require_owner
from node.cli.desk import Desk, How, transacting, transaction_options
from node.cli.options import home_option
from node.cli.output import ain, note, utc
from node.cli.session import parse_address
from node.errors import BadInput, NodeError
from node.home import Home

if TYPE_CHECKING:
    from node.chain import Receipt
    from node.chain.handle import Transaction
    from node.emission import EmissionReward
    from node.rewards import Balance


@click.command("claim")
@click.option("--account", help="Claim for this address; the money goes there, not to the sender.")
@click.option("--to-bond", is_flag=True, help="Into the bond of the account, or of one you own.")
@click.option("--token", help="Claim this token alone, by symbol or address. Else AIN.")
@click.option("--all", "every", is_flag=True, help="Claim every token, a transaction for each.")
@home_option
@transaction_options
def claim(
    account: str | None, to_bond: bool, token: str | None, every: bool, home: Home, how: How
) -> None:
    """Claim all that was earned and is not paid yet, with the emission of epochs that are over.

    One transaction for all rounds of all jobs. Anyone may claim for anyone: the money goes to its
    owner, and what is its delegators' to them. What jobs in other tokens paid is its owner's alone.
    """
    from node.rewards import balances_of, rewards_of
    from node.tokens import Tokens

    _require_fit(to_bond, token, every)
    with transacting(home, how) as desk:
        chain = desk.chain
        address = parse_address(account) if account else chain.address
        if to_bond and address != chain.address:
            require_owner(chain, address)
        held = balances_of(chain, Tokens(chain), address, rewards_of(chain, address))
        _claim(desk, address, held, token, every=every, to_bond=to_bond)


def _require_fit(to_bond: bool, token: str | None, every: bool) -> None:
    if token is not None and every:
        raise BadInput("Give --token or --all, not both.")
    if to_bond and (token is not None or every):
        raise BadInput("Bonds are of AIN: --to-bond goes with neither --token nor --all.")


def _claim(
    desk: Desk, address: str, held: "Sequence[Balance]", token: str | None, *, every: bool,
    to_bond: bool,
) -> None:  # fmt: skip
    from node.emission import emissions_of
    from node.rewards import balance_called, claim_all, claim_calls, token_calls

    chain, network = desk.chain, held[0]
    wanted = held if every else [balance_called(held, token) if token else network]
    emissions: list[EmissionReward] = []
    calls: list[Transaction] = []
    if network in wanted:
        emissions = [e for e in emissions_of(chain, address) if not e.is_claimed]
        ripe = [e.epoch for e in emissions if e.is_final]
        calls = claim_calls(chain, address, network.left, ripe, to_bond=to_bond)
    calls += token_calls(chain, address, wanted)
    if not desk.how.sends and calls:
        desk.send(*calls)
    failed: list[NodeError] = []
    receipts = list(claim_all(calls, desk.send, lambda call, error: failed.append(error)))
    waiting = [e for e in emissions if not e.is_final]
    if desk.how.as_json:
        desk.emit(_document(address, held, receipts))
    else:
        _tell_all(address, held, wanted, receipts, waiting, to_bond=to_bond)
    if failed:
        raise failed[0]


def _tell_all(
    address: str,
    held: "Sequence[Balance]",
    wanted: "Sequence[Balance]",
    receipts: "Sequence[Receipt]",
    waiting: "Sequence[EmissionReward]",
    *,
    to_bond: bool,
) -> None:
    if not receipts:
        note(f"{address} has nothing to claim" + later(waiting))
    else:
        _tell(address, held, receipts, to_bond=to_bond)
        if waiting:
            note(later(waiting).removeprefix("; "))
    for each in held[1:]:
        if each.left and each not in wanted:
            note(f"{each.token.amount(each.left)} can be claimed too, by --all")


def _document(
    address: str, held: "Sequence[Balance]", receipts: "Sequence[Receipt]"
) -> dict[str, object]:
    from node.rewards import paid_by

    paid = paid_by(receipts)
    return {
        "account": address,
        "claimed_wei": paid[held[0].contract],
        "emission_claimed_wei": _emitted(receipts),
        "tokens": [
            each.token.document() | {"claimed": paid[each.contract]}
            for each in held[1:]
            if paid[each.contract]
        ],
        "transactions": [receipt.transaction for receipt in receipts],
    }


def _tell(
    address: str, held: "Sequence[Balance]", receipts: "Sequence[Receipt]", *, to_bond: bool
) -> None:
    from node.rewards import paid_by

    paid, count = paid_by(receipts), len(receipts)
    by = f"in {count} transaction{'s' * (count != 1)}"
    where = "into the bond of" if to_bond else "for"
    amounts = [each.token.amount(paid[each.contract]) for each in held if paid[each.contract]]
    emitted = _emitted(receipts)
    of_it = f", {ain(emitted)} of it emission" if paid[held[0].contract] else ""
    note(f"claimed {' and '.join(amounts)} {where} {address} {by}{of_it}")
    if for_holders := _delegators_wei(receipts):
        note(f"{ain(for_holders)} of it went to who delegated to this account")


def _emitted(receipts: "Sequence[Receipt]") -> int:
    """What of the claims was minted."""
    from node.chain.events import EmissionClaimed

    events = (event for receipt in receipts for event in receipt.events)
    return sum(event.amount for event in events if isinstance(event, EmissionClaimed))


def _delegators_wei(receipts: "Sequence[Receipt]") -> int:
    """What of the claims was the delegators'."""
    from node.chain.events import DelegatorsEarned

    events = (event for receipt in receipts for event in receipt.events)
    return sum(event.amount for event in events if isinstance(event, DelegatorsEarned))


def later(emissions: "Sequence[EmissionReward]") -> str:
    """What cannot be claimed yet, and from when some of it can."""
    if not emissions:
        return ""
    most = sum(e.amount_wei for e in emissions)
    first = min(e.claimable_at_s for e in emissions)
    return f"; at most {ain(most)} of emission can be claimed later, the first from {utc(first)}"
