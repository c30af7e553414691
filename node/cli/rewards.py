"""`ainur rewards`: what finalised work has earned, by work and by emission, and claiming it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from node.cli.desk import How, transacting, transaction_options
from node.cli.options import home_option, json_option
from node.cli.output import ain, emit_json, emit_table, note, utc
from node.cli.rewards_explain import explain
from node.cli.session import open_chain, open_wallet, parse_address
from node.home import Home

if TYPE_CHECKING:
    from node.chain.types import RewardClaim
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
    """Show what every finalised round earned: by work, and by emission once its epoch is over."""
    from node.emission import emissions_of
    from node.rewards import rewards_of

    address = parse_address(account) if account else open_wallet(home).address
    with open_chain(home) as chain:
        rewards, emissions = rewards_of(chain, address), emissions_of(chain, address)
    if as_json:
        emit_json({"account": address} | _document(rewards, emissions))
        return
    by_leaf = {_key(e.claim): e for e in emissions}
    emit_table(
        ("job", "round", "by work", "claimed", "by emission", "claimable"),
        [
            # People count rounds from 1, as `job show` and `job get --round` do.
            (
                f"0x{r.claim.job_id.hex()[:16]}",
                r.claim.round + 1,
                ain(r.claim.amount),
                r.claimed,
                *_emission_cells(by_leaf.get(_key(r.claim))),
            )
            for r in rewards
        ],
        empty=f"{address} has no rewards yet; they come when a round is finalised",
    )
    note(_summary(rewards, emissions))


@command.command("claim")
@click.option("--account", help="Claim for this address; the money goes there, not to the sender.")
@home_option
@transaction_options
def claim(account: str | None, home: Home, how: How) -> None:
    """Claim all unclaimed rewards, and the emission of epochs that are over.

    Anyone may claim for anyone: the money goes to its owner.
    """
    from node.emission import emissions_of
    from node.rewards import claim_all, claim_calls, rewards_of

    with transacting(home, how) as desk:
        chain = desk.chain
        address = parse_address(account) if account else chain.address
        wanted = [r.claim for r in rewards_of(chain, address) if not r.claimed]
        emissions = [e for e in emissions_of(chain, address) if not e.is_claimed]
        ripe = [e.claim for e in emissions if e.is_final]
        later = [e for e in emissions if not e.is_final]
        if not how.sends and (wanted or ripe):
            desk.send(*claim_calls(wanted, chain.rewards), *claim_calls(ripe, chain.emission))
        work = list(claim_all(chain, wanted, desk.send))
        minted = list(claim_all(chain, ripe, desk.send, chain.emission))
        paid, emitted = (sum(amount for _, amount in sent) for sent in (work, minted))
        transactions = [receipt.transaction for receipt, _ in (*work, *minted)]
        if how.as_json:
            desk.emit(
                {"account": address, "claimed_wei": paid, "emission_claimed_wei": emitted,
                 "transactions": transactions}
            )  # fmt: skip
        elif not transactions:
            note(f"{address} has nothing to claim" + _later(later))
        else:
            count = len(transactions)
            sent = f"in {count} transaction{'s' * (count != 1)}"
            note(f"claimed {ain(paid)} and {ain(emitted)} of emission for {address} {sent}")
            if later:
                note(_later(later).removeprefix("; "))


def _key(claim: "RewardClaim") -> tuple[bytes, int, int]:
    return claim.job_id, claim.round, claim.index


def _emission_cells(emission: "EmissionReward | None") -> tuple[str | None, str | None]:
    if emission is None:
        return None, None
    if not emission.is_final:
        return f"at most {ain(emission.amount_wei)}", utc(emission.claimable_at_s)
    return ain(emission.amount_wei), "claimed" if emission.is_claimed else "now"


def _later(emissions: "Sequence[EmissionReward]") -> str:
    """What cannot be claimed yet, and from when some of it can."""
    if not emissions:
        return ""
    most = sum(e.amount_wei for e in emissions)
    first = min(e.claimable_at_s for e in emissions)
    return f"; at most {ain(most)} of emission can be claimed later, the first from {utc(first)}"


def _sums(rewards: "Sequence[Reward]", emissions: "Sequence[EmissionReward]") -> dict[str, int]:
    ripe = [e for e in emissions if e.is_final]
    return {
        "claimed_wei": sum(r.claim.amount for r in rewards if r.claimed),
        "claimable_wei": sum(r.claim.amount for r in rewards if not r.claimed),
        "emission_claimed_wei": sum(e.amount_wei for e in ripe if e.is_claimed),
        "emission_claimable_wei": sum(e.amount_wei for e in ripe if not e.is_claimed),
    }


def _summary(rewards: "Sequence[Reward]", emissions: "Sequence[EmissionReward]") -> str:
    sums = _sums(rewards, emissions)
    return (
        f"claimed {ain(sums['claimed_wei'])}, claimable {ain(sums['claimable_wei'])}; of emission "
        f"claimed {ain(sums['emission_claimed_wei'])}, "
        f"claimable {ain(sums['emission_claimable_wei'])}"
        + _later([e for e in emissions if not e.is_final])
    )


def _document(
    rewards: "Sequence[Reward]", emissions: "Sequence[EmissionReward]"
) -> dict[str, object]:
    leaves = [
        {
            "job_id": reward.claim.job_id,
            "round": reward.claim.round,
            "index": reward.claim.index,
            "amount_wei": reward.claim.amount,
            "claimed": reward.claimed,
        }
        for reward in rewards
    ]
    minted = [
        {
            "job_id": emission.claim.job_id,
            "round": emission.claim.round,
            "index": emission.claim.index,
            "epoch": emission.epoch,
            "claimable_at": emission.claimable_at_s,
            "amount_wei": emission.amount_wei,
            "final": emission.is_final,
            "claimed": emission.is_claimed,
        }
        for emission in emissions
    ]
    return _sums(rewards, emissions) | {"rewards": leaves, "emissions": minted}
