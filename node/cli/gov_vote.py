"""`ainur gov vote` and what leads to it and follows: a proposal from its vote to its end."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from node.cli.desk import How, transacting, transaction_options
from node.cli.options import home_option
from node.cli.output import ain, note, utc
from node.cli.session import (
    open_chain,
    open_signer,
    parse_address,
)
from node.errors import BadInput
from node.home import Home

if TYPE_CHECKING:
    from node.chain.sender import Receipt
    from node.chain.types import Support


@click.command("delegate")
@click.argument("address", required=False)
@home_option
@transaction_options
def delegate(address: str | None, home: Home, how: How) -> None:
    """Let ADDRESS vote with this wallet's tokens; without one, the wallet itself.

    What is bonded, or delegated to a bond, votes for the wallet itself all the same.
    """
    from node.governance import current_votes

    with transacting(home, how) as desk:
        chain = desk.chain
        to = parse_address(address) if address is not None else chain.address
        desk.send(chain.token.delegate(to))
        note(f"{to} now votes with {ain(current_votes(chain, to))} in all")


@click.command("vote")
@click.argument("proposal")
@click.argument("choice", type=click.Choice(["for", "against", "abstain"]))
@click.option("--reason", default="", help="Published with the vote.")
@click.option(
    "--sign",
    "ballot_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write a signed ballot to this file instead of sending the vote; `gov relay` sends it.",
)
@home_option
@transaction_options
def vote(
    proposal: str,
    choice: str,
    reason: str,
    ballot_file: Path | None,
    home: Home,
    how: How,
) -> None:
    """Vote on PROPOSAL."""
    from node.chain.types import Support
    from node.governance import find_proposal, require_vote

    support = Support[choice.upper()]
    if ballot_file is not None:
        if reason:
            raise BadInput("A ballot has no reason.", "Leave out --reason, or --sign.")
        _sign(proposal, support, ballot_file, home, how)
        return
    with transacting(home, how) as desk:
        chain = desk.chain
        found = find_proposal(chain, proposal)
        require_vote(chain, found)
        (receipt,) = desk.send(chain.governor.vote(found.created.proposal_id, support, reason))
        note(f"voted {choice} with {ain(_weight(receipt))}")


def _sign(
    proposal: str,
    support: "Support",
    ballot_file: Path,
    home: Home,
    how: How,
) -> None:
    from node.ballot import sign_ballot
    from node.governance import find_proposal

    signer = open_signer(home, how.wallet, how.password_file)
    with open_chain(home) as chain:
        ballot = sign_ballot(chain, signer, find_proposal(chain, proposal), support)
    ballot.write(ballot_file)
    note(f"signed; anybody can hand it in: `ainur gov relay {ballot_file}`")


@click.command("relay")
@click.argument("ballot_file", type=click.Path(dir_okay=False, path_type=Path))
@home_option
@transaction_options
def relay(ballot_file: Path, home: Home, how: How) -> None:
    """Hand in a ballot that somebody signed, and pay its gas."""
    from node.ballot import Ballot, require_countable
    from node.chain.types import Support
    from node.governance import find_proposal

    ballot = Ballot.read(ballot_file)
    with transacting(home, how) as desk:
        chain = desk.chain
        found = find_proposal(chain, ballot.proposal)
        require_countable(chain, ballot, found)
        (receipt,) = desk.send(
            chain.governor.vote_by_signature(
                found.created.proposal_id,
                ballot.support,
                ballot.voter,
                bytes.fromhex(ballot.signature[2:]),
            )
        )
        choice = Support(ballot.support).name.lower()
        note(f"{ballot.voter} voted {choice} with {ain(_weight(receipt))}")


@click.command("cancel")
@click.argument("proposal")
@home_option
@transaction_options
def cancel(proposal: str, home: Home, how: How) -> None:
    """End PROPOSAL: its proposer before voting begins, the guardian until it is executed."""
    from node.governance import find_proposal, require_cancel

    with transacting(home, how) as desk:
        chain = desk.chain
        found = find_proposal(chain, proposal)
        require_cancel(chain, found)
        desk.send(chain.governor.cancel(found.created.proposal_id))
        note(f"cancelled: {'; '.join(found.actions)}")


@click.command("queue")
@click.argument("proposal")
@home_option
@transaction_options
def queue(proposal: str, home: Home, how: How) -> None:
    """Put an accepted PROPOSAL into the timelock."""
    from node.governance import find_proposal, require_queue

    with transacting(home, how) as desk:
        chain = desk.chain
        found = find_proposal(chain, proposal)
        require_queue(chain, found)
        desk.send(chain.governor.queue(found.created.proposal_id))
        note(f"queued; can be executed from {utc(chain.governor.eta(found.created.proposal_id))}")


@click.command("execute")
@click.argument("proposal")
@home_option
@transaction_options
def execute(proposal: str, home: Home, how: How) -> None:
    """Carry out a queued PROPOSAL whose wait is over. Anyone may."""
    from node.governance import find_proposal, require_execute

    with transacting(home, how) as desk:
        chain = desk.chain
        found = find_proposal(chain, proposal)
        require_execute(chain, found)
        desk.send(chain.governor.execute(found.created.proposal_id))
        note(f"executed: {'; '.join(found.actions)}")


def _weight(receipt: "Receipt") -> int:
    from node.chain.events import VoteCast

    return sum(event.weight for event in receipt.events if isinstance(event, VoteCast))
