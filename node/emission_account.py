"""What emission gives an account, in its parts: every figure from the events of the chain.

For each epoch in which it earned: its rounds, how much of their FLOPs are the account's, what the
epoch's budget gives for them, what the burned fee allows, what the treasury takes
(docs/spec/economy.md, "Emission"). Each figure is recomputed from what it follows from, a round's
FLOPs from its job's terms and the fee that was burned, rates from the parameters of the epoch's
first round, and held against what the contract says; where the two differ the difference is
reported.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from node.chain import Chain
from node.chain.events import (
    EmissionClaimed,
    EpochOpened,
    Event,
    JobFunded,
    ParameterChanged,
    RoundCounted,
    RoundPaid,
    RoundRewards,
)
from node.chain.types import EmissionSchedule, EmissionShare, JobTerms, Parameter
from node.emission import Rates, cap_wei, counted_flops, part_of, share_of
from node.ids import JobId

_KINDS = (
    JobFunded,
    ParameterChanged,
    RoundRewards,
    RoundPaid,
    EpochOpened,
    RoundCounted,
    EmissionClaimed,
)
Key = tuple[bytes, int]
"""A job and one of its rounds."""


@dataclass(frozen=True, slots=True)
class CountedRound:
    """What a final round brought into its epoch, and the account's part of it."""

    event: RoundCounted
    terms: JobTerms
    fee_wei: int
    rates: Rates
    pay_wei: int
    """What the account earned by it."""
    round_wei: int
    """What all accounts earned by it."""

    @property
    def stated_flops(self) -> int:
        """The FLOPs of the round's units, as its job's terms state them."""
        return self.terms.slots * self.terms.unit_flops

    @property
    def flops(self) -> int:
        """As far as a fee was burned for them."""
        return counted_flops(self.stated_flops, self.fee_wei, self.rates.gflop_fee_wei)

    @property
    def part_flops(self) -> int:
        """The account's."""
        return part_of(self.flops, self.pay_wei, self.round_wei)


@dataclass(frozen=True, slots=True)
class ExplainedEmission:
    """What an epoch gives an account, and why. At most that, unless `is_final`."""

    epoch: int
    rates: Rates
    rounds: tuple[CountedRound, ...]
    ends_at_s: int
    is_final: bool
    is_claimed: bool
    budget_wei: int
    epoch_flops: int
    differences: tuple[str, ...] = ()
    """Where the chain says otherwise; empty if it does nowhere."""

    @property
    def flops(self) -> int:
        """The account's, of all its rounds."""
        return sum(each.part_flops for each in self.rounds)

    @property
    def by_flops_wei(self) -> int:
        """Its part of the epoch's budget, before the cap."""
        return self.budget_wei * self.flops // self.epoch_flops if self.flops else 0

    @property
    def cap_wei(self) -> int:
        """The most that its FLOPs can give."""
        return cap_wei(self.flops, self.rates)

    @property
    def share(self) -> EmissionShare:
        """What it gets, and the treasury besides."""
        return share_of(self.flops, self.epoch_flops, self.budget_wei, self.rates)


@dataclass(slots=True)
class _Log:
    """What the events say, folded."""

    values: dict[Parameter, int] = field(default_factory=dict)
    terms: dict[bytes, JobTerms] = field(default_factory=dict)
    fees: dict[Key, int] = field(default_factory=dict)
    receipts: dict[Key, RoundRewards] = field(default_factory=dict)
    rates: dict[int, Rates] = field(default_factory=dict)
    opened: dict[int, EpochOpened] = field(default_factory=dict)
    rounds: dict[int, list[RoundCounted]] = field(default_factory=dict)
    paid: dict[tuple[int, str], EmissionClaimed] = field(default_factory=dict)

    def apply(self, event: Event) -> None:
        """In chain order: rates are those of the parameters at that point."""
        match event:
            case ParameterChanged():
                self.values[event.parameter] = event.new_value
            case JobFunded():
                self.terms[event.job_id] = event.terms
            case RoundPaid():
                self.fees[event.job_id, event.round] = event.fee
            case RoundRewards():
                self.receipts[event.job_id, event.round] = event
            case EpochOpened():
                self.opened[event.epoch] = event
                self.rates[event.epoch] = Rates(
                    self.values[Parameter.EMISSION_BPS],
                    self.values[Parameter.TREASURY_SHARE_BPS],
                    self.values[Parameter.EMISSION_GFLOP_FEE_WEI],
                )
            case RoundCounted():
                self.rounds.setdefault(event.epoch, []).append(event)
            case EmissionClaimed():
                self.paid[event.epoch, event.account] = event

    def counted(self, event: RoundCounted, account: str) -> CountedRound:
        """A round with what follows for it, and what the account has of it."""
        key = event.job_id, event.round
        receipt = self.receipts[key]
        own = dict(zip(receipt.accounts, receipt.amounts, strict=True)).get(account, 0)
        rates, total = self.rates[event.epoch], sum(receipt.amounts)
        return CountedRound(event, self.terms[event.job_id], self.fees[key], rates, own, total)


def explain_emission(
    chain: Chain, account: str, wanted: Callable[[JobId, int], bool] = lambda _job, _round: True
) -> list[ExplainedEmission]:
    """Every epoch in which `account` earned by a round that is `wanted`, in order."""
    head, log = chain.head(), _Log()
    for event in chain.events(chain.network.deployment_block, head.number, _KINDS):
        log.apply(event)
    schedule = chain.token.schedule()
    found = []
    for _, events in sorted(log.rounds.items()):
        rounds = [log.counted(event, account) for event in events]
        own = tuple(each for each in rounds if each.pay_wei)
        if any(wanted(JobId(each.event.job_id), each.event.round) for each in own):
            flops = sum(each.flops for each in rounds)
            each = _explain(log, schedule, account, own, flops, head.timestamp)
            found.append(replace(each, differences=tuple(_differences(chain, log, account, each))))
    return found


def _explain(
    log: _Log,
    schedule: EmissionSchedule,
    account: str,
    own: tuple[CountedRound, ...],
    epoch_flops: int,
    now_s: int,
) -> ExplainedEmission:
    epoch = own[0].event.epoch
    return ExplainedEmission(
        epoch=epoch,
        rates=log.rates[epoch],
        rounds=own,
        ends_at_s=schedule.ends_at(epoch),
        is_final=now_s >= schedule.ends_at(epoch),
        is_claimed=(epoch, account) in log.paid,
        budget_wei=schedule.budget_wei(epoch),
        epoch_flops=epoch_flops,
    )


def _differences(chain: Chain, log: _Log, account: str, each: ExplainedEmission) -> Iterator[str]:
    """Where the contract's events and views say otherwise than what was recomputed."""
    epoch, opened, held = each.epoch, log.opened[each.epoch], chain.emission.epoch_of(each.epoch)
    told = Rates(opened.emission_bps, opened.treasury_bps, opened.gflop_fee_wei)
    holds = Rates(held.emission_bps, held.treasury_bps, held.gflop_fee_wei)
    pairs: list[tuple[str, object, object]] = [
        ("the epoch's rates", each.rates, told),
        ("the rates that the contract holds", each.rates, holds),
        ("the epoch's FLOPs", each.epoch_flops, held.flops),
    ]
    for one in each.rounds:
        name = f"round {one.event.round + 1} of job 0x{one.event.job_id.hex()}"
        pairs.append((f"the FLOPs of {name}", one.flops, one.event.flops))
        block = chain.block(one.event.place.block)
        if block is not None:
            then = chain.token.schedule().epoch_at(block.timestamp)
            pairs.append((f"the epoch of {name}", then, epoch))
    paid = log.paid.get((epoch, account))
    if paid is None:
        pairs.append(("its FLOPs", each.flops, chain.emission.flops_of(epoch, account)))
        if each.is_final:
            pairs.append(("its share", each.share, chain.emission.share_of(account, epoch)))
    else:
        share = EmissionShare(paid.amount, paid.treasury_wei)
        pairs.append(("what was claimed", each.share, share))
    for what, recomputed, found in pairs:
        if recomputed != found:
            yield f"{what}: recomputed {recomputed}, on the chain {found}"
