"""The DAO's treasury: the timelock's tokens, and the grants that votes pay out of them.

A grant is a proposal whose call transfers tokens: the timelock carries it out like any other.
"""

from dataclasses import dataclass

from node.chain import Chain
from node.chain.describe import names_of
from node.chain.handle import Transaction
from node.errors import BadInput, InsufficientFunds
from node.governance import Proposal, decoded_transfer, list_proposals
from node.rewards import rewards_of
from node.tokens import AIN, Token, Tokens, held_by


@dataclass(frozen=True, slots=True)
class Holding:
    """What the treasury has of a token besides AIN; `held` is None if that does not answer."""

    token: Token
    held: int | None
    credit: int


@dataclass(frozen=True, slots=True)
class Grant:
    """What a proposal pays, or would pay, to somebody, in smallest units of a token."""

    proposal: Proposal
    to: str
    amount_wei: int
    token: Token


def holdings_of(chain: Chain) -> list[Holding]:
    """Of every token that was ever accepted, or that the treasury was credited in."""
    treasury, tokens = chain.network.contracts.timelock, Tokens(chain)
    earned = [each.token for each in rewards_of(chain, treasury)]
    accepted = [token.address for token in tokens.ever_accepted()]
    addresses = dict.fromkeys((*accepted, *earned))
    return [
        Holding(
            tokens.of(address),
            held_by(chain, tokens.of(address), treasury),
            chain.rewards.credit_of(address, treasury),
        )
        for address in addresses
        if address != chain.token.address
    ]


def grants(chain: Chain) -> list[Grant]:
    """All grants that were ever proposed, oldest first."""
    names, tokens = names_of(chain.network.contracts.model_dump()), Tokens(chain)
    found = []
    for proposal in list_proposals(chain):
        pairs = zip(proposal.created.targets, proposal.created.calldatas, strict=True)
        for target, data in pairs:
            if (transfer := decoded_transfer(names, target, data)) is not None:
                found.append(Grant(proposal, *transfer, tokens.of(target)))
    return found


def prepare_grant(chain: Chain, to: str, amount_wei: int, token: Token = AIN) -> Transaction:
    """The call that pays a grant; InsufficientFunds where the treasury has less now."""
    if amount_wei == 0:
        raise BadInput("A grant of nothing is no grant.", "Give an amount such as 250.")
    treasury = chain.network.contracts.timelock
    money = chain.token if token.is_ain else chain.erc20(token.address)
    held = money.balance_of(treasury)
    if held < amount_wei:
        raise InsufficientFunds(
            f"The treasury {treasury} holds {token.amount(held)}, less than "
            f"{token.amount(amount_wei)}.",
            "Propose less, or have more sent or claimed to it: `ainur treasury`.",
        )
    return money.transfer(to, amount_wei)
