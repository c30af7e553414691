"""`ainur stake delegate`, `undelegate`, `commission`: bonds that holders lend to another's node."""

from typing import TYPE_CHECKING

import click

from node.cli.bond_owner import operator_option, owned_account, require_owner
from node.cli.desk import Desk, How, transacting, transaction_options
from node.cli.options import AMOUNT, PERCENT, home_option
from node.cli.output import ain, note, percent, utc
from node.cli.session import parse_address
from node.errors import BadInput, InsufficientFunds
from node.home import Home

if TYPE_CHECKING:
    from node.chain import Chain
    from node.chain.handle import Transaction
    from node.chain.types import Delegation


@click.command("delegate")
@click.argument("account")
@click.argument("amount", type=AMOUNT)
@click.option(
    "--commission-max",
    type=PERCENT,
    help="Refuse if the account keeps more than this of what they earn. Else: than it keeps now.",
)
@home_option
@transaction_options
def delegate(account: str, amount: int, commission_max: int | None, home: Home, how: How) -> None:
    """Lend AMOUNT of this wallet's tokens to the bond of ACCOUNT, a node of somebody else's.

    They cover its work, share its rewards and its faults, and vote for this wallet. `ainur gov
    delegate` is another thing: it gives votes and moves nothing.
    """
    to = parse_address(account)
    if amount == 0:
        raise BadInput("A bond of nothing is no bond.", "Give an amount such as 250.")
    with transacting(home, how) as desk:
        chain = desk.chain
        commission = _require_open(chain, to)
        _require_room(chain, to, amount)
        most = commission if commission_max is None else commission_max
        calls = [chain.vault.delegate_bond(to, amount, most)]
        if chain.token.allowance(chain.address, chain.vault.address) < amount:
            calls.insert(0, chain.token.approve(chain.vault.address, amount))
        desk.send(*calls)
        mine = chain.vault.delegation_of(chain.address)
        note(f"delegated {ain(amount)}; {ain(mine.amount)} of {chain.address} are at {to} now")
        note(f"{to} keeps {percent(commission)} of what they earn; they vote for {chain.address}")
        if not chain.vault.is_active(to):
            note("it is not active: without enough of its own bonded it gets no work")


@click.command("undelegate")
@click.argument("amount", type=AMOUNT, required=False)
@click.option("--all", "everything", is_flag=True, help="Ask for all that this wallet delegated.")
@click.option("--withdraw", is_flag=True, help="Pay out what was asked for.")
@click.option("--cancel", is_flag=True, help="Leave delegated what was asked for.")
@click.option(
    "--of",
    "holder",
    metavar="HOLDER",
    help="With --withdraw: pay out to this holder what it asked for. Anyone may, for the gas.",
)
@home_option
@transaction_options
def undelegate(
    amount: int | None,
    everything: bool,
    withdraw: bool,
    cancel: bool,
    holder: str | None,
    home: Home,
    how: How,
) -> None:
    """Ask for AMOUNT of what this wallet delegated back; after the delay, --withdraw pays it out.

    Until it is paid out it votes, and a fault of the node can still cost it. What the node has
    earned until now is shared first: what is leaving adds nothing to the delegators' part.

    What waits after its delay votes on and takes room from others: who minds, such as the node's
    owner, ends the exit of a HOLDER with --withdraw --of HOLDER.
    """
    if holder is not None and not withdraw:
        raise BadInput("--of HOLDER is for --withdraw: nobody else asks or cancels for a holder.")
    if [amount is not None, everything, withdraw, cancel].count(True) != 1:
        raise BadInput("Give one of: an AMOUNT, --all, --withdraw, --cancel.")
    with transacting(home, how) as desk:
        if withdraw and holder is not None:
            _withdraw_of(desk, parse_address(holder))
        elif withdraw:
            _withdraw(desk)
        elif cancel:
            desk.send(desk.chain.vault.cancel_undelegate())
            note("nothing is being withdrawn any more")
        else:
            _request(desk, amount)


@click.command("commission")
@click.argument("percentage", metavar="[PERCENT]", type=PERCENT, required=False)
@click.option("--close", is_flag=True, help="Take no more until a commission is set again.")
@operator_option
@home_option
@transaction_options
def commission(
    percentage: int | None, close: bool, operator: str | None, home: Home, how: How
) -> None:
    """Let others delegate to this node's bond, and keep PERCENT of what their tokens earn.

    It may fall at any time, and rise only while nothing is delegated.
    """
    if (percentage is None) != close:
        raise BadInput("Give one of: a PERCENT such as 5, --close.")
    with transacting(home, how) as desk:
        chain = desk.chain
        account = owned_account(chain, operator)
        require_owner(chain, account)
        if percentage is None:
            desk.send(chain.vault.close_delegations(account))
            note(f"{account} takes no more; who has delegated stays as long as it likes")
            return
        _require_commission(chain, account, percentage)
        desk.send(chain.vault.set_commission(account, percentage))
        note(f"{account} keeps {percent(percentage)} of what delegated tokens earn")
        note(f"others delegate with `ainur stake delegate {account} AMOUNT`")


def _require_open(chain: "Chain", account: str) -> int:
    """The account's commission in basis points; BadInput if this wallet cannot delegate to it."""
    from node.chain.types import ZERO_ADDRESS

    pool = chain.vault.delegated_to(account)
    if not pool.is_open:
        raise BadInput(
            f"{account} takes no delegated bonds.",
            "The owner of its bond opens it: `ainur stake commission PERCENT`.",
        )
    elsewhere = chain.vault.delegation_of(chain.address).account
    if elsewhere not in (ZERO_ADDRESS, account):
        raise BadInput(
            f"{chain.address} has delegated to {elsewhere}, and a wallet delegates to one node.",
            "Use another wallet (`ainur wallet new`), or leave: `ainur stake undelegate --all`.",
        )
    return pool.commission_bps


def _require_room(chain: "Chain", account: str, amount: int) -> None:
    held = chain.token.balance_of(chain.address)
    if held < amount:
        raise InsufficientFunds(
            f"{chain.address} holds {ain(held)}, less than the {ain(amount)} to be delegated.",
            "Send tokens to it, or delegate less.",
        )
    own = chain.vault.bond_of(account) - chain.vault.pending_of(account).amount
    # What the account has earned is shared first, and what its delegators have of it stays there.
    credit = chain.rewards.credit_of(chain.token.address, account)
    pool = chain.vault.delegated_to(account)
    soon = pool.amount - pool.leaving + chain.vault.delegators_part(account, credit)
    room = max(0, own - soon)
    if amount > room:
        raise BadInput(
            f"{account} takes {ain(room)} more: what others delegate is never more than its own "
            f"bond, {ain(own)}.",
            "Delegate less, or to another node.",
        )


def _require_commission(chain: "Chain", account: str, percentage: int) -> None:
    pool = chain.vault.delegated_to(account)
    if pool.amount and percentage > pool.commission_bps:
        raise BadInput(
            f"{ain(pool.amount)} are delegated to {account} at {percent(pool.commission_bps)}: "
            "the commission cannot rise until they have left.",
            "Lower it, or leave it as it is.",
        )


def _delegation(chain: "Chain", holder: str = "") -> "Delegation":
    """What a holder, by default this wallet, has delegated; BadInput if nothing."""
    from node.chain.types import ZERO_ADDRESS

    mine = chain.vault.delegation_of(holder or chain.address)
    if mine.account == ZERO_ADDRESS:
        raise BadInput(
            f"{holder or chain.address} has delegated no bond.",
            "It would do so with `ainur stake delegate ACCOUNT AMOUNT`.",
        )
    return mine


def _request(desk: Desk, amount: int | None) -> None:
    chain = desk.chain
    mine = _delegation(chain)
    there = mine.amount - mine.leaving
    if amount is None:
        desk.send(*_due(chain, mine), chain.vault.request_undelegate())
    elif 0 < amount <= there:
        desk.send(*_due(chain, mine), chain.vault.request_undelegate(amount))
    else:
        raise InsufficientFunds(
            f"{ain(amount)} cannot be asked back: {ain(there)} are delegated and not leaving.",
            "`ainur stake show` tells what there is.",
        )
    mine = _delegation(chain)
    note(f"{ain(mine.leaving)}, as of now, can be withdrawn from {utc(mine.available_at)} on:")
    note("  ainur stake undelegate --withdraw")


def _due(chain: "Chain", mine: "Delegation") -> "list[Transaction]":
    """A claim of what the account has earned, if anything: it is shared by what is not leaving, and
    an exit waits for no claim.
    """
    if not chain.rewards.credit_of(chain.token.address, mine.account):
        return []
    return [chain.rewards.claim(chain.token.address, mine.account)]


def _withdraw(desk: Desk) -> None:
    chain = desk.chain
    mine = _delegation(chain)
    if mine.available_at == 0:
        raise BadInput(
            "Nothing is being withdrawn.", "Ask for it: `ainur stake undelegate AMOUNT`."
        )
    _require_ripe(chain, mine)
    before = chain.token.balance_of(chain.address)
    desk.send(*_due(chain, mine), chain.vault.withdraw_delegated())
    note(f"withdrew {ain(chain.token.balance_of(chain.address) - before)} to {chain.address}")


def _withdraw_of(desk: Desk, holder: str) -> None:
    """No claim before it: what is leaving has no part of one, and a claim ends no exit."""
    chain = desk.chain
    theirs = _delegation(chain, holder)
    if theirs.available_at == 0:
        raise BadInput(f"{holder} withdraws nothing.", "It alone can ask for what it delegated.")
    _require_ripe(chain, theirs)
    before = chain.token.balance_of(holder)
    desk.send(chain.vault.withdraw_delegated_of(holder))
    paid = ain(chain.token.balance_of(holder) - before)
    note(f"{paid} left {theirs.account} and are {holder}'s again")


def _require_ripe(chain: "Chain", exit: "Delegation") -> None:
    now = chain.head().timestamp
    if now < exit.available_at:
        raise BadInput(
            f"{ain(exit.leaving)} can be withdrawn from {utc(exit.available_at)} on, "
            f"in {exit.available_at - now} s.",
            "Try again then.",
        )
