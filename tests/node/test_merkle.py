"""node/merkle.py: proofs that OpenZeppelin's MerkleProof accepts, and no others."""

from dataclasses import replace

import pytest
from eth_utils.crypto import keccak
from hypothesis import given
from hypothesis import strategies as st

from node.chain.types import ClaimedUnit
from node.ids import JobId
from node.merkle import claim_leaf, merkle_proof, merkle_root, verify_proof

JOB = JobId(b"\x11" * 32)
ALICE = "0x" + "aa" * 20
BOB = "0x" + "bb" * 20
CLAIM = ClaimedUnit(3, 0, ALICE, b"\x22" * 32, b"\x33" * 32)


@given(st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=70), st.data())
def test_every_leaf_has_a_proof(leaves: list[bytes], data: st.DataObject) -> None:
    """Any position in a tree of any size is proved; a changed leaf is not."""
    index = data.draw(st.integers(0, len(leaves) - 1))
    root, proof = merkle_root(leaves), merkle_proof(leaves, index)
    assert verify_proof(root, leaves[index], proof)
    assert not verify_proof(root, keccak(leaves[index]), proof)
    assert len(proof) <= (len(leaves) - 1).bit_length()


def test_three_leaves_by_hand() -> None:
    """Sorted pairs; the odd leaf moves up unchanged."""
    a, b, c = (bytes([x]) * 32 for x in (3, 1, 2))
    ab = keccak(b + a)
    assert merkle_root([a, b, c]) == keccak(min(ab, c) + max(ab, c))
    assert merkle_proof([a, b, c], 2) == (ab,)
    assert merkle_proof([a, b, c], 0) == (b, c)


def test_single_leaf_is_its_own_root() -> None:
    """A batch of one claim needs no sibling."""
    leaf = claim_leaf(JOB, 0, CLAIM)
    assert merkle_root([leaf]) == leaf
    assert merkle_proof([leaf], 0) == ()


def test_leaf_covers_every_field() -> None:
    """No two claims share a leaf."""
    base = claim_leaf(JOB, 1, CLAIM)
    others = {
        claim_leaf(JobId(b"\x12" * 32), 1, CLAIM),
        claim_leaf(JOB, 2, CLAIM),
        claim_leaf(JOB, 1, replace(CLAIM, slot=4)),
        claim_leaf(JOB, 1, replace(CLAIM, attempt=1)),
        claim_leaf(JOB, 1, replace(CLAIM, worker=BOB)),
        claim_leaf(JOB, 1, replace(CLAIM, result_root=b"\x23" * 32)),
        claim_leaf(JOB, 1, replace(CLAIM, commitment=b"\x34" * 32)),
    }
    assert base not in others
    assert len(others) == 7


def test_misuse_is_refused() -> None:
    """An empty tree, a leaf that is not there, lists of different length."""
    with pytest.raises(ValueError, match="at least one"):
        merkle_root([])
    with pytest.raises(ValueError, match="no leaf 1"):
        merkle_proof([b"\0" * 32], 1)
