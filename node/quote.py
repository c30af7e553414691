"""What a job will cost: exact figures from its manifest and Programs, before anything is spent.

Programs are static, so operations, bytes and memory are facts, not estimates. Money follows the
job's price and the network's two rates in basis points; the escrow's own arithmetic is
authoritative and is asked when the job is funded. How long it takes is an estimate from what the
peers now online say of themselves: `forecast`.
"""

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from statistics import median

from engine.program import TensorType
from node.bundle import Bundle, Costs
from node.errors import BadInput
from node.tokens import PAID_IN_AIN, Accepted, Token
from scheduler.audit import lock_wei
from scheduler.manifest import GFLOP, Manifest

BASIS_POINTS = 10_000

PEERS_AUDITED = 3
"""One peer can do a whole job unaudited: an auditor is neither its worker nor coordinator."""

PEERS_JUDGED = 5
"""A dispute needs a committee of three besides worker and coordinator."""


@dataclass(frozen=True, slots=True)
class Quote:
    """What a job asks of the network and of its submitter. Amounts are in smallest units of what it
    is paid in, but for `unit_value_wei` and `lock_wei`: these are AIN.
    """

    units: int
    unit_flops: int
    unit_bytes_moved: int
    audit_flops: int
    round_flops: int
    total_flops: int
    total_flops_max: int
    peak_bytes: int
    memory_bytes: int
    blob_bytes: int
    result_bytes: int
    checkpoint_bytes: int
    rows_read: int
    rows_unread: int
    unit_gflops_per_s_min: float
    unit_wei: int
    gflop_wei: int | None
    """What a verified GFLOP earns its worker, rounded down; None if a unit has no FLOPs."""
    audit_wei: int
    unit_value_wei: int
    """What a unit's price counts as where its lock is computed."""
    lock_wei: int
    work_wei: int
    audits_wei_max: int
    fee_wei: int
    data_wei: int
    total_wei_max: int
    peers_min: int
    peers_audited: int = PEERS_AUDITED
    peers_judged: int = PEERS_JUDGED


@dataclass(frozen=True, slots=True)
class Offer:
    """What a peer that works says of itself. `mflops`: 10^6 operations a second, 0: unknown.

    `free_wei`: what of its bond may be locked, as the chain has it. `tokens`: the addresses of what
    it works for besides AIN.
    """

    wallet: str
    memory_bytes: int
    mflops: int
    free_wei: int = 0
    tokens: tuple[str, ...] = ()

    def works_for(self, token: Token) -> bool:
        """Whether the peer takes jobs that are paid in `token`."""
        return token.is_ain or token.address in self.tokens


@dataclass(frozen=True, slots=True)
class Forecast:
    """How long a job takes with the peers now online; seconds, None where none knows its speed.

    `peers` work and are bonded, `able` have the memory, `measured` of these know their speed, which
    is `gflops_per_s` together; the others count with the median. `seconds_min` is without audits,
    `seconds_max` with an audit of every unit. `window_s` of both is the chain's, for every round.
    `units_covered`: how many units those that are able can have open at once, by their free bonds.
    """

    peers: int
    able: int
    measured: int
    memory_bytes_max: int
    units_covered: int
    gflops_per_s: float
    window_s: int
    seconds_min: float | None
    seconds_max: float | None


def quote(
    manifest: Manifest,
    costs: Costs,
    *,
    audit_pay_bps: int = 0,
    protocol_fee_bps: int = 0,
    data_deposit_bps: int = 0,
    lock_factor_bps: int = 0,
    audit_floor_bps: int = BASIS_POINTS,
    unit_wei: int | None = None,
    accepted: Accepted = PAID_IN_AIN,
) -> Quote:
    """Price a job: audits pay `audit_pay_bps` of a unit, the protocol takes its fee of everything,
    and `data_deposit_bps` of the price answer for the data; they come back unless it was missing.
    A unit locks `lock_wei` of its worker's bond until it is final. It pays `unit_wei` of what is
    `accepted`; None: what the manifest says.

    `total_flops` counts what is paid for once; `total_flops_max` adds an audit of every unit.
    `blob_bytes` is what a peer fetches before it can work, `memory_bytes` what it must give,
    `unit_gflops_per_s_min` the speed that ends a unit within its timeout. `rows_read` counts a row
    as often as a step reads it; `rows_unread`, less than a batch, are never read.
    """
    units = manifest.units
    unit_wei = manifest.unit_wei if unit_wei is None else unit_wei
    unit_value_wei = accepted.value_wei(unit_wei)
    unit_flops = costs.unit_flops(manifest.steps)
    round_flops = manifest.slots * unit_flops + costs.aggregate.flops + costs.outer.flops
    total_flops = manifest.rounds * round_flops + costs.evaluate.flops
    audit_wei = unit_wei * audit_pay_bps // BASIS_POINTS
    paid_wei = units * (unit_wei + audit_wei)
    fee_wei = paid_wei * protocol_fee_bps // BASIS_POINTS
    data_wei = -(-paid_wei * data_deposit_bps // BASIS_POINTS)
    return Quote(
        units=units,
        unit_flops=unit_flops,
        unit_bytes_moved=manifest.steps * costs.step.bytes_moved + costs.result.bytes_moved,
        audit_flops=unit_flops,
        round_flops=round_flops,
        total_flops=total_flops,
        total_flops_max=total_flops + units * unit_flops,
        peak_bytes=costs.peak_bytes,
        memory_bytes=manifest.memory_bytes,
        blob_bytes=len(manifest.to_bytes()) + sum(ref.size for ref in manifest.blobs()),
        result_bytes=manifest.result_bytes,
        checkpoint_bytes=manifest.checkpoint_bytes,
        rows_read=units * manifest.steps * manifest.batch_rows,
        rows_unread=manifest.rows % manifest.batch_rows,
        unit_gflops_per_s_min=unit_flops / GFLOP / manifest.unit_timeout_s,
        unit_wei=unit_wei,
        gflop_wei=unit_wei * GFLOP // unit_flops if unit_flops else None,
        audit_wei=audit_wei,
        unit_value_wei=unit_value_wei,
        lock_wei=lock_wei(unit_value_wei, lock_factor_bps, audit_floor_bps),
        work_wei=units * unit_wei,
        audits_wei_max=units * audit_wei,
        fee_wei=fee_wei,
        data_wei=data_wei,
        total_wei_max=paid_wei + fee_wei + data_wei,
        peers_min=manifest.peers_min,
    )


def integers_read(manifest: Manifest, train: Mapping[str, TensorType]) -> dict[str, int]:
    """How many integers of each tensor of the training data with two or more axes all steps read.

    These are tokens where the tensor holds token ids; nothing in a job says whether it does.
    """
    rows_read = manifest.units * manifest.steps * manifest.batch_rows
    return {
        name: rows_read * prod(kind.shape[1:])
        for name, kind in sorted(train.items())
        if kind.dtype.numpy.kind in "iu" and len(kind.shape) > 1 and kind.shape[0]
    }


def forecast(
    manifest: Manifest, offers: Sequence[Offer], window_s: int, lock_wei: int = 0
) -> Forecast:
    """How long the job takes if these peers take its units as they become free."""
    able = [offer for offer in offers if offer.memory_bytes >= manifest.memory_bytes]
    known = [offer.mflops for offer in able if offer.mflops]
    speeds = [offer.mflops or median(known) for offer in able] if known else []
    round_s = _makespan(manifest.slots, manifest.unit_flops / 1e6, speeds) if known else None
    waits_s = manifest.rounds * window_s
    return Forecast(
        peers=len(offers),
        able=len(able),
        measured=len(known),
        memory_bytes_max=max((offer.memory_bytes for offer in offers), default=0),
        units_covered=sum(offer.free_wei // lock_wei if lock_wei else 0 for offer in able),
        gflops_per_s=sum(known) / 1e3,
        window_s=window_s,
        seconds_min=None if round_s is None else manifest.rounds * round_s + waits_s,
        seconds_max=None if round_s is None else 2 * manifest.rounds * round_s + waits_s,
    )


def _makespan(units: int, unit_mflop: float, speeds: Sequence[float]) -> float:
    """Seconds until so many equal units are done, each given to who would end it first."""
    free = [(unit_mflop / speed, unit_mflop / speed) for speed in speeds]
    heapq.heapify(free)
    end_s = 0.0
    for _ in range(units):
        end_s, unit_s = heapq.heappop(free)
        heapq.heappush(free, (end_s + unit_s, unit_s))
    return end_s


def check_budget(bundle: Bundle, price: Quote, token: Token) -> None:
    """BadInput where a job may cost more than its owner allows, with what that would cover."""
    budget, rounds = bundle.budget_wei, bundle.manifest.rounds
    if price.total_wei_max <= budget:
        return
    covered = budget * rounds // price.total_wei_max
    raise BadInput(
        f"The budget is {token.amount(budget)}, the job may cost up to "
        f"{token.amount(price.total_wei_max)}; that covers {covered} of {rounds} rounds.",
        "Raise the budget, or lower rounds, steps or price.",
    )
