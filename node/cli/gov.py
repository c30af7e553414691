"""`ainur gov`: holders change the network's parameters by vote."""

from typing import TYPE_CHECKING

import click

from node.cli.gov_propose import propose
from node.cli.gov_referee import keep_referee, referee
from node.cli.gov_vote import cancel, delegate, execute, queue, relay, vote
from node.cli.options import home_option, json_option
from node.cli.output import ain, emit_fields, emit_json, emit_table, note, utc
from node.cli.params import readable
from node.cli.session import (
    open_chain,
    open_wallet,
    parse_address,
)
from node.errors import BadInput
from node.home import Home

if TYPE_CHECKING:
    from node.chain import Chain
    from node.governance import Outlook, Proposal

QUORUM_BAR = 20
"""Characters of a quorum's bar."""


@click.group()
def command() -> None:
    """Propose, vote on and execute changes of parameters."""


for _command in (propose, delegate, vote, relay, cancel, queue, execute, referee, keep_referee):
    command.add_command(_command)


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
