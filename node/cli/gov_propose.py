"""`ainur gov propose`: what holders are to vote on."""

from typing import TYPE_CHECKING

import click

from node.cli.desk import Desk, How, transacting, transaction_options
from node.cli.options import AMOUNT, home_option, parse_amount
from node.cli.output import note, utc
from node.cli.session import (
    parse_address,
)
from node.errors import BadInput
from node.home import Home

if TYPE_CHECKING:
    from node.chain.handle import Transaction


@click.group("propose")
def propose() -> None:
    """Make a proposal."""


@propose.command("set")
@click.argument("name")
@click.argument("value")
@click.option("--description", required=True, help="Why: voters read it.")
@home_option
@transaction_options
def propose_set(name: str, value: str, description: str, home: Home, how: How) -> None:
    """Propose to set parameter NAME to VALUE; an amount of tokens may end in AIN."""
    from node.governance import parse_parameter, prepare_change

    parameter = parse_parameter(name)
    number = _parse_value(parameter.label, value)
    with transacting(home, how) as desk:
        _propose(desk, prepare_change(desk.chain, parameter, number), description)


@propose.command("grant")
@click.argument("address")
@click.argument("amount")
@click.option("--token", help="A token's symbol or address, if it is not AIN.")
@click.option("--description", required=True, help="Why: voters read it.")
@home_option
@transaction_options
def propose_grant(
    address: str, amount: str, token: str | None, description: str, home: Home, how: How
) -> None:
    """Propose to pay AMOUNT of the treasury's tokens to ADDRESS; `ainur treasury` shows both."""
    from node.treasury import prepare_grant

    to = parse_address(address)
    with transacting(home, how) as desk:
        units, kind = parse_amount(desk.chain, amount, token)
        _propose(desk, prepare_grant(desk.chain, to, units, kind), description)


@propose.command("accept-token")
@click.argument("address")
@click.option(
    "--rate", required=True, help="AIN that a whole token counts as where locks are made."
)
@click.option("--description", required=True, help="Why: voters read it.")
@home_option
@transaction_options
def propose_token(address: str, rate: str, description: str, home: Home, how: How) -> None:
    """Propose that jobs may be paid in the ERC-20 at ADDRESS; of an accepted one a new rate."""
    from node.token_votes import prepare_acceptance

    token = parse_address(address)
    with transacting(home, how) as desk:
        call, words = prepare_acceptance(desk.chain, token, rate)
        note(words)
        _propose(desk, call, description)


@propose.command("refuse-token")
@click.argument("token")
@click.option("--description", required=True, help="Why: voters read it.")
@home_option
@transaction_options
def propose_no_token(token: str, description: str, home: Home, how: How) -> None:
    """Propose that no new job is paid in TOKEN, an accepted one's address or symbol."""
    from node.token_votes import prepare_refusal

    with transacting(home, how) as desk:
        call, words = prepare_refusal(desk.chain, token)
        note(words)
        _propose(desk, call, description)


@propose.command("referee")
@click.argument("address")
@click.option("--description", required=True, help="Why: voters read it.")
@home_option
@transaction_options
def propose_referee(address: str, description: str, home: Home, how: How) -> None:
    """Propose ADDRESS as the next referee; once executed, it waits longer than the longest exit."""
    from node.referee import prepare_succession

    to = parse_address(address)
    with transacting(home, how) as desk:
        _propose(desk, prepare_succession(desk.chain, to), description)


@propose.command("keep-referee")
@click.option("--description", required=True, help="Why: voters read it.")
@home_option
@transaction_options
def propose_keep_referee(description: str, home: Home, how: How) -> None:
    """Propose to withdraw who waits for the referee's seat."""
    from node.referee import prepare_keeping

    with transacting(home, how) as desk:
        _propose(desk, prepare_keeping(desk.chain), description)


def _propose(desk: Desk, call: "Transaction", description: str) -> None:
    from node.chain.events import ProposalCreated
    from node.chain.rpc import Reverted
    from node.governance import require_proposer, unproposable

    require_proposer(desk.chain)
    try:
        (receipt,) = desk.send(desk.chain.governor.propose([call], description))
    except Reverted as error:
        raise unproposable(error) from None
    (created,) = [e for e in receipt.events if isinstance(e, ProposalCreated)]
    proposal = f"0x{created.proposal_id:064x}"
    if desk.how.as_json:
        desk.emit({"id": proposal, "vote_start": created.vote_start, "vote_end": created.vote_end})
        return
    click.echo(proposal)
    note(f"proposed; voting is open from {utc(created.vote_start)} to {utc(created.vote_end)}")


def _parse_value(label: str, text: str) -> int:
    if label.endswith("Wei") and text.lower().endswith("ain"):
        return AMOUNT.convert(text, None, None)
    if label.endswith("Versions"):
        return _parse_versions(label, text)
    try:
        return int(text.replace("_", ""))
    except ValueError:
        hint = "Bps are hundredths of a percent: 500 is 5%." if label.endswith("Bps") else ""
        raise BadInput(f"{label} = {text!r}: it must be a whole number.", hint) from None


def _parse_versions(label: str, text: str) -> int:
    from node.parameters import VERSION_MAX, value_of

    try:
        return value_of(int(version) for version in text.split(","))
    except ValueError:
        raise BadInput(
            f"{label} = {text!r}: it must be versions from 1 to {VERSION_MAX}, like 1,2.",
            "List all that shall be accepted: those left out are no more.",
        ) from None
