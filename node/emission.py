"""What an account has earned by emission: new tokens for its part of an epoch's FLOPs.

The formulas of docs/spec/economy.md, "Emission", in integers, applied to the chain's events; what
the contract pays is the same to the wei. How much a FLOP gets is known when its epoch is over, for
it shares the epoch's budget with every other; until then the figure can only fall.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from node.chain import Chain
from node.chain.events import EmissionClaimed, EpochOpened, Event, RoundCounted, RoundRewards
from node.chain.types import EmissionSchedule, EmissionShare

BPS = 10_000
GFLOP = 10**9
KINDS = (RoundRewards, EpochOpened, RoundCounted, EmissionClaimed)


@dataclass(frozen=True, slots=True)
class Rates:
    """What holds for a whole epoch: the parameters at its first round."""

    emission_bps: int
    treasury_bps: int
    gflop_fee_wei: int


@dataclass(frozen=True, slots=True)
class EmissionReward:
    """What an epoch gives an account. `amount_wei` is at most that while `is_final` is false."""

    epoch: int
    claimable_at_s: int
    flops: int
    amount_wei: int
    treasury_wei: int
    is_final: bool
    is_claimed: bool


def counted_flops(flops: int, fee_wei: int, gflop_fee_wei: int) -> int:
    """Of a round's FLOPs those that the fee burned for it covers."""
    return min(flops, fee_wei * GFLOP // gflop_fee_wei)


def part_of(flops: int, amount: int, total_wei: int) -> int:
    """The part of a round's FLOPs of who earned `amount` of its `total_wei`."""
    return flops * amount // total_wei


def cap_wei(flops: int, rates: Rates) -> int:
    """The most that FLOPs can give: a part of what was burned for them."""
    return flops * rates.gflop_fee_wei * rates.emission_bps // (GFLOP * BPS)


def share_of(flops: int, epoch_flops: int, budget_wei: int, rates: Rates) -> EmissionShare:
    """What an account gets for its part of an epoch's FLOPs, and the treasury besides."""
    if flops == 0:
        return EmissionShare(0, 0)
    emission_wei = min(budget_wei * flops // epoch_flops, cap_wei(flops, rates))
    treasury_wei = -(-emission_wei * rates.treasury_bps // BPS)
    return EmissionShare(emission_wei - treasury_wei, treasury_wei)


def emissions_of(chain: Chain, account: str) -> list[EmissionReward]:
    """What emission gives `account` so far, by epochs; those that give nothing are left out."""
    head = chain.head()
    log = _Log(account)
    for event in chain.events(chain.network.deployment_block, head.number, KINDS):
        log.apply(event)
    found = log.rewards(chain.token.schedule(), head.timestamp)
    return [each for each in found if each.amount_wei]


class _Log:
    """What the events say of one account and of all together, folded."""

    def __init__(self, account: str) -> None:
        self._account = account
        self._rates: dict[int, Rates] = {}
        self._epoch_flops = Counter[int]()
        self._own_flops = Counter[int]()
        self._paid: dict[int, EmissionClaimed] = {}
        self._pay: dict[tuple[bytes, int], tuple[int, int]] = {}

    def apply(self, event: Event) -> None:
        """In chain order: a round's receipt comes before it is counted, in one transaction."""
        match event:
            case RoundRewards():
                own = dict(zip(event.accounts, event.amounts, strict=True)).get(self._account, 0)
                self._pay[event.job_id, event.round] = own, sum(event.amounts)
            case EpochOpened():
                rates = Rates(event.emission_bps, event.treasury_bps, event.gflop_fee_wei)
                self._rates[event.epoch] = rates
            case RoundCounted():
                self._epoch_flops[event.epoch] += event.flops
                own, total = self._pay.pop((event.job_id, event.round), (0, 0))
                if own:
                    self._own_flops[event.epoch] += part_of(event.flops, own, total)
            case EmissionClaimed():
                if event.account == self._account:
                    self._paid[event.epoch] = event

    def rewards(self, schedule: EmissionSchedule, now_s: int) -> Iterator[EmissionReward]:
        """One for each epoch in which the account earned, in order."""
        for epoch, flops in sorted(self._own_flops.items()):
            budget_wei, ends_at_s = schedule.budget_wei(epoch), schedule.ends_at(epoch)
            share = share_of(flops, self._epoch_flops[epoch], budget_wei, self._rates[epoch])
            yield EmissionReward(
                epoch=epoch,
                claimable_at_s=ends_at_s,
                flops=flops,
                amount_wei=share.amount_wei,
                treasury_wei=share.treasury_wei,
                is_final=now_s >= ends_at_s,
                is_claimed=epoch in self._paid,
            )
