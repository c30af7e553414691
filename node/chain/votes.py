"""The contracts of votes: the parameters of a network, and who sets them."""

from collections.abc import Sequence

from node.chain.contract import Contract
from node.chain.handle import Transaction
from node.chain.types import (
    Bounds,
    Parameter,
    ProposalState,
    ProposalVotes,
    Support,
    from_abi,
)


class Parameters(Contract):
    """NetworkParameters: the DAO's knobs."""

    def get(self, parameter: Parameter) -> int:
        return int(self._handle.value("get", parameter))

    def all(self) -> dict[Parameter, int]:
        values = self._handle.value("all")
        return {parameter: int(values[parameter]) for parameter in Parameter}

    def bounds(self, parameter: Parameter) -> Bounds:
        return from_abi(Bounds, self._handle.read("bounds", parameter))

    def exposure_s(self) -> int:
        return int(self._handle.value("exposureS"))

    def set(self, parameter: Parameter, value: int) -> Transaction:
        """Only the timelock may send it: use its data in a proposal."""
        return self._handle.write("set", parameter, value)

    def token_rate(self, token: str) -> int:
        """Wei of AIN that 10^18 of a token's smallest units count as in locks; 0: not accepted."""
        return int(self._handle.value("tokenRate", token))

    def accepted_tokens(self) -> dict[str, int]:
        """The tokens besides AIN that jobs may be paid in, each with its rate."""
        tokens, rates = self._handle.read("acceptedTokens")
        return dict(zip(map(str, tokens), map(int, rates), strict=True))

    def set_token_rate(self, token: str, rate: int) -> Transaction:
        """Only the timelock may send it; 0 takes the token off the list."""
        return self._handle.write("setTokenRate", token, rate)


class Governor(Contract):
    """AinurGovernor: proposals, votes, queue, execution. Proposals are kept on chain by id."""

    def state(self, proposal_id: int) -> ProposalState:
        return ProposalState(self._handle.value("state", proposal_id))

    def snapshot(self, proposal_id: int) -> int:
        """When voting begins, Unix seconds; voting power counts as of then."""
        return int(self._handle.value("proposalSnapshot", proposal_id))

    def deadline(self, proposal_id: int) -> int:
        """When voting ends, Unix seconds."""
        return int(self._handle.value("proposalDeadline", proposal_id))

    def eta(self, proposal_id: int) -> int:
        """When a queued proposal may be executed, Unix seconds; 0 if it is not queued."""
        return int(self._handle.value("proposalEta", proposal_id))

    def votes(self, proposal_id: int) -> ProposalVotes:
        return from_abi(ProposalVotes, self._handle.read("proposalVotes", proposal_id))

    def past_votes(self, account: str, timepoint: int) -> int:
        """The voting power of an account at a second that is over: delegated and bonded tokens."""
        return int(self._handle.value("getVotes", account, timepoint))

    def has_voted(self, proposal_id: int, account: str) -> bool:
        return bool(self._handle.value("hasVoted", proposal_id, account))

    def threshold(self) -> int:
        """The voting power that a proposer needs."""
        return int(self._handle.value("proposalThreshold"))

    def quorum(self, timepoint: int) -> int:
        return int(self._handle.value("quorum", timepoint))

    def guardian(self) -> tuple[str, int]:
        """Who may veto, and until when, Unix seconds."""
        return str(self._handle.value("guardian")), int(self._handle.value("guardianUntil"))

    def nonce(self, voter: str) -> int:
        """How many ballots by signature of this voter were counted."""
        return int(self._handle.value("nonces", voter))

    def voting_delay_s(self) -> int:
        return int(self._handle.value("votingDelay"))

    def voting_period_s(self) -> int:
        return int(self._handle.value("votingPeriod"))

    def propose(self, calls: Sequence[Transaction], description: str) -> Transaction:
        return self._handle.write("propose", *_proposal(calls), description)

    def vote(self, proposal_id: int, support: Support, reason: str = "") -> Transaction:
        if reason:
            return self._handle.write("castVoteWithReason", proposal_id, support, reason)
        return self._handle.write("castVote", proposal_id, support)

    def vote_by_signature(
        self, proposal_id: int, support: int, voter: str, signature: bytes
    ) -> Transaction:
        return self._handle.write("castVoteBySig", proposal_id, support, voter, signature)

    def cancel(self, proposal_id: int) -> Transaction:
        return self._handle.write("cancel", proposal_id)

    def queue(self, proposal_id: int) -> Transaction:
        return self._handle.write("queue", proposal_id)

    def execute(self, proposal_id: int) -> Transaction:
        return self._handle.write("execute", proposal_id)


def _proposal(
    calls: Sequence[Transaction],
) -> tuple[tuple[str, ...], tuple[int, ...], tuple[bytes, ...]]:
    return (
        tuple(call.to for call in calls),
        tuple(call.value_wei for call in calls),
        tuple(call.data for call in calls),
    )
