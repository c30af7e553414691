"""What the chain is shown again of a claim, of which it keeps the root of a batch only."""

from node.chain.types import ClaimedUnit
from node.ids import JobId
from node.ledger import UnitView
from node.merkle import claim_leaf, merkle_proof


def accusation(unit: UnitView) -> tuple[JobId, int, int, ClaimedUnit, tuple[bytes, ...]]:
    """What `WorkLedger.challenge` is told of a unit: its claim, and that its batch has it."""
    batch, job_id = unit.batch, JobId(unit.job_id)
    place = next(i for i, claim in enumerate(batch.claims) if claim.slot == unit.key.slot)
    leaves = [claim_leaf(job_id, batch.round, claim) for claim in batch.claims]
    return job_id, batch.round, batch.index, batch.claims[place], merkle_proof(leaves, place)
