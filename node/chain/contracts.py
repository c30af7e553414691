"""The contracts, one class each, one method per call (docs/spec/contracts.md).

A read returns its value now; it blocks on the network. A write returns a `Transaction` to be sent
by `Chain.send` or `AsyncChain.send`; preparing it touches no network.
"""

from collections.abc import Sequence

from node.chain.describe import UINT256_MAX
from node.chain.handle import Handle, Transaction
from node.chain.types import (
    Batch,
    Bounds,
    Claim,
    ClaimedUnit,
    DelegatedBond,
    Delegation,
    Dispute,
    EmissionPlan,
    EmissionSchedule,
    EmissionShare,
    EpochEmission,
    FinalizedRound,
    Job,
    JobTerms,
    Lease,
    Lineage,
    Newcomer,
    NewcomerPlace,
    Opening,
    Parameter,
    Pending,
    ProposalState,
    ProposalVotes,
    RoundState,
    Succession,
    Support,
    Unit,
    from_abi,
)
from node.ids import JobId, UnitId


class Contract:
    """What every contract class has: its handle, hence its address."""

    def __init__(self, handle: Handle) -> None:
        self._handle = handle

    @property
    def address(self) -> str:
        """The contract's address."""
        return self._handle.address


class Token(Contract):
    """ComputeToken: AIN, with votes."""

    def balance_of(self, account: str) -> int:
        return int(self._handle.value("balanceOf", account))

    def total_supply(self) -> int:
        return int(self._handle.value("totalSupply"))

    def allowance(self, owner: str, spender: str) -> int:
        return int(self._handle.value("allowance", owner, spender))

    def votes(self, account: str) -> int:
        """The voting power that is delegated to `account` now."""
        return int(self._handle.value("getVotes", account))

    def delegates(self, account: str) -> str:
        return str(self._handle.value("delegates", account))

    def schedule(self) -> EmissionSchedule:
        """What may be minted for work, and when: fixed at deployment."""
        plan = EmissionPlan(
            epoch_s=int(self._handle.value("epochS")),
            first_budget_wei=int(self._handle.value("firstBudgetWei")),
            halving_epochs=int(self._handle.value("halvingEpochs")),
        )
        return EmissionSchedule(int(self._handle.value("emissionStart")), plan)

    def scheduled_wei(self) -> int:
        """What may have been minted until now."""
        return int(self._handle.value("scheduledWei"))

    def emitted_wei(self) -> int:
        """What was minted for work so far."""
        return int(self._handle.value("emittedWei"))

    def approve(self, spender: str, amount: int) -> Transaction:
        return self._handle.write("approve", spender, amount)

    def transfer(self, to: str, amount: int) -> Transaction:
        return self._handle.write("transfer", to, amount)

    def delegate(self, to: str) -> Transaction:
        return self._handle.write("delegate", to)


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


class Vault(Contract):
    """BondVault: bonds and who is active."""

    def bond_of(self, account: str) -> int:
        return int(self._handle.value("bondOf", account))

    def pending_of(self, account: str) -> Pending:
        return from_abi(Pending, self._handle.read("pendingOf", account))

    def locked_of(self, account: str) -> int:
        return int(self._handle.value("lockedOf", account))

    def free_of(self, account: str) -> int:
        """What may be locked for a further unit."""
        return int(self._handle.value("freeOf", account))

    def votes(self, owner: str) -> int:
        """The voting power of what `owner` has bonded now."""
        return int(self._handle.value("votesOf", owner))

    def is_active(self, account: str) -> bool:
        return bool(self._handle.value("isActive", account))

    def active_count(self) -> int:
        return int(self._handle.value("activeCount"))

    def active_at(self, place: int) -> str:
        return str(self._handle.value("activeAt", place))

    def peer_id_of(self, account: str) -> bytes:
        return bytes(self._handle.value("peerIdOf", account))

    def owner_of(self, account: str) -> str:
        """Who alone gets the account's bond out and votes with it: itself by default."""
        return str(self._handle.value("ownerOf", account))

    def offered_owner_of(self, account: str) -> str:
        """Whom the account's bond is offered to; ZERO_ADDRESS for nobody."""
        return str(self._handle.value("offeredOwnerOf", account))

    def bond(self, amount: int, peer_id: bytes) -> Transaction:
        return self._handle.write("bond", amount, peer_id)

    def bond_for(self, account: str, amount: int) -> Transaction:
        """Only the account's owner may send it; `bond` is for one's own account."""
        return self._handle.write("bondFor", account, amount)

    def set_peer_id(self, peer_id: bytes) -> Transaction:
        return self._handle.write("setPeerId", peer_id)

    def offer_owner(self, account: str, to: str) -> Transaction:
        return self._handle.write("offerOwner", account, to)

    def accept_owner(self, account: str) -> Transaction:
        return self._handle.write("acceptOwner", account)

    def request_unbond(self, amount: int, account: str = "") -> Transaction:
        """Of the sender's own account, or of one that it owns; so are the next two."""
        if account:
            return self._handle.write("requestUnbondOf", account, amount)
        return self._handle.write("requestUnbond", amount)

    def cancel_unbond(self, account: str = "") -> Transaction:
        if account:
            return self._handle.write("cancelUnbondOf", account)
        return self._handle.write("cancelUnbond")

    def withdraw(self, account: str = "") -> Transaction:
        if account:
            return self._handle.write("withdrawOf", account)
        return self._handle.write("withdraw")

    def delegated_to(self, account: str) -> DelegatedBond:
        """What others have delegated to an account's bond, and on which terms."""
        return from_abi(DelegatedBond, self._handle.value("delegatedTo", account))

    def delegation_of(self, holder: str) -> Delegation:
        """What a holder has delegated, and to whom."""
        return from_abi(Delegation, self._handle.value("delegationOf", holder))

    def delegators_part(self, account: str, amount: int) -> int:
        """What of an account's reward is its delegators', as of now."""
        return int(self._handle.value("delegatorsPart", account, amount))

    def set_commission(self, account: str, commission_bps: int) -> Transaction:
        """Only the account's owner may send it; so is the next."""
        return self._handle.write("setCommission", account, commission_bps)

    def close_delegations(self, account: str) -> Transaction:
        return self._handle.write("closeDelegations", account)

    def delegate_bond(self, account: str, amount: int, commission_bps_max: int) -> Transaction:
        return self._handle.write("delegateBond", account, amount, commission_bps_max)

    def request_undelegate(self, amount: int = UINT256_MAX) -> Transaction:
        """Of what the sender has delegated; so are the next two. All, if there is not more: what a
        slash or a reward changes on the way spoils no exit.
        """
        return self._handle.write("requestUndelegate", amount)

    def cancel_undelegate(self) -> Transaction:
        return self._handle.write("cancelUndelegate")

    def withdraw_delegated(self) -> Transaction:
        return self._handle.write("withdrawDelegated")

    def withdraw_delegated_of(self, holder: str) -> Transaction:
        """Pays out to a holder what it asked for, its delay over; anyone may send it."""
        return self._handle.write("withdrawDelegatedOf", holder)

    def refresh(self, account: str) -> Transaction:
        return self._handle.write("refresh", account)


class Escrow(Contract):
    """JobEscrow: what submitters deposit."""

    def quote(self, terms: JobTerms) -> int:
        return int(self._handle.value("quote", terms))

    def job(self, job_id: JobId) -> Job:
        """All about a job; Reverted("UnknownJob") if there is none."""
        return from_abi(Job, self._handle.value("jobs", job_id))

    def held_of(self, job_id: JobId) -> int:
        return int(self._handle.value("heldOf", job_id))

    def accepts_work(self, job_id: JobId, started: bool) -> bool:
        return bool(self._handle.value("acceptsWork", job_id, started))

    def settleable_at(self, job_id: JobId) -> int:
        return int(self._handle.value("settleableAt", job_id))

    def job_count(self) -> int:
        return int(self._handle.value("jobCount"))

    def job_id_at(self, index: int) -> JobId:
        return JobId(self._handle.value("jobIdAt", index))

    def fund(self, terms: JobTerms) -> Transaction:
        """Needs an allowance of quote(terms); the receipt's JobFunded event names the job."""
        return self._handle.write("fund", terms)

    def cancel(self, job_id: JobId) -> Transaction:
        return self._handle.write("cancel", job_id)

    def settle(self, job_id: JobId) -> Transaction:
        return self._handle.write("settle", job_id)


class Ledger(Contract):
    """WorkLedger: leases, rounds, audits."""

    def lease_of(self, job_id: JobId) -> Lease:
        return from_abi(Lease, self._handle.read("leaseOf", job_id))

    def open_round(self, job_id: JobId) -> int:
        return int(self._handle.value("openRound", job_id))

    def round_started(self, job_id: JobId) -> bool:
        return bool(self._handle.value("roundStarted", job_id))

    def head_round(self, job_id: JobId) -> int:
        """The round that takes claims; those from the open one to it are anchored."""
        return int(self._handle.value("headRound", job_id))

    def started_rounds(self, job_id: JobId) -> int:
        return int(self._handle.value("startedRounds", job_id))

    def round_state(self, job_id: JobId, round: int) -> RoundState:
        return from_abi(RoundState, self._handle.value("roundState", job_id, round))

    def batch(self, job_id: JobId, round: int, dissolutions: int, index: int) -> Batch:
        return from_abi(Batch, self._handle.value("batch", job_id, round, dissolutions, index))

    def slot_unit(self, job_id: JobId, round: int, slot: int) -> UnitId:
        return UnitId(self._handle.value("slotUnit", job_id, round, slot))

    def unit(self, unit_id: UnitId) -> Unit:
        return from_abi(Unit, self._handle.value("unit", unit_id))

    def lock_wei_of(self, unit_value_wei: int) -> int:
        """What a unit that counts as so much AIN locks of its worker's bond now."""
        return int(self._handle.value("lockWeiOf", unit_value_wei))

    def clean_units(self, worker: str) -> int:
        return int(self._handle.value("cleanUnits", worker))

    def finalized(self, job_id: JobId, round: int) -> FinalizedRound:
        return from_abi(FinalizedRound, self._handle.value("finalized", job_id, round))

    def lineage(self, job_id: JobId, round: int) -> Lineage:
        return from_abi(Lineage, self._handle.read("lineage", job_id, round))

    def claim_digest(
        self,
        unit_id: UnitId,
        parent: bytes,
        lease_epoch: int,
        result_root: bytes,
        commitment: bytes,
    ) -> bytes:
        arguments = (unit_id, parent, lease_epoch, result_root, commitment)
        return bytes(self._handle.value("claimDigest", *arguments))

    def take_lease(self, job_id: JobId) -> Transaction:
        return self._handle.write("takeLease", job_id)

    def commit_round(self, job_id: JobId, round: int, claims: Sequence[Claim]) -> Transaction:
        return self._handle.write("commitRound", job_id, round, tuple(claims))

    def capture_draw(
        self, job_id: JobId, round: int, batch: int, claims: Sequence[ClaimedUnit]
    ) -> Transaction:
        """`claims`: all of the batch, as RoundCommitted has them."""
        return self._handle.write("captureDraw", job_id, round, batch, tuple(claims))

    def commit_audits(
        self, unit_ids: Sequence[UnitId], commitments: Sequence[bytes]
    ) -> Transaction:
        return self._handle.write("commitAudits", tuple(unit_ids), tuple(commitments))

    def open_units(
        self, unit_ids: Sequence[UnitId], trace_roots: Sequence[bytes], salts: Sequence[bytes]
    ) -> Transaction:
        return self._handle.write("openUnits", tuple(unit_ids), tuple(trace_roots), tuple(salts))

    def reveal_audits(
        self, unit_ids: Sequence[UnitId], unit_roots: Sequence[bytes], salts: Sequence[bytes]
    ) -> Transaction:
        return self._handle.write("revealAudits", tuple(unit_ids), tuple(unit_roots), tuple(salts))

    def expire(self, unit_id: UnitId) -> Transaction:
        return self._handle.write("expire", unit_id)

    def challenge(
        self, job_id: JobId, round: int, batch: int, claim: ClaimedUnit, proof: Sequence[bytes]
    ) -> Transaction:
        """Needs an allowance of challengeDepositWei for the ledger."""
        return self._handle.write("challenge", job_id, round, batch, claim, tuple(proof))

    def anchor_round(
        self, job_id: JobId, round: int, checkpoint: bytes, blob_root: bytes, blob_size: int
    ) -> Transaction:
        return self._handle.write("anchorRound", job_id, round, checkpoint, blob_root, blob_size)

    def withdraw_anchors(self, job_id: JobId, round: int) -> Transaction:
        """Only what an earlier holder of the lease anchored."""
        return self._handle.write("withdrawAnchors", job_id, round)

    def release_locks(
        self,
        job_id: JobId,
        round: int,
        dissolutions: int,
        batch: int,
        claims: Sequence[ClaimedUnit],
    ) -> Transaction:
        """Of a batch's units that can no longer be faulted; to their workers, whoever sends it."""
        arguments = (job_id, round, dissolutions, batch, tuple(claims))
        return self._handle.write("releaseLocks", *arguments)

    def return_deposit(self, unit_id: UnitId) -> Transaction:
        """Of a challenge whose unit was dissolved; to the challenger, whoever sends it."""
        return self._handle.write("returnDeposit", unit_id)

    def finalize_round(
        self,
        job_id: JobId,
        round: int,
        checkpoint: bytes,
        blob_root: bytes,
        blob_size: int,
        claims: Sequence[Sequence[ClaimedUnit]],
    ) -> Transaction:
        """`claims`: by batch, all of its claims; none of one whose units are all on record."""
        shown = tuple(map(tuple, claims))
        arguments = (job_id, round, checkpoint, blob_root, blob_size, shown)
        return self._handle.write("finalizeRound", *arguments)


class Seat(Contract):
    """RefereeSeat: who decides disputes, and who will."""

    def referee(self) -> str:
        return str(self._handle.value("referee"))

    def pending(self) -> Succession:
        """Who waits for the seat; zeros if nobody does."""
        return from_abi(Succession, self._handle.read("pending"))

    def notice_s(self) -> int:
        """How long a successor waits: longer than the longest exit."""
        return int(self._handle.value("noticeS"))

    def judge_of(self, unit_id: UnitId) -> str:
        """Whom an open dispute is before; the zero address if there is none."""
        return str(self._handle.value("judgeOf", unit_id))

    def propose(self, successor: str) -> Transaction:
        """Only the timelock may send it: use its data in a proposal."""
        return self._handle.write("propose", successor)

    def withdraw(self) -> Transaction:
        """The timelock, by a proposal, or the guardian in its time."""
        return self._handle.write("withdraw")


class Committee(Contract):
    """AuditCommittee: the drawn jury that decides disputes."""

    def dispute(self, unit_id: UnitId) -> Dispute:
        return from_abi(Dispute, self._handle.value("dispute", unit_id))

    def draw(self, unit_id: UnitId) -> Transaction:
        return self._handle.write("draw", unit_id)

    def commit_vote(self, unit_id: UnitId, commitment: bytes) -> Transaction:
        return self._handle.write("commitVote", unit_id, commitment)

    def reveal_vote(self, unit_id: UnitId, unit_root: bytes, salt: bytes) -> Transaction:
        return self._handle.write("revealVote", unit_id, unit_root, salt)

    def resolve(self, unit_id: UnitId) -> Transaction:
        return self._handle.write("resolve", unit_id)


class Rewards(Contract):
    """RewardDistributor: what was earned and is not claimed yet, by token and account."""

    def credit_of(self, token: str, account: str) -> int:
        """What an account would be paid now."""
        return int(self._handle.value("creditOf", token, account))

    def account_of(self, token: str, account: str) -> tuple[int, int]:
        """What an account has earned, and been paid, in all time."""
        earned_wei, claimed_wei = self._handle.read("accountOf", token, account)
        return int(earned_wei), int(claimed_wei)

    def claim(self, token: str, account: str) -> Transaction:
        return self._handle.write("claim", token, account)

    def claim_to_bond(self, account: str) -> Transaction:
        """Of the network's token; only the account and its bond's owner may."""
        return self._handle.write("claimToBond", account)


class Emission(Contract):
    """EmissionController: new tokens for what accounts did in epochs that are over."""

    def epoch_of(self, epoch: int) -> EpochEmission:
        return from_abi(EpochEmission, self._handle.value("epochOf", epoch))

    def flops_of(self, epoch: int, account: str) -> int:
        """An account's part of an epoch's FLOPs; 0 once it was claimed."""
        return int(self._handle.value("flopsOf", epoch, account))

    def share_of(self, account: str, epoch: int) -> EmissionShare:
        """What an account can claim; Reverted("EpochNotOver") until the epoch is over."""
        return from_abi(EmissionShare, self._handle.read("emissionOf", account, epoch))

    def collect(self, account: str, epochs: Sequence[int]) -> Transaction:
        """Mints, and credits it."""
        return self._handle.write("collect", account, tuple(epochs))

    def claim(self, account: str, epochs: Sequence[int]) -> Transaction:
        """Mints, and pays the account all that it has earned."""
        return self._handle.write("claim", account, tuple(epochs))


class FirstBonds(Contract):
    """FirstBonds: how an account without tokens earns its first bond."""

    def newcomer_of(self, account: str) -> Newcomer:
        return from_abi(Newcomer, self._handle.value("newcomerOf", account))

    def registered_until(self, account: str) -> int:
        """Unix seconds; 0 if it is not registered."""
        return int(self._handle.value("registeredUntil", account))

    def registered_count(self) -> int:
        return int(self._handle.value("registeredCount"))

    def pot_wei(self) -> int:
        """What may still be promised, on one day or another."""
        return int(self._handle.value("potWei"))

    def promised_today_wei(self) -> int:
        return int(self._handle.value("promisedTodayWei"))

    def caps(self) -> tuple[int, int]:
        """The most that is promised in a day, and for one audit: fixed at deployment."""
        return int(self._handle.value("dayCapWei")), int(self._handle.value("payMaxWei"))

    def place_of(self, job_id: JobId, round: int, batch: int, account: str) -> NewcomerPlace:
        found = self._handle.value("placeOf", job_id, round, batch, account)
        return from_abi(NewcomerPlace, found)

    def is_openable(self, job_id: JobId, round: int, slot: int, attempt: int) -> bool:
        """Whether a unit may be opened to newcomers: nobody has to find its root blindly."""
        return bool(self._handle.value("isOpenable", job_id, round, slot, attempt))

    def register(self) -> Transaction:
        return self._handle.write("register")

    def fund(self, amount: int) -> Transaction:
        """Into the pot; needs an allowance for this contract."""
        return self._handle.write("fund", amount)

    def commit(
        self,
        job_id: JobId,
        round: int,
        batch: int,
        claim: ClaimedUnit,
        proof: Sequence[bytes],
        commitment: bytes,
    ) -> Transaction:
        arguments = (job_id, round, batch, claim, tuple(proof), commitment)
        return self._handle.write("commit", *arguments)

    def reveal(
        self,
        job_id: JobId,
        round: int,
        claim: ClaimedUnit,
        opening: Opening,
        unit_root: bytes,
        salt: bytes,
    ) -> Transaction:
        return self._handle.write("reveal", job_id, round, claim, opening, unit_root, salt)

    def release(self, unit_id: UnitId, account: str) -> Transaction:
        """Of what was set apart for an audit that was not revealed in its time; back to the pot."""
        return self._handle.write("release", unit_id, account)

    def pay_out(self) -> Transaction:
        return self._handle.write("payOut")


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
