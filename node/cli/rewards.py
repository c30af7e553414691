"""`ainur rewards`: what finalised work has earned, by work and by emission, and claiming it."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import click

from node.cli.options import home_option, json_option
from node.cli.output import ain, emit_json, emit_table, note, utc
from node.cli.rewards_claim import claim, later
from node.cli.rewards_explain import explain
from node.cli.rewards_owed import owed_notes, pay_charge
from node.cli.session import open_chain, open_wallet, parse_address
from node.home import Home

if TYPE_CHECKING:
    from node.emission import EmissionReward
    from node.rewards import Balance, Reward
    from node.tokens import Token


@click.group()
def command() -> None:
    """Show, explain and claim what finalised work has earned."""


command.add_command(explain)
command.add_command(claim)
command.add_command(pay_charge)


@command.command("show")
@click.option("--account", help="An address, instead of this home's wallet.")
@home_option
@json_option
def show(account: str | None, home: Home, as_json: bool) -> None:
    """Show what every finalised round earned, and what emission gives for every epoch."""
    from node.emission import emissions_of
    from node.rewards import balances_of, rewards_of
    from node.tokens import Tokens

    address = parse_address(account) if account else open_wallet(home).address
    with open_chain(home) as chain:
        tokens = Tokens(chain)
        rewards, emissions = rewards_of(chain, address), emissions_of(chain, address)
        network, *others = balances_of(chain, tokens, address, rewards)
        named = {each.token: tokens.of(each.token) for each in rewards}
        owed = owed_notes(chain, tokens, address)
    sums = _sums(network, emissions)
    if as_json:
        document = _document(rewards, named, emissions)
        emit_json({"account": address} | sums | document | {"tokens": list(map(_balance, others))})
        return
    emit_table(
        ("for", "round", "earned", "state"),
        [
            # People count rounds from 1, as `job show` and `job get --round` do.
            (
                f"0x{r.job_id.hex()[:16]}",
                "its data" if r.round is None else r.round + 1,
                named[r.token].amount(r.amount),
                "credited",
            )
            for r in rewards
        ]
        + [(f"epoch {e.epoch}", "emission", *_emission_cells(e)) for e in emissions],
        empty=f"{address} has no rewards yet; they come when a round is finalised",
    )
    note(_summary(sums, emissions))
    for line in [*map(_told, others), *owed]:
        note(line)


def _balance(each: "Balance") -> dict[str, object]:
    return each.token.document() | {
        "earned": each.earned, "claimed": each.claimed, "claimable": each.left
    }  # fmt: skip


def _told(each: "Balance") -> str:
    amount = each.token.amount
    how = f": `ainur rewards claim --token {each.contract}`" if each.left else ""
    return f"claimed {amount(each.claimed)}; claimable {amount(each.left)}{how}"


def _emission_cells(emission: "EmissionReward") -> tuple[str, str]:
    if not emission.is_final:
        return f"at most {ain(emission.amount_wei)}", f"from {utc(emission.claimable_at_s)}"
    return ain(emission.amount_wei), "claimed" if emission.is_claimed else "claimable"


def _sums(network: "Balance", emissions: "Sequence[EmissionReward]") -> dict[str, int]:
    ripe = [e for e in emissions if e.is_final]
    return {
        "earned_wei": network.earned,
        "claimed_wei": network.claimed,
        "claimable_wei": network.left,
        "emission_claimed_wei": sum(e.amount_wei for e in ripe if e.is_claimed),
        "emission_claimable_wei": sum(e.amount_wei for e in ripe if not e.is_claimed),
    }


def _summary(sums: dict[str, int], emissions: "Sequence[EmissionReward]") -> str:
    return (
        f"claimed {ain(sums['claimed_wei'])}, {ain(sums['emission_claimed_wei'])} of it emission; "
        f"claimable {ain(sums['claimable_wei'])}, and {ain(sums['emission_claimable_wei'])} of "
        "emission" + later([e for e in emissions if not e.is_final])
    )


def _document(
    rewards: "Sequence[Reward]", named: "Mapping[str, Token]", emissions: "Sequence[EmissionReward]"
) -> dict[str, object]:
    credited = [
        {"job_id": r.job_id, "round": r.round, "amount_wei": r.amount,
         "token": named[r.token].document()}
        for r in rewards
    ]  # fmt: skip
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
