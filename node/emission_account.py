"""What emission gives an account, in its parts: every figure from the events of the chain.

For each leaf of a finalised round: which epoch, how much of the epoch's FLOPs, what the burned fee
allows, what the treasury takes, what is left for the leaf (docs/spec/economy.md, "Emission"). Each
figure is recomputed from what it follows from, a round's FLOPs from its job's terms and the fee
that was burned, rates from the parameters of that moment, and held against what the contract says;
where the two differ the difference is reported.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from node.chain import Chain
from node.chain.events import (
    EmissionClaimed,
    Event,
    JobFunded,
    ParameterChanged,
    RoundCounted,
    RoundPaid,
    RoundRewards,
)
from node.chain.types import EmissionSchedule, EmissionShare, JobTerms, Parameter, RewardClaim
from node.emission import BPS, leaf_wei, share_of
from node.ids import JobId
from node.rewards import claims_in

GFLOP = 10**9
_KINDS = (JobFunded, ParameterChanged, RoundRewards, RoundPaid, RoundCounted, EmissionClaimed)
Key = tuple[bytes, int]
"""A job and one of its rounds."""


@dataclass(frozen=True, slots=True)
class Counted:
    """What a final round brought into its epoch, and what that follows from."""

    event: RoundCounted
    terms: JobTerms
    fee_wei: int
    gflop_fee_wei: int
    emission_bps: int
    treasury_bps: int

    @property
    def stated_flops(self) -> int:
        """The FLOPs of the round's units, as its job's terms state them."""
        return self.terms.slots * self.terms.unit_flops

    @property
    def flops(self) -> int:
        """As far as a fee was burned for them."""
        return min(self.stated_flops, self.fee_wei * GFLOP // self.gflop_fee_wei)

    @property
    def cap_wei(self) -> int:
        """The most that the round can give."""
        return self.fee_wei * self.emission_bps // BPS

    def recomputed(self) -> RoundCounted:
        """The event as it has to be."""
        return replace(
            self.event, flops=self.flops, cap_wei=self.cap_wei, treasury_bps=self.treasury_bps
        )


@dataclass(frozen=True, slots=True)
class ExplainedEmission:
    """What emission gives for one leaf, and why. At most that, unless `is_final`."""

    claim: RewardClaim
    counted: Counted
    ends_at_s: int
    is_final: bool
    is_claimed: bool
    budget_wei: int
    epoch_flops: int
    share: EmissionShare
    round_wei: int
    """What all leaves of the round earned by work."""
    amount_wei: int
    differences: tuple[str, ...] = ()
    """Where the chain says otherwise; empty if it does nowhere."""

    @property
    def by_flops_wei(self) -> int:
        """The round's part of its epoch's budget, before the cap."""
        flops = self.counted.flops
        return self.budget_wei * flops // self.epoch_flops if flops else 0


@dataclass(slots=True)
class _Log:
    """What the events say, folded."""

    values: dict[Parameter, int] = field(default_factory=dict)
    terms: dict[bytes, JobTerms] = field(default_factory=dict)
    fees: dict[Key, int] = field(default_factory=dict)
    counted: dict[Key, Counted] = field(default_factory=dict)
    rewards: list[RoundRewards] = field(default_factory=list)
    paid: dict[tuple[bytes, int, int], int] = field(default_factory=dict)

    def apply(self, event: Event) -> None:
        """In chain order: rates are those of the parameters at that point."""
        match event:
            case ParameterChanged():
                self.values[event.parameter] = event.new_value
            case JobFunded():
                self.terms[event.job_id] = event.terms
            case RoundPaid():
                self.fees[event.job_id, event.round] = event.fee
            case RoundCounted():
                self.counted[event.job_id, event.round] = Counted(
                    event,
                    self.terms[event.job_id],
                    self.fees[event.job_id, event.round],
                    self.values[Parameter.EMISSION_GFLOP_FEE_WEI],
                    self.values[Parameter.EMISSION_BPS],
                    self.values[Parameter.TREASURY_SHARE_BPS],
                )
            case RoundRewards():
                self.rewards.append(event)
            case EmissionClaimed():
                self.paid[event.job_id, event.round, event.index] = event.amount

    def epoch_flops(self, epoch: int) -> int:
        """The FLOPs of all rounds of an epoch."""
        return sum(c.flops for c in self.counted.values() if c.event.epoch == epoch)


def explain_emission(
    chain: Chain, account: str, wanted: Callable[[JobId, int], bool] = lambda _job, _round: True
) -> list[ExplainedEmission]:
    """Every leaf of `account` in a round that is `wanted`, as the rounds became final."""
    head, log = chain.head(), _Log()
    for event in chain.events(chain.network.deployment_block, head.number, _KINDS):
        log.apply(event)
    schedule = chain.token.schedule()
    found = [
        _explain(log, schedule, claim, sum(reward.amounts), head.timestamp)
        for reward in log.rewards
        if wanted(reward.job_id, reward.round) and (reward.job_id, reward.round) in log.counted
        for claim in claims_in(reward, account)
    ]
    return [replace(each, differences=tuple(_differences(chain, log, each))) for each in found]


def _explain(
    log: _Log, schedule: EmissionSchedule, claim: RewardClaim, round_wei: int, now_s: int
) -> ExplainedEmission:
    counted = log.counted[claim.job_id, claim.round]
    epoch = counted.event.epoch
    budget_wei, epoch_flops = schedule.budget_wei(epoch), log.epoch_flops(epoch)
    share = share_of(counted.recomputed(), budget_wei, epoch_flops)
    return ExplainedEmission(
        claim=claim,
        counted=counted,
        ends_at_s=schedule.ends_at(epoch),
        is_final=now_s >= schedule.ends_at(epoch),
        is_claimed=(claim.job_id, claim.round, claim.index) in log.paid,
        budget_wei=budget_wei,
        epoch_flops=epoch_flops,
        share=share,
        round_wei=round_wei,
        amount_wei=leaf_wei(share, claim.amount, round_wei),
    )


def _differences(chain: Chain, log: _Log, each: ExplainedEmission) -> Iterator[str]:
    """Where the contract's events and views say otherwise than what was recomputed."""
    claim, ours = each.claim, each.counted.recomputed()
    theirs = chain.emission.round_emission(claim.job_id, claim.round)
    block = chain.block(ours.place.block)
    schedule = chain.token.schedule()
    pairs: list[tuple[str, object, object]] = [
        ("what was counted", ours, each.counted.event),
        (
            "what the contract holds of the round",
            (ours.epoch, ours.flops, ours.cap_wei, ours.treasury_bps),
            (theirs.epoch, theirs.flops, theirs.cap_wei, theirs.treasury_bps),
        ),
        ("the epoch's FLOPs", each.epoch_flops, chain.emission.epoch_flops(ours.epoch)),
    ]
    if block is not None:
        pairs.append(("the epoch", schedule.epoch_at(block.timestamp), ours.epoch))
    if each.is_final:
        held = chain.emission.share_of(claim.job_id, claim.round)
        pairs.append(("the round's share", each.share, held))
    paid = log.paid.get((claim.job_id, claim.round, claim.index), each.amount_wei)
    pairs.append(("what was claimed", each.amount_wei, paid))
    for what, recomputed, found in pairs:
        if recomputed != found:
            yield f"{what}: recomputed {recomputed}, on the chain {found}"
