"""`ainur rewards`: what finalised work has earned, by work and by emission, and claiming it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from node.cli.bond_owner import require_owner
from node.cli.desk import How, transacting, transaction_options
from node.cli.options import home_option, json_option
from node.cli.output import ain, emit_json, emit_table, note, utc
from node.cli.rewards_explain import explain
from node.cli.session import open_chain, open_wallet, parse_address
from node.home import Home

if TYPE_CHECKING:
    from node.chain import Receipt
    from node.emission import EmissionReward
    from node.rewards import Reward


@click.group()
def command() -> None:
    """Show, explain and claim what finalised work has earned."""


command.add_command(explain)


@command.command("show")
@click.option("--account", help="An address, instead of this home's wallet.")
@home_option
@json_option
def show(account: str | None, home: Home, as_json: bool) -> None:
    """Show what every finalised round earned, and what emission gives for every epoch."""
    from node.emission import emissions_of
    from node.rewards import rewards_of

    address = parse_address(account) if account else open_wallet(home).address
    with open_chain(home) as chain:
        rewards, emissions = rewards_of(chain, address), emissions_of(chain, address)
        earned_wei, claimed_wei = chain.rewards.account_of(chain.token.address, address)
    sums = _sums(earned_wei, claimed_wei, emissions)
    if as_json:
        emit_json({"account": address} | sums | _document(rewards, emissions))
        return
    emit_table(
        ("for", "round", "earned", "state"),
        [
            # People count rounds from 1, as `job show` and `job get --round` do.
            (
                f"0x{r.job_id.hex()[:16]}",
                "its data" if r.round is None else r.round + 1,
                ain(r.amount),
                "credited",
            )
            for r in rewards
        ]
        + [(f"epoch {e.epoch}", "emission", *_emission_cells(e)) for e in emissions],
        empty=f"{address} has no rewards yet; they come when a round is finalised",
    )
    note(_summary(sums, emissions))


@command.command("claim")
@click.option("--account", help="Claim for this address; the money goes there, not to the sender.")
@click.option("--to-bond", is_flag=True, help="Into the bond of the account, or of one you own.")
@home_option
@transaction_options
def claim(account: str | None, to_bond: bool, home: Home, how: How) -> None:
    """Claim all that was earned and is not paid yet, with the emission of epochs that are over.

    One transaction for all rounds of all jobs. Anyone may claim for anyone: the money goes to its
    owner, and what is its delegators' to them.
    """
    from node.chain.events import EmissionClaimed
    from node.emission import emissions_of
    from node.rewards import claim_all, claim_calls

    with transacting(home, how) as desk:
        chain = desk.chain
        address = parse_address(account) if account else chain.address
        emissions = [e for e in emissions_of(chain, address) if not e.is_claimed]
        ripe = [e.epoch for e in emissions if e.is_final]
        later = [e for e in emissions if not e.is_final]
        if to_bond and address != chain.address:
            require_owner(chain, address)
        credit_wei = chain.rewards.credit_of(chain.token.address, address)
        calls = claim_calls(chain, address, credit_wei, ripe, to_bond=to_bond)
        if not how.sends and calls:
            desk.send(*calls)
        sent = list(claim_all(calls, desk.send))
        paid = sum(amount for _, amount in sent)
        emitted = sum(
            event.amount
            for receipt, _ in sent
            for event in receipt.events
            if isinstance(event, EmissionClaimed)
        )
        transactions = [receipt.transaction for receipt, _ in sent]
        if how.as_json:
            desk.emit(
                {"account": address, "claimed_wei": paid, "emission_claimed_wei": emitted,
                 "transactions": transactions}
            )  # fmt: skip
        elif not transactions:
            note(f"{address} has nothing to claim" + _later(later))
        else:
            count = len(transactions)
            by = f"in {count} transaction{'s' * (count != 1)}"
            where = "into the bond of" if to_bond else "for"
            note(f"claimed {ain(paid)} {where} {address} {by}, {ain(emitted)} of it emission")
            for_holders = _delegators_wei(sent)
            if for_holders:
                note(f"{ain(for_holders)} of it went to who delegated to this account")
            if later:
                note(_later(later).removeprefix("; "))


def _delegators_wei(sent: "Sequence[tuple[Receipt, int]]") -> int:
    """What of the claims was the delegators'."""
    from node.chain.events import DelegatorsEarned

    events = (event for receipt, _ in sent for event in receipt.events)
    return sum(event.amount for event in events if isinstance(event, DelegatorsEarned))


def _emission_cells(emission: "EmissionReward") -> tuple[str, str]:
    if not emission.is_final:
        return f"at most {ain(emission.amount_wei)}", f"from {utc(emission.claimable_at_s)}"
    return ain(emission.amount_wei), "claimed" if emission.is_claimed else "claimable"


def _later(emissions: "Sequence[EmissionReward]") -> str:
    """What cannot be claimed yet, and from when some of it can."""
    if not emissions:
        return ""
    most = sum(e.amount_wei for e in emissions)
    first = min(e.claimable_at_s for e in emissions)
    return f"; at most {ain(most)} of emission can be claimed later, the first from {utc(first)}"


def _sums(
    earned_wei: int, claimed_wei: int, emissions: "Sequence[EmissionReward]"
) -> dict[str, int]:
    ripe = [e for e in emissions if e.is_final]
    return {
        "earned_wei": earned_wei,
        "claimed_wei": claimed_wei,
        "claimable_wei": earned_wei - claimed_wei,
        "emission_claimed_wei": sum(e.amount_wei for e in ripe if e.is_claimed),
        "emission_claimable_wei": sum(e.amount_wei for e in ripe if not e.is_claimed),
    }


def _summary(sums: dict[str, int], emissions: "Sequence[EmissionReward]") -> str:
    return (
        f"claimed {ain(sums['claimed_wei'])}, {ain(sums['emission_claimed_wei'])} of it emission; "
        f"claimable {ain(sums['claimable_wei'])}, and {ain(sums['emission_claimable_wei'])} of "
        "emission" + _later([e for e in emissions if not e.is_final])
    )


def _document(
    rewards: "Sequence[Reward]", emissions: "Sequence[EmissionReward]"
) -> dict[str, object]:
    credited = [{"job_id": r.job_id, "round": r.round, "amount_wei": r.amount} for r in rewards]
    minted = [
        {
            "epoch": emission.epoch,
            "claimable_at": emission.claimable_at_s,
            "flops": emission.flops,
            "amount_wei": emission.amount_wei,
            "treasury_wei": emission.treasury_wei,
            "final": emission.is_final,
            "claimed": emission.is_claimed,
        }
        for emission in emissions
    ]
    return {"rewards": credited, "emissions": minted}
