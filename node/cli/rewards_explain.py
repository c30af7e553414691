"""`ainur rewards explain`: for what each wei was earned, by work and by emission."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import click

from node.cli.options import home_option, json_option
from node.cli.output import ain, emit_json, emit_table, note, utc
from node.cli.session import open_chain, open_wallet, parse_address
from node.errors import BadInput, ReplayDiffers
from node.home import Home
from node.ids import JobId

if TYPE_CHECKING:
    from node.emission_account import CountedRound, ExplainedEmission
    from node.rewards import Explained, Reward
    from node.tokens import Token


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

    By work: unit by unit. By emission, for each epoch: the rounds and the account's part of their
    FLOPs, the budget, the cap by the burned fee, the treasury's share. Of one JOB, or of all.

    Exit code 12 if anything on the chain is not what was recomputed.
    """
    from node.chain_jobs import LedgerReader, find_job
    from node.emission_account import explain_emission
    from node.rewards import explain as explained
    from node.rewards import rewards_of
    from node.tokens import Tokens

    address = parse_address(account) if account else open_wallet(home).address
    with open_chain(home) as chain:
        tokens, ledger = Tokens(chain), LedgerReader(chain).update()
        wanted_job = find_job(ledger, job).job_id if job else None

        def wanted(job_id: bytes, round: int) -> bool:
            return wanted_job in (None, job_id) and number in (None, round + 1)

        minted = explain_emission(chain, address, wanted)
        credits = rewards_of(chain, address)
        treasury = chain.network.contracts.timelock
        found = [e for e in explained(ledger, address) if wanted(e.job.job_id, e.round)]
        paid_in = [each.job.token for each in found] + [each.token for each in credits]
        named = {address: tokens.of(address) for address in paid_in}
    if emission:
        _require_over(minted)
    worked = [] if emission else found
    data = [] if emission or number is not None else _data(credits, wanted_job)
    if as_json:
        works = {} if emission else {"rewards": [_explanation(each, named) for each in worked]}
        if data:
            works["data"] = [
                {"job_id": r.job_id, "amount_wei": r.amount, "token": named[r.token].document()}
                for r in data
            ]
        emit_json({"account": address} | works | {"emissions": [_minted(each) for each in minted]})
    else:
        if not emission:
            _show_worked(address, worked, named, treasury)
            for each in data:
                note(
                    f"{named[each.token].amount(each.amount)} of the data deposit of "
                    f"0x{each.job_id.hex()[:16]}: its data was not to be had"
                )
        _show_minted(minted)
    _require_equal(worked, credits, minted)


def _require_over(minted: "Sequence[ExplainedEmission]") -> None:
    """BadInput, with the time to come back, while one of the epochs is not over."""
    open_ = [each for each in minted if not each.is_final]
    if not open_:
        return
    first, last = open_[0], max(each.ends_at_s for each in open_)
    raise BadInput(
        f"Epoch {first.epoch} is not over: what it gives depends on the rounds to come.",
        f"Ask again from {utc(last)} on, or leave --emission out to see what it can be at most.",
    )


def _data(credits: "Sequence[Reward]", job: bytes | None) -> "list[Reward]":
    """What data deposits paid."""
    return [r for r in credits if r.round is None and job in (None, r.job_id)]


def _require_equal(
    worked: "Sequence[Explained]",
    credits: "Sequence[Reward]",
    minted: "Sequence[ExplainedEmission]",
) -> None:
    """ReplayDiffers if the chain has anything else than was recomputed."""
    paid = {(r.job_id, r.round): r.amount for r in credits}
    for each in worked:
        held = paid.get((JobId(each.job.job_id), each.round), 0)
        if each.unexplained or held != each.amount:
            raise ReplayDiffers(
                f"The units of round {each.round + 1} of job 0x{each.job.job_id.hex()} earned "
                f"{each.amount - each.unexplained} wei, the chain has {held}."
            )
    for minting in minted:
        if minting.differences:
            raise ReplayDiffers(
                f"The emission of epoch {minting.epoch} is another on the chain: "
                f"{'; '.join(minting.differences)}."
            )


def _explanation(each: "Explained", named: "Mapping[str, Token]") -> dict[str, object]:
    units = [
        {"slot": p.unit.slot, "attempt": p.unit.attempt, "unit_id": p.unit.unit_id, "as": p.role,
         "verdict": p.unit.verdict, "block": p.unit.decided_block, "amount_wei": p.amount}
        for p in each.parts
    ]  # fmt: skip
    return {
        "job_id": each.job.job_id,
        "round": each.round + 1,
        "token": named[each.job.token].document(),
        "amount_wei": each.amount,
        "fee_wei": each.fee_wei,
        "unit_wei": each.job.unit_wei,
        "audit_wei": each.job.audit_wei,
        "units": units,
        "unexplained_wei": each.unexplained,
    }


def _minted(each: "ExplainedEmission") -> dict[str, object]:
    return {
        "epoch": each.epoch,
        "epoch_ends_at": each.ends_at_s,
        "final": each.is_final,
        "claimed": each.is_claimed,
        "gflop_fee_wei": each.rates.gflop_fee_wei,
        "emission_bps": each.rates.emission_bps,
        "treasury_bps": each.rates.treasury_bps,
        "rounds": [_counted(one) for one in each.rounds],
        "flops": each.flops,
        "epoch_flops": each.epoch_flops,
        "budget_wei": each.budget_wei,
        "by_flops_wei": each.by_flops_wei,
        "cap_wei": each.cap_wei,
        "treasury_wei": each.share.treasury_wei,
        "amount_wei": each.share.amount_wei,
        "differences": list(each.differences),
    }


def _counted(one: "CountedRound") -> dict[str, object]:
    return {
        "job_id": one.event.job_id,
        "round": one.event.round + 1,
        "stated_flops": one.stated_flops,
        "fee_wei": one.fee_wei,
        "flops": one.flops,
        "pay_wei": one.pay_wei,
        "round_wei": one.round_wei,
        "part_flops": one.part_flops,
    }


def _show_worked(
    address: str, found: "Sequence[Explained]", named: "Mapping[str, Token]", treasury: str
) -> None:
    emit_table(
        ("job", "round", "slot", "try", "as", "verdict", "in block", "earned"),
        [
            (f"0x{each.job.job_id.hex()[:16]}", each.round + 1, p.unit.slot, p.unit.attempt + 1,
             p.role, p.unit.verdict, p.unit.decided_block,
             named[each.job.token].amount(p.amount))
            for each in found
            for p in each.parts
        ],
        empty=f"{address} has no rewards yet; they come when a round is finalised",
    )  # fmt: skip
    for each in found:
        count, audits = len(each.parts), sum(p.role == "auditor" for p in each.parts)
        token = named[each.job.token]
        name = f"round {each.round + 1} of 0x{each.job.job_id.hex()[:16]}"
        note(
            f"{name}: {_so_many(count - audits, 'unit')} of {token.amount(each.job.unit_wei)} and "
            f"{_so_many(audits, 'audit')} of {token.amount(each.job.audit_wei)} make "
            f"{token.amount(each.amount)}"
        )
        if not token.is_ain:
            note(
                f"{name}: its fee of {token.amount(each.fee_wei)} went to the treasury {treasury}; "
                "nothing was burned, so it counts for no emission"
            )


def _so_many(count: int, what: str) -> str:
    return f"{count} {what}{'s' * (count != 1)}"


def _show_minted(minted: "Sequence[ExplainedEmission]") -> None:
    for each in minted:
        for line in _lines(each):
            note(line)


def _lines(each: "ExplainedEmission") -> list[str]:
    """One formula a line, each with the figures that it was fed with."""
    share, rates = each.share, each.rates
    most = "" if each.is_final else "at most "
    open_ = "" if each.is_final else f", not over until {utc(each.ends_at_s)}"
    state = "claimed" if each.is_claimed else "to be claimed"
    return [
        f"emission of epoch {each.epoch}{open_}:",
        *(
            f"  round {one.event.round + 1} of 0x{one.event.job_id.hex()[:16]}: {one.stated_flops} "
            f"FLOPs stated, of which the fee of {ain(one.fee_wei)}, burned, covers {one.flops} "
            f"({ain(rates.gflop_fee_wei)} a GFLOP); for {ain(one.pay_wei)} of the round's "
            f"{ain(one.round_wei)} by work {one.part_flops} of them"
            for one in each.rounds
        ),
        f"  by FLOPs: {each.flops} of the epoch's {each.epoch_flops}, of its budget of "
        f"{ain(each.budget_wei)}: {ain(each.by_flops_wei)}",
        f"  cap: {_percent(rates.emission_bps)} of what was burned for them: {ain(each.cap_wei)}; "
        f"the epoch gives the lesser, {most}{ain(share.amount_wei + share.treasury_wei)}",
        f"  treasury: {_percent(rates.treasury_bps)} of it, rounded up: {ain(share.treasury_wei)}",
        f"  this account: {most}{ain(share.amount_wei)}{f', {state}' if each.is_final else ''}",
    ]


def _percent(bps: int) -> str:
    return f"{bps / 100:g}%"
