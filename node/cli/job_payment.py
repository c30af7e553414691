"""What a job is to be paid in, as its file and the command line say, and the job so priced."""

from pathlib import Path
from typing import TYPE_CHECKING

from node.bundle import assemble, read_spec
from node.cli.output import note
from node.cli.session import open_chain
from node.errors import BadInput
from node.home import Home
from node.tokens import AIN, PAID_IN_AIN, Accepted, Tokens

if TYPE_CHECKING:
    from node.bundle import Bundle
    from scheduler.spec import Budget

_AIN_NAMES = ("", AIN.symbol)


def paid_job(job_file: Path, home: Home | None, token: str | None) -> "tuple[Bundle, Accepted]":
    """The job of a file, paid in `token`, else in what the file names, else in AIN.

    BadInput for what the DAO does not accept, and where amounts would change their meaning.
    """
    budget = read_spec(job_file).budget
    accepted = _accepted(budget, home, token)
    if not accepted.token.has_decimals and not budget.in_units:
        raise BadInput(
            f"{accepted.token.name} does not tell its decimals: nobody knows what a whole one is.",
            "Give price_wei_per_gflop and budget_wei, in its smallest units.",
        )
    if accepted.token.note:
        note(f"{accepted.token.name}: {accepted.token.note}")
    return assemble(job_file, accepted.token.decimals), accepted


def _accepted(budget: "Budget", home: Home | None, token: str | None) -> Accepted:
    wanted = budget.token if token is None else token
    if wanted in _AIN_NAMES and budget.token in _AIN_NAMES:
        return PAID_IN_AIN
    if home is None:
        raise BadInput(
            f"Only a network knows what {wanted} is.", "Give --home; `ainur init` makes one."
        )
    with open_chain(home) as chain:
        tokens = Tokens(chain)
        found = tokens.find(wanted)
        stated = found if token is None else _stated(tokens, budget)
    if stated != found and not budget.in_whole:
        raise BadInput(
            f"The job file counts in smallest units of {budget.token or 'AIN'}, not of {wanted}.",
            "Give price_per_gflop and budget in whole units there, or name the token there.",
        )
    return found


def _stated(tokens: Tokens, budget: "Budget") -> Accepted | None:
    """What the job file itself is to be paid in; None if that is not accepted any more."""
    try:
        return tokens.find(budget.token)
    except BadInput:
        return None
