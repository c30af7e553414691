"""`ainur rewards pay-charge`: what a token did not move at a verdict, paid once it moves again."""

from typing import TYPE_CHECKING

import click

from node.cli.desk import How, transacting, transaction_options
from node.cli.options import home_option
from node.cli.output import note
from node.errors import BadInput
from node.home import Home

if TYPE_CHECKING:
    from node.chain import Chain
    from node.tokens import Tokens


@click.command("pay-charge")
@click.argument("job")
@home_option
@transaction_options
def pay_charge(job: str, home: Home, how: How) -> None:
    """Have paid what is owed since JOB's data was not to be had.

    A token that was stopped at the verdict may move now. Anyone may send it; the money is credited
    to those who were to have it then, and the rest to the treasury.
    """
    from node.chain_jobs import LedgerReader, find_job
    from node.rewards import charges_owed

    with transacting(home, how) as desk:
        view = find_job(LedgerReader(desk.chain).update(), job)
        owed = [each for each in charges_owed(desk.chain) if each.job_id == view.job_id]
        if not owed:
            raise BadInput(
                f"Nothing is owed for job 0x{view.job_id.hex()}.",
                "`ainur rewards show` tells what is, and `ainur rewards claim` has credits paid.",
            )
        (receipt,) = desk.send(desk.chain.escrow.pay_charge(owed[0]))
        if how.as_json:
            desk.emit({"job": view.job_id.hex(), "transaction": receipt.transaction})
        note("credited; `ainur rewards claim --all` pays it")


def owed_notes(chain: "Chain", tokens: "Tokens", account: str) -> list[str]:
    """A line for each charge of which `account` is owed a part."""
    from node.rewards import charges_owed

    lines = []
    for event in charges_owed(chain):
        pairs = zip(event.accounts, event.amounts, strict=True)
        amount = sum(part for owner, part in pairs if owner == account)
        if amount:
            job = f"0x{event.job_id.hex()}"
            token = tokens.of(chain.escrow.job(event.job_id).terms.token)
            how = f"once it moves again: `ainur rewards pay-charge {job}`"
            lines.append(
                f"owed {token.amount(amount)} for job {job[:18]}, whose token stood still; {how}"
            )
    return lines
