"""node/claims.py: what the chain is shown again of one claim among others."""

import pytest

from node.chain.types import ClaimedUnit
from node.claims import accusation
from node.ids import JobId, unit_id
from node.ledger import BatchView, UnitView
from node.merkle import claim_leaf, merkle_root, verify_proof
from scheduler.terms import UnitRef

JOB = JobId(b"j" * 32)
SLOTS = (0, 2, 3, 7, 8)
CLAIMS = tuple(
    ClaimedUnit(slot, slot % 2, "0x" + "ab" * 20, bytes([slot]) * 32, b"c" * 32) for slot in SLOTS
)


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: f"slot_{claim.slot}")
def test_an_accusation_proves_the_unit_that_it_names(claim: ClaimedUnit) -> None:
    """Of a batch that leaves slots out, each by its place among the claims."""
    batch = BatchView(4, 1, 0, 99, CLAIMS)
    key = UnitRef(4, claim.slot, claim.attempt)
    name = unit_id(JOB, *(key.round, key.slot, key.attempt))
    unit = UnitView(name, JOB, key, claim.worker, "0x1", claim.result_root, b"c" * 32, batch)
    job_id, round, index, shown, proof = accusation(unit)
    assert (job_id, round, index, shown) == (JOB, 4, 1, claim)
    root = merkle_root([claim_leaf(JOB, 4, each) for each in CLAIMS])
    assert verify_proof(root, claim_leaf(JOB, 4, shown), proof)
