"""node/merkle.py: proofs that OpenZeppelin's MerkleProof accepts, and no others."""

import pytest
from eth_utils.crypto import keccak
from hypothesis import given
from hypothesis import strategies as st

from node.ids import JobId
from node.merkle import (
    merkle_proof,
    merkle_root,
    reward_leaf,
    reward_leaves,
    verify_proof,
)

JOB = JobId(b"\x11" * 32)
ALICE = "0x" + "aa" * 20
BOB = "0x" + "bb" * 20


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
    """A round with one reward needs no sibling."""
    leaf = reward_leaf(JOB, 0, 0, ALICE, 1)
    assert merkle_root([leaf]) == leaf
    assert merkle_proof([leaf], 0) == ()


def test_leaf_covers_every_field() -> None:
    """No two rewards share a leaf."""
    base = reward_leaf(JOB, 1, 2, ALICE, 3)
    others = {
        reward_leaf(JobId(b"\x12" * 32), 1, 2, ALICE, 3),
        reward_leaf(JOB, 2, 2, ALICE, 3),
        reward_leaf(JOB, 1, 3, ALICE, 3),
        reward_leaf(JOB, 1, 2, BOB, 3),
        reward_leaf(JOB, 1, 2, ALICE, 4),
    }
    assert base not in others
    assert len(others) == 5
    assert reward_leaves(JOB, 1, [ALICE, BOB], [3, 4])[1] == reward_leaf(JOB, 1, 1, BOB, 4)


def test_misuse_is_refused() -> None:
    """An empty tree, a leaf that is not there, lists of different length."""
    with pytest.raises(ValueError, match="at least one"):
        merkle_root([])
    with pytest.raises(ValueError, match="no leaf 1"):
        merkle_proof([b"\0" * 32], 1)
    with pytest.raises(ValueError):
        reward_leaves(JOB, 0, [ALICE], [])
