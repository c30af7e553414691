"""`ainur rewards explain`: for what each wei was earned, by work and by emission."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from node.cli.options import home_option, json_option
from node.cli.output import ain, emit_json, emit_table, note, utc
from node.cli.session import open_chain, open_wallet, parse_address
from node.errors import BadInput, ReplayDiffers
from node.home import Home
from node.ids import JobId

if TYPE_CHECKING:
    from node.emission_account import ExplainedEmission
    from node.rewards import Explained


@click.command("explain")
@click.argument("job", required=False)
@click.option("--round", "number", type=int, help="Only this round, counted from 1.")
@click.option("--account", help="An address, instead of this home's wallet.")
@click.option(
    "--emission", is_flag=True, help="Only what emission gave; an error while an epoch is not over."
)
@home_option
@json_option
def explain(
    job: str | None,
    number: int | None,
    account: str | None,
    emission: bool,
    home: Home,
    as_json: bool,
) -> None:
    """Say for what each wei was earned, recomputed from the chain's events alone.

    By work: unit by unit. By emission: the epoch, its FLOPs and budget, the cap by the burned fee,
    the treasury's share, the leaf's. Of one JOB, or of all.

    Exit code 12 if anything on the chain is not what was recomputed.
    """
    from node.chain_jobs import LedgerReader, find_job
    from node.emission_account import explain_emission
    from node.rewards import explain as explained
    from node.rewards import rewards_of

    address = parse_address(account) if account else open_wallet(home).address
    with open_chain(home) as chain:
        ledger = LedgerReader(chain).update()
        wanted_job = find_job(ledger, job).job_id if job else None

        def wanted(job_id: bytes, round: int) -> bool:
            return wanted_job in (None, job_id) and number in (None, round + 1)

        minted = explain_emission(chain, address, wanted)
        leaves = {
            (r.claim.job_id, r.claim.round): r.claim.amount for r in rewards_of(chain, address)
        }
    if emission:
        _require_over(minted)
    found = [e for e in explained(ledger, address) if wanted(e.job.job_id, e.round)]
    worked = [] if emission else found
    if as_json:
        works = {} if emission else {"rewards": [_explanation(each) for each in worked]}
        emit_json({"account": address} | works | {"emissions": [_minted(each) for each in minted]})
    else:
        if not emission:
            _show_worked(address, worked)
        _show_minted(minted)
    _require_equal(worked, leaves, minted)


def _require_over(minted: "Sequence[ExplainedEmission]") -> None:
    """BadInput, with the time to come back, while one of the epochs is not over."""
    open_ = [each for each in minted if not each.is_final]
    if not open_:
        return
    first, last = open_[0], max(each.ends_at_s for each in open_)
    raise BadInput(
        f"Epoch {first.counted.event.epoch} of round {first.claim.round + 1} of job "
        f"0x{first.claim.job_id.hex()} is not over: what it gives depends on the rounds to come.",
        f"Ask again from {utc(last)} on, or leave --emission out to see what it can be at most.",
    )


def _require_equal(
    worked: "Sequence[Explained]",
    leaves: dict[tuple[JobId, int], int],
    minted: "Sequence[ExplainedEmission]",
) -> None:
    """ReplayDiffers if the chain has anything else than was recomputed."""
    for each in worked:
        paid = leaves.get((JobId(each.job.job_id), each.round), 0)
        if each.unexplained or paid != each.amount:
            raise ReplayDiffers(
                f"The units of round {each.round + 1} of job 0x{each.job.job_id.hex()} earned "
                f"{each.amount - each.unexplained} wei, the chain has {paid}."
            )
    for minting in minted:
        if minting.differences:
            raise ReplayDiffers(
                f"The emission of round {minting.claim.round + 1} of job "
                f"0x{minting.claim.job_id.hex()} is another on the chain: "
                f"{'; '.join(minting.differences)}."
            )


def _explanation(each: "Explained") -> dict[str, object]:
    units = [
        {"slot": p.unit.slot, "attempt": p.unit.attempt, "unit_id": p.unit.unit_id, "as": p.role,
         "verdict": p.unit.verdict, "block": p.unit.decided_block, "amount_wei": p.amount}
        for p in each.parts
    ]  # fmt: skip
    return {
        "job_id": each.job.job_id,
        "round": each.round + 1,
        "amount_wei": each.amount,
        "unit_wei": each.job.unit_wei,
        "audit_wei": each.job.audit_wei,
        "units": units,
        "unexplained_wei": each.unexplained,
    }


def _minted(each: "ExplainedEmission") -> dict[str, object]:
    counted = each.counted
    return {
        "job_id": each.claim.job_id,
        "round": each.claim.round + 1,
        "epoch": counted.event.epoch,
        "epoch_ends_at": each.ends_at_s,
        "final": each.is_final,
        "claimed": each.is_claimed,
        "stated_flops": counted.stated_flops,
        "fee_wei": counted.fee_wei,
        "gflop_fee_wei": counted.gflop_fee_wei,
        "flops": counted.flops,
        "epoch_flops": each.epoch_flops,
        "budget_wei": each.budget_wei,
        "by_flops_wei": each.by_flops_wei,
        "emission_bps": counted.emission_bps,
        "cap_wei": counted.cap_wei,
        "round_emission_wei": each.share.emission_wei,
        "treasury_bps": counted.treasury_bps,
        "treasury_wei": each.share.treasury_wei,
        "leaf_wei": each.claim.amount,
        "round_wei": each.round_wei,
        "amount_wei": each.amount_wei,
        "differences": list(each.differences),
    }


def _show_worked(address: str, found: "Sequence[Explained]") -> None:
    emit_table(
        ("job", "round", "slot", "try", "as", "verdict", "in block", "earned"),
        [
            (f"0x{each.job.job_id.hex()[:16]}", each.round + 1, p.unit.slot, p.unit.attempt + 1,
             p.role, p.unit.verdict, p.unit.decided_block, ain(p.amount))
            for each in found
            for p in each.parts
        ],
        empty=f"{address} has no rewards yet; they come when a round is finalised",
    )  # fmt: skip
    for each in found:
        count, audits = len(each.parts), sum(p.role == "auditor" for p in each.parts)
        note(
            f"round {each.round + 1} of 0x{each.job.job_id.hex()[:16]}: {count - audits} units of "
            f"{ain(each.job.unit_wei)} and {audits} audits of {ain(each.job.audit_wei)} make "
            f"{ain(each.amount)}"
        )


def _show_minted(minted: "Sequence[ExplainedEmission]") -> None:
    for each in minted:
        for line in _lines(each):
            note(line)


def _lines(each: "ExplainedEmission") -> list[str]:
    """One formula a line, each with the figures that it was fed with."""
    counted, share = each.counted, each.share
    most = "" if each.is_final else "at most "
    open_ = "" if each.is_final else f", not over until {utc(each.ends_at_s)}"
    state = "claimed" if each.is_claimed else "to be claimed"
    return [
        f"emission of round {each.claim.round + 1} of 0x{each.claim.job_id.hex()[:16]}, epoch "
        f"{counted.event.epoch}{open_}:",
        f"  FLOPs: {counted.stated_flops} stated, of which the fee of {ain(counted.fee_wei)}, "
        f"burned, covers {counted.flops} ({ain(counted.gflop_fee_wei)} a GFLOP)",
        f"  by FLOPs: {counted.flops} of the epoch's {each.epoch_flops}, of its budget of "
        f"{ain(each.budget_wei)}: {ain(each.by_flops_wei)}",
        f"  cap: {_percent(counted.emission_bps)} of the fee: {ain(counted.cap_wei)}; the round "
        f"gives the lesser, {most}{ain(share.emission_wei)}",
        f"  treasury: {_percent(counted.treasury_bps)} of it, rounded up: "
        f"{ain(share.treasury_wei)}",
        f"  this leaf: {ain(each.claim.amount)} of the round's {ain(each.round_wei)} by work, of "
        f"the rest: {most}{ain(each.amount_wei)}{f', {state}' if each.is_final else ''}",
    ]


def _percent(bps: int) -> str:
    return f"{bps / 100:g}%"
