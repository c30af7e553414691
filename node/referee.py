"""The referee's seat as people see it: who judges now, who waits for it, and who may stop that.

The contract holds the rules (docs/spec/contracts.md, "The referee's seat"); what is checked here
spares a person a failed transaction and a proposal that could never be carried out.
"""

from dataclasses import dataclass

from node.chain import Chain, Reverted
from node.chain.handle import Transaction
from node.chain.types import ZERO_ADDRESS
from node.errors import BadInput


@dataclass(frozen=True, slots=True)
class Seat:
    """Who has the seat. `successor` is empty and `seated_at_s` 0 if nobody waits for it."""

    referee: str
    successor: str
    seated_at_s: int
    notice_s: int
    is_known: bool
    """Whether the referee is the committee of our network file, so that our node can serve it."""


def seat_of(chain: Chain) -> Seat:
    """How the seat stands now."""
    referee = chain.seat.referee()
    waiting = chain.seat.pending()
    successor = "" if waiting.successor == ZERO_ADDRESS else waiting.successor
    return Seat(
        referee,
        successor,
        waiting.seated_at,
        chain.seat.notice_s(),
        referee == chain.network.contracts.committee,
    )


def prepare_succession(chain: Chain, referee: str) -> Transaction:
    """The call that announces `referee`, tried as the timelock; BadInput if it would be refused."""
    return _tried(chain, chain.seat.propose(referee), f"{referee} cannot be announced")


def prepare_keeping(chain: Chain) -> Transaction:
    """The call by which the DAO withdraws who waits; BadInput if nobody does."""
    return _tried(chain, chain.seat.withdraw(), "Nobody can be withdrawn")


def require_guardian(chain: Chain) -> None:
    """BadInput unless the account is the guardian, in its time, and somebody waits."""
    guardian, until_s = chain.governor.guardian()
    if chain.address != guardian or chain.head().timestamp >= until_s:
        raise BadInput(
            f"{chain.address} is no guardian, or its time is over.",
            "The DAO withdraws by vote: `ainur gov propose keep-referee`.",
        )
    if not seat_of(chain).successor:
        raise BadInput("No successor waits for the referee's seat.", "`ainur gov referee` shows.")


def _tried(chain: Chain, call: Transaction, refused: str) -> Transaction:
    try:
        chain.simulate(call, chain.network.contracts.timelock)
    except Reverted as error:
        raise BadInput(f"{refused}: {_why(error)}", "`ainur gov referee` shows the seat.") from None
    return call


def _why(error: Reverted) -> str:
    match error.name:
        case "BadReferee":
            return "it has no code, reports to another seat, or judges already."
        case "AlreadyProposed":
            return f"{error.arguments['successor']} waits already; withdraw it first."
        case "NothingProposed":
            return "no successor waits."
        case _:
            return error.message
