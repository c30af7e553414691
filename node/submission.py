"""Submitting a job: fund it on chain, then have peers hold it.

Both steps can be repeated. A job that this wallet funded with the same manifest and that is still
open is offered again instead of being paid twice.
"""

import logging
from dataclasses import dataclass

from node.bundle import Bundle
from node.chain import Chain
from node.chain.events import JobFunded
from node.chain.types import JobTerms
from node.errors import BadInput, InsufficientFunds
from node.ids import JobId
from node.ledger import Ledger
from node.quote import Quote
from scheduler.manifest import Manifest

log = logging.getLogger(__name__)

WEI = 10**18
HOLDERS_WANTED = 3
"""Peers that must hold a job before its submitter may leave, if there are so many."""


@dataclass(frozen=True, slots=True)
class Funded:
    """A job on the chain; `deposited_wei` is 0 if it had been funded before."""

    job_id: JobId
    deposited_wei: int


def terms_of(manifest: Manifest, now_s: int) -> JobTerms:
    """What the escrow is told of a job; its deadline counts from now."""
    return JobTerms(
        manifest_digest=manifest.digest(),
        manifest_size=manifest.ref().size,
        manifest_root=bytes.fromhex(manifest.ref().root),
        rounds=manifest.rounds,
        slots=manifest.slots,
        unit_wei=max(1, manifest.unit_wei),
        deadline=now_s + manifest.deadline_s,
    )


def check_budget(bundle: Bundle, quoted: Quote) -> None:
    """BadInput if the job could cost more than its file allows."""
    budget = bundle.spec.budget.budget_wei
    if quoted.total_wei_max > budget:
        raise BadInput(
            f"budget.budget_wei = {budget}: the job may cost up to {quoted.total_wei_max} wei.",
            "Raise the budget, lower price_wei_per_gflop, or make the job smaller.",
        )


def open_job(ledger: Ledger, submitter: str, manifest: Manifest) -> JobId | None:
    """The open job that this wallet funded with this manifest, or None."""
    for job in ledger.jobs.values():
        same = job.submitter == submitter and job.manifest_digest == manifest.digest()
        if same and not job.is_over and ledger.head_time_s < job.deadline_s:
            return JobId(job.job_id)
    return None


def require_funds(chain: Chain, terms: JobTerms, budget_wei: int) -> int:
    """What the escrow asks for, in wei. BadInput over the budget, InsufficientFunds over what the
    wallet has.
    """
    cost = chain.escrow.quote(terms)
    if cost > budget_wei:
        raise BadInput(f"The escrow asks for {cost} wei, over the budget of {budget_wei}.")
    held = chain.token.balance_of(chain.address)
    if held < cost:
        raise InsufficientFunds(
            f"{chain.address} holds {held / WEI:g} AIN, the job needs {cost / WEI:g} AIN.",
            "Send tokens to it, or make the job smaller or cheaper.",
        )
    return cost


def fund(chain: Chain, manifest: Manifest, budget_wei: int) -> Funded:
    """Deposit what the job can cost at most. InsufficientFunds if the wallet has less."""
    terms = terms_of(manifest, chain.head().timestamp)
    cost = require_funds(chain, terms, budget_wei)
    if chain.token.allowance(chain.address, chain.escrow.address) < cost:
        chain.send(chain.token.approve(chain.escrow.address, cost))
    receipt = chain.send(chain.escrow.fund(terms))
    funded = next(event for event in receipt.events if isinstance(event, JobFunded))
    return Funded(funded.job_id, funded.deposited)
