"""What a job will cost: exact figures from its manifest and Programs, before anything is spent.

Programs are static, so operations, bytes and memory are facts, not estimates. Money follows the
job's price and the network's two rates in basis points; the escrow's own arithmetic is
authoritative and is asked when the job is funded.
"""

from dataclasses import dataclass

from node.bundle import Costs
from node.errors import BadInput
from scheduler.manifest import Manifest
from scheduler.spec import JobSpec

BASIS_POINTS = 10_000

PEERS_MIN = 1
"""One peer can do a whole job: nothing is audited."""

PEERS_AUDITED = 3
"""An audit needs an auditor besides worker and coordinator."""

PEERS_JUDGED = 5
"""A dispute needs a committee of three besides worker and coordinator."""


@dataclass(frozen=True, slots=True)
class Quote:
    """What a job asks of the network and of its submitter."""

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
    unit_wei: int
    audit_wei: int
    work_wei: int
    audits_wei_max: int
    fee_wei: int
    total_wei_max: int
    peers_min: int = PEERS_MIN
    peers_audited: int = PEERS_AUDITED
    peers_judged: int = PEERS_JUDGED


def quote(
    manifest: Manifest, costs: Costs, *, audit_pay_bps: int = 0, protocol_fee_bps: int = 0
) -> Quote:
    """Price a job: audits pay `audit_pay_bps` of a unit, the protocol takes its fee of everything.

    `total_flops` counts what is paid for once; `total_flops_max` adds an audit of every unit.
    `blob_bytes` is what a peer fetches before it can work, `memory_bytes` what it must give.
    """
    units, unit_wei = manifest.units, manifest.unit_wei
    unit_flops = costs.unit_flops(manifest.steps)
    round_flops = manifest.slots * unit_flops + costs.aggregate.flops + costs.outer.flops
    total_flops = manifest.rounds * round_flops + costs.evaluate.flops
    audit_wei = unit_wei * audit_pay_bps // BASIS_POINTS
    paid_wei = units * (unit_wei + audit_wei)
    fee_wei = paid_wei * protocol_fee_bps // BASIS_POINTS
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
        unit_wei=unit_wei,
        audit_wei=audit_wei,
        work_wei=units * unit_wei,
        audits_wei_max=units * audit_wei,
        fee_wei=fee_wei,
        total_wei_max=paid_wei + fee_wei,
    )


def check_budget(spec: JobSpec, price: Quote) -> None:
    """Raise BadInput where a job may cost more than its owner allows."""
    budget = spec.budget.budget_wei
    if price.total_wei_max > budget:
        raise BadInput(
            f"budget.budget_wei = {budget}: the job may cost {price.total_wei_max} wei.",
            "Raise the budget, or lower rounds, steps or price_wei_per_gflop.",
        )
