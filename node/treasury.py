"""The DAO's treasury: the timelock's tokens, and the grants that votes pay out of them.

A grant is a proposal whose call transfers tokens: the timelock carries it out like any other.
"""

from dataclasses import dataclass

from node.chain import Chain
from node.chain.describe import decode_call, names_of
from node.chain.handle import Transaction
from node.errors import BadInput, InsufficientFunds
from node.governance import Proposal, list_proposals


@dataclass(frozen=True, slots=True)
class Grant:
    """Tokens that a proposal pays, or would pay, to somebody."""

    proposal: Proposal
    to: str
    amount_wei: int


def grants(chain: Chain) -> list[Grant]:
    """All grants that were ever proposed, oldest first."""
    names = names_of(chain.network.contracts.model_dump())
    found = []
    for proposal in list_proposals(chain):
        pairs = zip(proposal.created.targets, proposal.created.calldatas, strict=True)
        for target, data in pairs:
            call = decode_call(names, target, data)
            if call and (call.contract, call.function) == ("ComputeToken", "transfer"):
                to, amount = call.arguments.values()
                found.append(Grant(proposal, to, amount))
    return found


def prepare_grant(chain: Chain, to: str, amount_wei: int) -> Transaction:
    """The call that pays a grant; InsufficientFunds where the treasury has less now."""
    if amount_wei == 0:
        raise BadInput("A grant of nothing is no grant.", "Give an amount such as 250.")
    treasury = chain.network.contracts.timelock
    held = chain.token.balance_of(treasury)
    if held < amount_wei:
        raise InsufficientFunds(
            f"The treasury {treasury} holds {held} wei of AIN, less than {amount_wei}.",
            "Propose less, or send tokens to it.",
        )
    return chain.token.transfer(to, amount_wei)
