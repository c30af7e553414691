"""Submitting a job: fund it on chain, then have peers hold it.

Both steps can be repeated. A job that this wallet funded with the same manifest and that is still
open is offered again instead of being paid twice; one that is completed is not paid again either.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from engine.ops import ARITHMETIC_VERSION
from node.bundle import Bundle
from node.chain import Chain, Receipt
from node.chain.erc20 import Erc20
from node.chain.events import JobFunded
from node.chain.handle import Transaction
from node.chain.money import Token as NetworkToken
from node.chain.types import ZERO_ADDRESS, JobTerms
from node.errors import BadInput, InsufficientFunds
from node.ids import JobId
from node.ledger import JobState, JobView, Ledger
from node.parameters import Versions
from node.quote import Offer
from node.tokens import Token
from scheduler.manifest import Manifest

log = logging.getLogger(__name__)

HOLDERS_WANTED = 3
"""Peers that must hold a job before its submitter may leave, if there are so many."""


@dataclass(frozen=True, slots=True)
class Funded:
    """A job on the chain; `deposited_wei` is 0 if it had been funded before."""

    job_id: JobId
    deposited_wei: int


def terms_of(
    manifest: Manifest,
    now_s: int,
    rounds_ahead: int = 0,
    *,
    unit_wei: int | None = None,
    token: str = ZERO_ADDRESS,
) -> JobTerms:
    """What the escrow is told of a job; its deadline counts from now.

    A unit pays `unit_wei` of `token`; None: what the manifest says.
    """
    return JobTerms(
        manifest_digest=manifest.digest(),
        manifest_size=manifest.ref().size,
        manifest_root=bytes.fromhex(manifest.ref().root),
        rounds=manifest.rounds,
        slots=manifest.slots,
        unit_wei=max(1, manifest.unit_wei if unit_wei is None else unit_wei),
        deadline=now_s + manifest.deadline_s,
        rounds_ahead=rounds_ahead,
        unit_flops=manifest.unit_flops,
        token=token,
    )


def earlier_job(ledger: Ledger, submitter: str, manifest: Manifest) -> JobView | None:
    """The job that this wallet funded with this manifest: one that is open, else one that was
    completed, else None.
    """
    same = [
        job
        for job in ledger.jobs.values()
        if job.submitter == submitter and job.manifest_digest == manifest.digest()
    ]
    for job in same:
        if not job.is_over and ledger.head_time_s < job.deadline_s:
            return job
    return next((job for job in same if job.state is JobState.COMPLETED), None)


def check_not_repeated(job: JobView) -> None:
    """BadInput for a completed job: the same manifest gives the same weights, bit for bit."""
    if job.state is JobState.COMPLETED:
        raise BadInput(
            f"Job 0x{job.job_id.hex()} with this manifest is completed; another run of it gives "
            "the same weights, bit for bit.",
            f"`ainur job get {job.job_id.hex()[:12]} --out FILE` has them; --again pays again.",
        )


def check_memory(manifest: Manifest, offers: Sequence[Offer]) -> None:
    """BadInput where no peer that works gives the memory that a unit needs."""
    largest = max((offer.memory_bytes for offer in offers), default=0)
    if offers and largest < manifest.memory_bytes:
        raise BadInput(
            f"The job needs {manifest.memory_bytes:,} bytes of memory on a peer; the largest of "
            f"the {len(offers)} that are online gives {largest:,}.",
            "Nothing was paid. Make model, batch or data smaller, or submit when a larger peer "
            "is online.",
        )


def money_of(chain: Chain, token: Token) -> NetworkToken | Erc20:
    """The contract that moves what a job is paid in."""
    return chain.token if token.is_ain else chain.erc20(token.address)


def require_funds(chain: Chain, terms: JobTerms, budget_wei: int, token: Token) -> int:
    """What the escrow asks for, in smallest units of `token`. BadInput over the budget,
    InsufficientFunds over what the wallet has.
    """
    cost = chain.escrow.quote(terms)
    if cost > budget_wei:
        raise BadInput(
            f"The escrow asks for {token.amount(cost)}, over the budget of "
            f"{token.amount(budget_wei)}."
        )
    held = money_of(chain, token).balance_of(chain.address)
    if held < cost:
        raise InsufficientFunds(
            f"{chain.address} holds {token.amount(held)}, the job needs {token.amount(cost)}.",
            "Send tokens to it, or make the job smaller or cheaper.",
        )
    return cost


def check_versions(accepted: Versions, manifest: Manifest) -> None:
    """BadInput for a job that no node would take: the DAO accepts other versions."""
    if refusal := accepted.refusal(ARITHMETIC_VERSION, manifest.version):
        raise BadInput(
            f"Nobody would work on the job: {refusal}.",
            "Nothing was paid. Use the version of ainur that speaks them, or have the DAO accept "
            "this one: `ainur gov propose set`.",
        )


def fund_calls(
    chain: Chain, bundle: Bundle, token: Token, rounds_ahead: int = 0
) -> list[Transaction]:
    """What deposits the most that the job can cost. InsufficientFunds if the wallet has less."""
    check_versions(Versions.of(chain.parameters.all()), bundle.manifest)
    terms = terms_of(
        bundle.manifest,
        chain.head().timestamp,
        rounds_ahead,
        unit_wei=bundle.unit_wei,
        token=token.address,
    )
    cost, money = require_funds(chain, terms, bundle.budget_wei, token), money_of(chain, token)
    calls = [chain.escrow.fund(terms)]
    allowed = money.allowance(chain.address, chain.escrow.address)
    if allowed < cost:
        calls.insert(0, money.approve(chain.escrow.address, cost))
        if allowed and not token.is_ain:
            # Some tokens take no change of an allowance but to and from nothing.
            calls.insert(0, money.approve(chain.escrow.address, 0))
    return calls


def funded_by(receipts: Sequence[Receipt]) -> Funded:
    """The job that these transactions funded."""
    events = (event for receipt in receipts for event in receipt.events)
    funded = next(event for event in events if isinstance(event, JobFunded))
    return Funded(funded.job_id, funded.deposited)
