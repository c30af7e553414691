"""`ainur gov`: holders change the network's parameters by vote."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from node.cli.desk import Desk, How, transacting, transaction_options
from node.cli.options import AMOUNT, home_option, json_option, parse_amount
from node.cli.output import ain, emit_fields, emit_json, emit_table, note, utc
from node.cli.params import readable
from node.cli.session import (
    open_chain,
    open_signer,
    open_wallet,
    parse_address,
)
from node.errors import BadInput
from node.home import Home

if TYPE_CHECKING:
    from node.chain import Chain
    from node.chain.handle import Transaction
    from node.chain.sender import Receipt
    from node.chain.types import Support
    from node.governance import Outlook, Proposal

QUORUM_BAR = 20
"""Characters of a quorum's bar."""


@click.group()
def command() -> None:
    """Propose, vote on and execute changes of parameters."""


@command.command("show")
@click.argument("proposal", required=False)
@click.option("--account", help="Whose weight and next step; else this home's wallet.")
@home_option
@json_option
def show(proposal: str | None, account: str | None, home: Home, as_json: bool) -> None:
    """Show the parameters and rules in force, or one PROPOSAL by its id.

    Of a proposal: what it does, how far it is from its quorum, and what you can do about it now.
    """
    from node.governance import find_proposal, outlook

    with open_chain(home) as chain:
        if proposal is None:
            _show_rules(chain, as_json)
            return
        found = find_proposal(chain, proposal)
        voter = _account(home, account)
        seen = outlook(chain, found, voter)
    document = _document(found)
    if as_json:
        emit_json(
            document
            | {"account": voter or None, "quorum_wei": seen.quorum, "weight_wei": seen.weight,
               "toward_quorum_wei": seen.toward_quorum, "has_voted": seen.has_voted,
               "seconds_left": seen.seconds_left, "next_action": seen.next_action}
        )  # fmt: skip
        return
    emit_fields(
        {
            "id": found.id_hex,
            "state": found.state.name.lower(),
            "proposer": found.created.proposer,
            "does": "; ".join(found.actions),
            "why": found.created.description,
            "voting": f"{utc(found.created.vote_start)} to {utc(found.deadline)}",
            "for": ain(found.votes.for_),
            "against": ain(found.votes.against),
            "abstain": ain(found.votes.abstain),
            "quorum": _quorum_bar(seen),
            "executable": utc(found.eta) if found.eta else None,
            "time left": f"{seen.seconds_left} s" if seen.seconds_left else None,
            "my weight": _weight_of(voter, seen),
            "next": seen.next_action,
        }
    )


@command.command("list")
@home_option
@json_option
def list_(home: Home, as_json: bool) -> None:
    """List all proposals, oldest first."""
    from node.governance import list_proposals

    with open_chain(home) as chain:
        proposals = list_proposals(chain)
    if as_json:
        emit_json([_document(proposal) for proposal in proposals])
        return
    emit_table(
        ("id", "state", "does", "voting ends", "for", "against"),
        [
            (
                proposal.id_hex[:18],
                proposal.state.name.lower(),
                "; ".join(proposal.actions),
                utc(proposal.deadline),
                ain(proposal.votes.for_),
                ain(proposal.votes.against),
            )
            for proposal in proposals
        ],
        empty="no proposals yet; make one: `ainur gov propose set NAME VALUE --description WHY`",
    )


@command.group("propose")
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
    from node.governance import require_proposer

    require_proposer(desk.chain)
    (receipt,) = desk.send(desk.chain.governor.propose([call], description))
    (created,) = [e for e in receipt.events if isinstance(e, ProposalCreated)]
    proposal = f"0x{created.proposal_id:064x}"
    if desk.how.as_json:
        desk.emit({"id": proposal, "vote_start": created.vote_start, "vote_end": created.vote_end})
        return
    click.echo(proposal)
    note(f"proposed; voting is open from {utc(created.vote_start)} to {utc(created.vote_end)}")


@command.command("delegate")
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


@command.command("vote")
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


@command.command("relay")
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


@command.command("cancel")
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


@command.command("queue")
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


@command.command("execute")
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


@command.command("referee")
@home_option
@json_option
def referee(home: Home, as_json: bool) -> None:
    """Show who decides disputes, and who waits for that seat until when."""
    from node.referee import seat_of

    with open_chain(home) as chain:
        seat = seat_of(chain)
    if as_json:
        emit_json(
            {"referee": seat.referee, "known": seat.is_known,
             "successor": seat.successor or None, "seated_at": seat.seated_at_s or None,
             "notice_s": seat.notice_s}
        )  # fmt: skip
        return
    emit_fields(
        {
            "referee": seat.referee + ("" if seat.is_known else ", not that of the network file"),
            "successor": seat.successor or None,
            "has the seat from": utc(seat.seated_at_s) if seat.successor else None,
            "notice": f"{seat.notice_s // 86_400} days, longer than the longest exit",
        }
    )
    if seat.successor:
        note("whoever does not want to be judged by it can leave before: `ainur stake remove`")


@command.command("keep-referee")
@home_option
@transaction_options
def keep_referee(home: Home, how: How) -> None:
    """As the guardian, withdraw who waits for the referee's seat. Else `propose keep-referee`."""
    from node.referee import require_guardian

    with transacting(home, how) as desk:
        require_guardian(desk.chain)
        desk.send(desk.chain.seat.withdraw())
        note("withdrawn; the referee stays")


@command.command("power")
@click.option("--account", help="An address, instead of this home's wallet.")
@home_option
@json_option
def power(account: str | None, home: Home, as_json: bool) -> None:
    """Show how many tokens an account holds and votes with, and who votes with its tokens.

    What it has bonded, or delegated to a bond, votes for itself, whoever votes with its tokens.
    """
    from node.chain.types import ZERO_ADDRESS
    from node.governance import current_votes

    address = parse_address(account) if account else open_wallet(home).address
    with open_chain(home) as chain:
        held = chain.token.balance_of(address)
        bonded = chain.vault.votes(address)
        votes = current_votes(chain, address)
        delegate_to = chain.token.delegates(address)
    chosen = None if delegate_to == ZERO_ADDRESS else delegate_to
    if as_json:
        emit_json(
            {"account": address, "token_wei": held, "bonded_wei": bonded, "votes_wei": votes,
             "delegate": chosen}
        )  # fmt: skip
        return
    emit_fields(
        {
            "account": address,
            "tokens": ain(held),
            "bonded": ain(bonded),
            "votes": ain(votes),
            "delegate": chosen,
        }
    )


def _show_rules(chain: "Chain", as_json: bool) -> None:
    values = chain.parameters.all()
    bounds = {parameter: chain.parameters.bounds(parameter) for parameter in values}
    governor = chain.governor
    guardian, guardian_until = governor.guardian()
    rules = {
        "voting_delay_s": governor.voting_delay_s(),
        "voting_period_s": governor.voting_period_s(),
        "threshold_wei": governor.threshold(),
        "quorum_wei": governor.quorum(chain.head().timestamp - 1),
    }
    veto = {"account": guardian, "until": guardian_until}
    if as_json:
        parameters = {
            p.label: {"value": value, "min": bounds[p].min, "max": bounds[p].max}
            for p, value in values.items()
        }
        emit_json({"parameters": parameters, "rules": rules, "guardian": veto})
        return
    emit_table(
        ("parameter", "value", "least", "greatest"),
        [
            (p.label, *(readable(p.label, n) for n in (value, bounds[p].min, bounds[p].max)))
            for p, value in values.items()
        ],
    )
    for name, value in rules.items():
        note(f"{name.removesuffix('_wei')} {readable(name, value)}")
    note(f"guardian {guardian}, may veto until {utc(guardian_until)}")


def _weight(receipt: "Receipt") -> int:
    from node.chain.events import VoteCast

    return sum(event.weight for event in receipt.events if isinstance(event, VoteCast))


def _account(home: Home, chosen: str | None) -> str:
    """The account to look through: the one given, or this home's wallet if it has one."""
    if chosen:
        return parse_address(chosen)
    try:
        return open_wallet(home).address
    except BadInput:
        return ""


def _quorum_bar(seen: "Outlook") -> str:
    if seen.quorum is None:
        return "known when voting begins"
    part = min(seen.toward_quorum / seen.quorum, 1.0) if seen.quorum else 1.0
    filled = int(part * QUORUM_BAR)
    bar = "#" * filled + "-" * (QUORUM_BAR - filled)
    return f"[{bar}] {part:.0%} of {ain(seen.quorum)}, for and abstain count"


def _weight_of(voter: str, seen: "Outlook") -> str | None:
    if not voter:
        return None
    if seen.weight is None:
        return "known when voting begins"
    return ain(seen.weight) + (", voted" if seen.has_voted else "")


def _document(proposal: "Proposal") -> dict[str, object]:
    return {
        "id": proposal.id_hex,
        "state": proposal.state.name.lower(),
        "proposer": proposal.created.proposer,
        "actions": list(proposal.actions),
        "description": proposal.created.description,
        "vote_start": proposal.created.vote_start,
        "vote_end": proposal.deadline,
        "for_wei": proposal.votes.for_,
        "against_wei": proposal.votes.against,
        "abstain_wei": proposal.votes.abstain,
        "eta": proposal.eta or None,
    }


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
