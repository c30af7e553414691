"""Proposals about the tokens that jobs may be paid in: prepared, and put in words."""

from collections.abc import Mapping
from typing import Any

from node.chain import Chain
from node.chain.handle import Transaction
from node.chain.rpc import Reverted
from node.errors import BadInput
from node.tokens import Accepted, Tokens, rate_of


def prepare_acceptance(chain: Chain, address: str, ain_per_token: str) -> tuple[Transaction, str]:
    """The call that has jobs paid in the token at `address`, and in words what it does.

    A whole token counts as so many AIN where locks are computed. BadInput where the contract would
    refuse it now.
    """
    token = Tokens(chain).of(address)
    if token.is_ain:
        raise BadInput("AIN is accepted, of itself and for ever.", "Name another token.")
    rate = rate_of(token, ain_per_token)
    call = chain.parameters.set_token_rate(address, rate)
    _require_legal(chain, call)
    return call, described_rate(Accepted(token, rate))


def prepare_refusal(chain: Chain, text: str) -> tuple[Transaction, str]:
    """The call after which no new job is paid in the token with this symbol or address."""
    token = Tokens(chain).find(text).token
    if token.is_ain:
        raise BadInput("AIN is accepted, of itself and for ever.", "Name another token.")
    call = chain.parameters.set_token_rate(token.address, 0)
    _require_legal(chain, call)
    return call, described_rate(Accepted(token, 0))


def described_rate(accepted: Accepted) -> str:
    """What setting this rate does; 0 takes the token off the list."""
    token = accepted.token
    if accepted.rate == 0:
        return f"accept no new jobs in {token.name}; those that were funded go on"
    note = f" ({token.note})" if token.note else ""
    return (
        f"accept jobs in {token.name}{note}: for locks a {token.symbol} counts as "
        f"{accepted.ain_per_token}"
    )


def describe_call(tokens: Tokens, arguments: Mapping[str, Any]) -> str:
    """A decoded call of setTokenRate in words."""
    return described_rate(Accepted(tokens.of(arguments["token"]), arguments["rate"]))


def _require_legal(chain: Chain, call: Transaction) -> None:
    try:
        chain.simulate(call, chain.network.contracts.timelock)
    except Reverted as error:
        raise BadInput(
            f"The contract would refuse it: {error.message}", "`ainur params` shows the list."
        ) from None
