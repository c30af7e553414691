"""`ainur rewards`: what finalised work has earned, and claiming it."""

from pathlib import Path

import click

from node.cli.options import home_option, json_option, signer_options
from node.cli.output import ain, emit_json, emit_table, note
from node.cli.session import open_chain, open_wallet, parse_address, signing_chain
from node.home import Home


@click.group()
def command() -> None:
    """Show and claim what finalised work has earned."""


@command.command("show")
@click.option("--account", help="An address, instead of this home's wallet.")
@home_option
@json_option
def show(account: str | None, home: Home, as_json: bool) -> None:
    """Show every reward of finalised rounds, and whether it was claimed."""
    from node.rewards import rewards_of

    address = parse_address(account) if account else open_wallet(home).address
    with open_chain(home) as chain:
        rewards = rewards_of(chain, address)
    claimed = sum(r.claim.amount for r in rewards if r.claimed)
    open_wei = sum(r.claim.amount for r in rewards if not r.claimed)
    if as_json:
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
        emit_json(
            {
                "account": address,
                "claimed_wei": claimed,
                "claimable_wei": open_wei,
                "rewards": leaves,
            }
        )
        return
    emit_table(
        ("job", "round", "amount", "claimed"),
        [
            # People count rounds from 1, as `job show` and `job get --round` do.
            (f"0x{r.claim.job_id.hex()[:16]}", r.claim.round + 1, ain(r.claim.amount), r.claimed)
            for r in rewards
        ],
        empty=f"{address} has no rewards yet; they come when a round is finalised",
    )
    note(f"claimed {ain(claimed)}, claimable {ain(open_wei)}")


@command.command("claim")
@click.option("--account", help="Claim for this address; the money goes there, not to the sender.")
@home_option
@signer_options
@json_option
def claim(
    account: str | None,
    home: Home,
    wallet: str | None,
    password_file: Path | None,
    as_json: bool,
) -> None:
    """Claim all unclaimed rewards."""
    from node.rewards import claim_all, rewards_of

    with signing_chain(home, wallet, password_file) as chain:
        address = parse_address(account) if account else chain.address
        wanted = [r.claim for r in rewards_of(chain, address) if not r.claimed]
        paid, transactions = 0, []
        for receipt, amount in claim_all(chain, wanted):
            paid += amount
            transactions.append(receipt.transaction)
    if as_json:
        emit_json({"account": address, "claimed_wei": paid, "transactions": transactions})
    elif not wanted:
        note(f"{address} has nothing to claim")
    else:
        count = len(transactions)
        note(f"claimed {ain(paid)} for {address} in {count} transaction{'s' * (count != 1)}")
