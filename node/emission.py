"""What an account has earned by emission: new tokens for its leaves of finalised rounds.

The formulas of docs/spec/economy.md, "Emission", in integers, applied to the chain's events; what
the contract pays is the same to the wei. How much a round gets is known when its epoch is over, for
it shares the epoch's budget with every other round; until then the figure can only fall.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from node.chain import Chain
from node.chain.events import EmissionClaimed, RoundCounted, RoundRewards
from node.chain.types import EmissionSchedule, EmissionShare, RewardClaim
from node.rewards import claims_in

BPS = 10_000


@dataclass(frozen=True, slots=True)
class EmissionReward:
    """What emission gives for one leaf. `amount_wei` is at most that while `is_final` is false."""

    claim: RewardClaim
    epoch: int
    claimable_at_s: int
    amount_wei: int
    is_final: bool
    is_claimed: bool


def share_of(counted: RoundCounted, budget_wei: int, epoch_flops: int) -> EmissionShare:
    """What a round gives in all and the treasury's share of it, with so many FLOPs in its epoch."""
    if counted.flops == 0:
        return EmissionShare(0, 0)
    emission_wei = min(budget_wei * counted.flops // epoch_flops, counted.cap_wei)
    return EmissionShare(emission_wei, -(-emission_wei * counted.treasury_bps // BPS))


def leaf_wei(share: EmissionShare, amount: int, total_wei: int) -> int:
    """What a leaf with this reward gets in a round whose rewards add up to `total_wei`."""
    return (share.emission_wei - share.treasury_wei) * amount // total_wei


def emissions_of(chain: Chain, account: str) -> list[EmissionReward]:
    """What emission gives `account` so far, in the order of its rounds' finalisation.

    Leaves that get nothing are left out.
    """
    start, head = chain.network.deployment_block, chain.head()
    kinds = (RoundRewards, RoundCounted, EmissionClaimed)
    events = chain.events(start, head.number, kinds)
    counted = [event for event in events if isinstance(event, RoundCounted)]
    rewards = [event for event in events if isinstance(event, RoundRewards)]
    paid = {(e.job_id, e.round, e.index) for e in events if isinstance(e, EmissionClaimed)}
    found = _emissions(account, counted, rewards, chain.token.schedule())
    return [
        EmissionReward(
            claim=claim,
            epoch=epoch,
            claimable_at_s=ends_at_s,
            amount_wei=amount_wei,
            is_final=head.timestamp >= ends_at_s,
            is_claimed=(claim.job_id, claim.round, claim.index) in paid,
        )
        for claim, epoch, ends_at_s, amount_wei in found
        if amount_wei
    ]


def _emissions(
    account: str,
    counted: Iterable[RoundCounted],
    rewards: Iterable[RoundRewards],
    schedule: EmissionSchedule,
) -> Iterable[tuple[RewardClaim, int, int, int]]:
    epoch_flops = Counter[int]()
    by_round: dict[tuple[bytes, int], RoundCounted] = {}
    for event in counted:
        epoch_flops[event.epoch] += event.flops
        by_round[event.job_id, event.round] = event
    for reward in rewards:
        # One transaction emits both: an endpoint that has but one of them is behind.
        found = by_round.get((reward.job_id, reward.round))
        if found is None:
            continue
        epoch = found.epoch
        share = share_of(found, schedule.budget_wei(epoch), epoch_flops[epoch])
        for claim in claims_in(reward, account):
            wei = leaf_wei(share, claim.amount, sum(reward.amounts))
            yield claim, epoch, schedule.ends_at(epoch), wei
