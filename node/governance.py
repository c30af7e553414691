"""Proposals as people handle them: found, described, judged before they are sent.

Reads the governor's events and state. The checks here spare a person a failed transaction and
explain what to do instead; the contracts hold the rules.
"""

from dataclasses import dataclass

from node.chain import Chain
from node.chain.describe import Names, decode_call, in_words, names_of
from node.chain.events import ProposalCreated
from node.chain.handle import Transaction
from node.chain.rpc import Reverted
from node.chain.types import ZERO_ADDRESS, Parameter, ProposalState, ProposalVotes
from node.errors import BadInput, InsufficientFunds, NodeError
from node.token_votes import describe_call
from node.tokens import Tokens

ID_PREFIX_MIN = 4
"""Digits of an id's hexadecimal form that name a proposal if no other begins with them."""
_ENDED = frozenset({ProposalState.CANCELED, ProposalState.EXPIRED, ProposalState.EXECUTED})


@dataclass(frozen=True, slots=True)
class Proposal:
    """One proposal: what it says and where it stands."""

    created: ProposalCreated
    state: ProposalState
    deadline: int
    votes: ProposalVotes
    eta: int
    actions: tuple[str, ...]
    """What it would do, decoded, one line each."""

    @property
    def id_hex(self) -> str:
        """The id in 0x and 64 hexadecimal digits."""
        return f"0x{self.created.proposal_id:064x}"


@dataclass(frozen=True, slots=True)
class Outlook:
    """A proposal as one account sees it. Wei of voting power; None where it is not known yet.

    `toward_quorum`: votes for and abstentions, which count. `next_action`: who may do what now.
    """

    quorum: int | None
    toward_quorum: int
    weight: int | None
    has_voted: bool
    seconds_left: int
    next_action: str


def list_proposals(chain: Chain) -> list[Proposal]:
    """All proposals, oldest first."""
    tokens = Tokens(chain)
    return [_load(chain, created, tokens) for created in _created(chain)]


def find_proposal(chain: Chain, text: str) -> Proposal:
    """The proposal named by its id: a decimal number, or the start of the 0x form."""
    matches = [c for c in _created(chain) if _is_named(c.proposal_id, text)]
    if len(matches) != 1:
        found = f"{len(matches)} proposals have" if matches else "No proposal has"
        raise BadInput(f"{found} the id {text!r}.", "`ainur gov list` shows them.")
    return _load(chain, matches[0], Tokens(chain))


def outlook(chain: Chain, proposal: Proposal, account: str) -> Outlook:
    """How a proposal stands and what `account` can do about it; an empty one is nobody."""
    number, now_s = proposal.created.proposal_id, chain.head().timestamp
    snapshot = chain.governor.snapshot(number)
    begun = snapshot < now_s
    weight = chain.governor.past_votes(account, snapshot) if begun and account else None
    has_voted = bool(account) and chain.governor.has_voted(number, account)
    ends = {ProposalState.PENDING: snapshot, ProposalState.ACTIVE: proposal.deadline}
    ends[ProposalState.QUEUED] = proposal.eta
    left_s = max(0, ends.get(proposal.state, now_s) - now_s)
    return Outlook(
        chain.governor.quorum(snapshot) if begun else None,
        proposal.votes.for_ + proposal.votes.abstain,
        weight,
        has_voted,
        left_s,
        _next_action(chain, proposal, account, weight, has_voted, left_s),
    )


def _next_action(
    chain: Chain, proposal: Proposal, account: str, weight: int | None, voted: bool, left_s: int
) -> str:
    name = proposal.id_hex[:12]
    match proposal.state:
        case ProposalState.PENDING if account and current_votes(chain, account) == 0:
            return f"`ainur gov delegate` within {left_s} s, or this account has no vote on it"
        case ProposalState.PENDING:
            return f"wait {left_s} s, then `ainur gov vote {name} for` or against"
        case ProposalState.ACTIVE if voted:
            return f"you have voted; wait {left_s} s for the end of voting"
        case ProposalState.ACTIVE if account and not weight:
            return (
                "none: this account had no voting power when voting began; `ainur gov delegate`, "
                "or a bond, gives it a vote on later proposals"
            )
        case ProposalState.ACTIVE:
            return f"`ainur gov vote {name} for` or against, within {left_s} s"
        case ProposalState.SUCCEEDED:
            return f"anyone: `ainur gov queue {name}`"
        case ProposalState.QUEUED if left_s:
            return f"wait {left_s} s, then anyone: `ainur gov execute {name}`"
        case ProposalState.QUEUED:
            return f"anyone: `ainur gov execute {name}`"
        case _:
            return "none: it is over"


def current_votes(chain: Chain, account: str) -> int:
    """The voting power of an account now: tokens delegated to it, and what it has bonded."""
    return chain.token.votes(account) + chain.vault.votes(account)


def parse_parameter(name: str) -> Parameter:
    """The parameter that people call `name`, such as auditFloorBps."""
    for parameter in Parameter:
        if name in (parameter.label, parameter.name):
            return parameter
    known = ", ".join(parameter.label for parameter in Parameter)
    raise BadInput(f"There is no parameter {name!r}.", f"Parameters: {known}.")


def prepare_change(chain: Chain, parameter: Parameter, value: int) -> Transaction:
    """The call that sets `parameter`, tried as the timelock; BadInput if it would be refused."""
    call = chain.parameters.set(parameter, value)
    try:
        chain.simulate(call, chain.network.contracts.timelock)
    except Reverted as error:
        if error.name == "OutOfBounds":
            low, high = error.arguments["min"], error.arguments["max"]
            raise BadInput(
                f"{parameter.label} = {value} is out of bounds: it must be {low} to {high}.",
                "Tokens end in AIN: 150AIN." if parameter.label.endswith("Wei") else "",
            ) from None
        raise BadInput(
            f"{parameter.label} cannot become {value}: {error.message}",
            "Change what it depends on first.",
        ) from None
    return call


def require_proposer(chain: Chain) -> None:
    """InsufficientFunds, with what to do about it, unless the account may propose now."""
    account = chain.address
    # The governor looks at the voting power one second before the proposal's block.
    votes = chain.governor.past_votes(account, chain.head().timestamp - 1)
    needed = chain.governor.threshold()
    if votes >= needed:
        return
    if votes == 0 and chain.token.delegates(account) == ZERO_ADDRESS:
        raise InsufficientFunds(
            f"{account} has no voting power: tokens vote only once they are delegated.",
            "Delegate them to yourself with `ainur gov delegate`, then propose.",
        )
    raise InsufficientFunds(
        f"{account} has {votes} wei of voting power; a proposal needs {needed}.",
        "Ask holders to delegate to this address, or wait a second if they just did.",
    )


def unproposable(error: Reverted) -> NodeError:
    """Why the governor refused a proposal; of one that was there already, which it is."""
    if error.name != "GovernorUnexpectedProposalState":
        return error
    return BadInput(
        f"The same was proposed before: 0x{error.arguments['proposalId']:064x}.",
        "`ainur gov show` tells how it stands; with another --description it is another proposal.",
    )


def require_vote(chain: Chain, proposal: Proposal) -> None:
    """BadInput or InsufficientFunds, with the reason, unless the account may vote on it now."""
    require_ballot(chain, proposal, chain.address)


def require_ballot(chain: Chain, proposal: Proposal, voter: str) -> None:
    """The same of any voter."""
    _require_state(proposal, ProposalState.ACTIVE, _when_not_active(chain, proposal))
    if chain.governor.has_voted(proposal.created.proposal_id, voter):
        raise BadInput(f"{voter} has voted on {proposal.id_hex} already.")
    snapshot = chain.governor.snapshot(proposal.created.proposal_id)
    if chain.governor.past_votes(voter, snapshot) == 0:
        raise InsufficientFunds(
            f"{voter} had no voting power when voting on {proposal.id_hex} began.",
            "`ainur gov delegate`, or a bond, gives it a vote on later proposals.",
        )


def require_cancel(chain: Chain, proposal: Proposal) -> None:
    """BadInput, with the reason, unless the account may end the proposal now."""
    if proposal.state in _ENDED:
        raise BadInput(f"The proposal {proposal.id_hex} is {proposal.state.name.lower()}.")
    guardian, until = chain.governor.guardian()
    if chain.address == guardian and chain.head().timestamp < until:
        return
    if chain.address != proposal.created.proposer:
        raise BadInput(
            f"{chain.address} may not cancel {proposal.id_hex}.",
            "Its proposer may until voting begins, the guardian until its time ends: "
            "`ainur gov show`.",
        )
    _require_state(proposal, ProposalState.PENDING, "Once voting has begun it is the voters'.")


def require_queue(chain: Chain, proposal: Proposal) -> None:
    """BadInput, with the reason, unless the proposal can be queued now."""
    wait = max(0, proposal.deadline - chain.head().timestamp)
    hint = f"Voting ends in {wait} s." if wait else ""
    if _is(proposal, ProposalState.QUEUED):
        hint = "Next is `ainur gov execute`."
    _require_state(proposal, ProposalState.SUCCEEDED, hint)


def require_execute(chain: Chain, proposal: Proposal) -> None:
    """BadInput, with the reason, unless the proposal can be executed now."""
    hint = "Queue it first: `ainur gov queue`." if _is(proposal, ProposalState.SUCCEEDED) else ""
    _require_state(proposal, ProposalState.QUEUED, hint)
    wait = proposal.eta - chain.head().timestamp
    if wait > 0:
        raise BadInput(f"The timelock holds {proposal.id_hex} for {wait} s more.", "Wait.")


def _is(proposal: Proposal, state: ProposalState) -> bool:
    return proposal.state is state


def _require_state(proposal: Proposal, wanted: ProposalState, hint: str) -> None:
    if proposal.state is not wanted:
        raise BadInput(
            f"The proposal {proposal.id_hex} is {proposal.state.name.lower()}, "
            f"not {wanted.name.lower()}.",
            hint,
        )


def _when_not_active(chain: Chain, proposal: Proposal) -> str:
    if proposal.state is not ProposalState.PENDING:
        return "Voting is over."
    wait = chain.governor.snapshot(proposal.created.proposal_id) - chain.head().timestamp
    return f"Voting begins in {max(wait, 0) + 1} s."


def _created(chain: Chain) -> list[ProposalCreated]:
    start, head = chain.network.deployment_block, chain.head().number
    events = chain.events(start, head, (ProposalCreated,))
    return [event for event in events if isinstance(event, ProposalCreated)]


def _is_named(proposal_id: int, text: str) -> bool:
    if not text.startswith("0x"):
        return text == str(proposal_id)
    digits = text[2:].lower()
    return len(digits) >= ID_PREFIX_MIN and f"{proposal_id:064x}".startswith(digits)


def _load(chain: Chain, created: ProposalCreated, tokens: Tokens) -> Proposal:
    governor, proposal_id = chain.governor, created.proposal_id
    names = names_of(chain.network.contracts.model_dump())
    pairs = zip(created.targets, created.calldatas, strict=True)
    return Proposal(
        created,
        governor.state(proposal_id),
        governor.deadline(proposal_id),
        governor.votes(proposal_id),
        governor.eta(proposal_id),
        tuple(_describe(target, data, names, tokens) for target, data in pairs),
    )


def decoded_transfer(names: Names, target: str, data: bytes) -> tuple[str, int] | None:
    """To whom a call transfers how much of the token `target`; None if it does anything else."""
    call = decode_call(names, target, data)
    # A token that is none of the network's contracts has no name here.
    if call is None or call.function != "transfer" or call.contract not in ("", "ComputeToken"):
        return None
    to, amount = call.arguments.values()
    return str(to), int(amount)


def _describe(target: str, data: bytes, names: Names, tokens: Tokens) -> str:
    """What one call of a proposal does: a change and a grant in plain words, any other decoded."""
    found = decode_call(names, target, data)
    if (
        found is not None
        and (found.contract, found.function) == ("NetworkParameters", "set")
        and found.arguments["parameter"] < len(Parameter)
    ):
        label = Parameter(found.arguments["parameter"]).label
        return f"set {label} to {found.arguments['value']}"
    if found is not None and (found.contract, found.function) == (
        "NetworkParameters",
        "setTokenRate",
    ):
        return describe_call(tokens, found.arguments)
    if (transfer := decoded_transfer(names, target, data)) is not None:
        to, amount = transfer
        token = tokens.of(target)
        which = "" if token.is_ain else f" of {token.address}"
        return f"grant {token.amount(amount)}{which} to {to}"
    if found is not None and (found.contract, found.function) == ("RefereeSeat", "propose"):
        return f"announce {found.arguments['successor']} as the next referee"
    if found is not None and (found.contract, found.function) == ("RefereeSeat", "withdraw"):
        return "keep the referee: withdraw who waits for its seat"
    return in_words(names, target, data)
