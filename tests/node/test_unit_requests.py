"""Units and receipts: who gets them, and whose claim is false."""

from typing import Any, cast

import pytest

from node.chain import events as e
from node.chain.events import Place
from node.claim_signature import Statement
from node.errors import PeerFault
from node.ids import unit_id
from node.journal import Journal
from node.messages import PullUnit, Receipt, Refused, UnitAssigned, UnitDeclined, UnitKey
from node.unit_requests import GATHER_MS, GATHERING
from node.wallet import Signer, recover
from tests.node.coordinating import (
    COORDINATOR,
    DOMAIN,
    JOB,
    MANIFEST,
    WORKER,
    commit,
    coordination,
    pull,
    watch,
)


def test_a_known_peer_gets_a_unit_and_a_receipt(journal: Journal) -> None:
    """The receipt is the coordinator's signature over exactly what was committed."""
    of = coordination(journal)
    assigned = pull(of)
    assert isinstance(assigned, UnitAssigned)
    assert assigned.checkpoint_root == (b"i" * 32).hex()
    made = commit(assigned)
    receipt = of.answer("worker", made)
    assert isinstance(receipt, Receipt)
    text = (
        f"ainur receipt v0 {JOB.hex()} {made.unit.round} {made.unit.slot} {made.unit.attempt} "
        f"{made.result_root} {made.commitment}"
    )
    assert recover(text, bytes.fromhex(receipt.signature)) == COORDINATOR.address


def test_a_successor_first_takes_what_others_have_at_hand(journal: Journal) -> None:
    """For some seconds; a restart of it, or the first coordinator, waits for nothing."""
    watching = watch()
    taken = e.LeaseTaken(Place(1, 3, b""), JOB, COORDINATOR.address, 10**6, 2)
    watching.ledger.apply(taken)
    of = coordination(journal, watching)
    declined = pull(of)
    assert isinstance(declined, UnitDeclined)
    assert (declined.reason, declined.retry_after_ms) == (GATHERING, GATHER_MS // 5)
    unit = UnitKey(round=0, slot=1, attempt=0)
    at_hand = PullUnit(job_id=JOB.hex(), memory_bytes=1000, ready=(unit,))
    assigned = of.answer("worker", at_hand)
    assert isinstance(assigned, UnitAssigned)
    assert assigned.unit == unit
    assert isinstance(of.answer("worker", commit(assigned, lease_epoch=2)), Receipt)
    # It is not on the chain yet, so its worker still says that it has it: no reason for another.
    assert of.answer("worker", at_hand) == declined
    assert isinstance(pull(coordination(journal, watching)), UnitAssigned)
    watching.ledger.head_time_s += GATHER_MS // 1000
    assert isinstance(pull(of), UnitAssigned)


def test_a_claim_signed_by_another_is_a_fault(journal: Journal) -> None:
    """Nobody is bound without consent, and nothing is remembered of the attempt."""
    of = coordination(journal)
    assigned = cast(UnitAssigned, pull(of))
    with pytest.raises(PeerFault, match="not signed by"):
        of.answer("worker", commit(assigned, Signer.random()))
    assert of.state.slots[assigned.unit.slot].filling is None


def test_a_commitment_of_zeros_is_a_fault(journal: Journal) -> None:
    """The contract would refuse the whole round for it, again and again."""
    coordinating = coordination(journal)
    assigned = pull(coordinating)
    assert isinstance(assigned, UnitAssigned)
    unit, zeros = assigned.unit, bytes(32)
    name = unit_id(JOB, unit.round, unit.slot, unit.attempt)
    signature = DOMAIN.sign(WORKER, Statement(name, zeros, 1, b"r" * 32, zeros))
    claim = commit(assigned).model_copy(
        update={"commitment": zeros.hex(), "signature": signature.hex()}
    )
    with pytest.raises(PeerFault, match="zeros"):
        coordinating.answer("worker", claim)


@pytest.mark.parametrize("lineage", [{"parent": b"q" * 32}, {"lease_epoch": 2}])
def test_a_claim_of_another_lineage_gets_no_receipt(
    journal: Journal, lineage: dict[str, Any]
) -> None:
    """The chain would refuse it; its worker is told so and is not at fault."""
    of = coordination(journal)
    assigned = cast(UnitAssigned, pull(of))
    answer = of.answer("worker", commit(assigned, **lineage))
    assert isinstance(answer, Refused)
    assert "claim" in answer.reason
    assert isinstance(of.answer("worker", commit(assigned)), Receipt)


def test_a_stranger_gets_nothing(journal: Journal) -> None:
    """A peer whose wallet is unknown is told to say hello."""
    of = coordination(journal)
    assert isinstance(pull(of, "stranger"), Refused)
    assigned = cast(UnitAssigned, pull(of))
    assert isinstance(of.answer("stranger", commit(assigned)), Refused)


def test_a_wallet_without_a_bond_gets_no_work(journal: Journal) -> None:
    """The answer says why."""
    watching = watch()
    watching.ledger.apply(e.ActiveChanged(Place(1, 3, b""), WORKER.address, False))
    answer = pull(coordination(journal, watching))
    assert isinstance(answer, UnitDeclined)
    assert "bond" in answer.reason


def test_too_little_memory_is_declined_with_the_reason(journal: Journal) -> None:
    """The manifest's peak is what a worker must have."""
    answer = pull(coordination(journal), memory_bytes=99)
    assert isinstance(answer, UnitDeclined)
    assert "memory" in answer.reason


def test_a_round_waits_for_as_many_peers_as_the_manifest_says(
    journal: Journal,
) -> None:
    """The submitter's least number reaches the machine, and whoever looks is told of it."""
    watching, other = watch(), Signer.random()
    wallets = {"worker": WORKER.address, "other": other.address}
    manifest = MANIFEST.model_copy(update={"peers_min": 2})
    of = coordination(journal, watching, manifest, wallet_of=wallets.get)
    declined = pull(of)
    assert isinstance(declined, UnitDeclined)
    assert "before more peers are ready" in declined.reason
    assert "begins with 2 peers that are ready, 1 are" in of.waiting()
    watching.ledger.apply(e.ActiveChanged(Place(1, 3, b""), other.address, True))
    pull(of, "other")
    assert isinstance(pull(of), UnitAssigned)
