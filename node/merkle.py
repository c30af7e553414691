"""The Merkle trees of the ledger, rebuilt from its events: claims that it is shown again.

A leaf is hashed twice, keccak256(keccak256(abi.encode(...))); a node is the keccak256 of its
children in ascending order, as OpenZeppelin's MerkleProof expects; an odd last node moves up
unchanged. docs/spec/contracts.md, "Money".
"""

from collections.abc import Sequence

from eth_abi.abi import encode
from eth_utils.crypto import keccak

from node.chain.types import ClaimedUnit
from node.ids import JobId, unit_id

_CLAIM_TYPES = ("bytes32", "address", "bytes32", "bytes32")


def claim_leaf(job_id: JobId, round: int, claim: ClaimedUnit) -> bytes:
    """The leaf of one claim of a batch."""
    unit = unit_id(job_id, round, claim.slot, claim.attempt)
    values = (unit, claim.worker, claim.result_root, claim.commitment)
    return keccak(keccak(encode(_CLAIM_TYPES, values)))


def merkle_root(leaves: Sequence[bytes]) -> bytes:
    """The root over `leaves`; ValueError if there are none."""
    if not leaves:
        raise ValueError("a tree needs at least one leaf")
    level = list(leaves)
    while len(level) > 1:
        level = _next_level(level)
    return level[0]


def merkle_proof(leaves: Sequence[bytes], index: int) -> tuple[bytes, ...]:
    """The sibling hashes of leaf `index`, from the leaf upwards."""
    if not 0 <= index < len(leaves):
        raise ValueError(f"there is no leaf {index} among {len(leaves)}")
    proof = []
    level = list(leaves)
    while len(level) > 1:
        sibling = index ^ 1
        if sibling < len(level):
            proof.append(level[sibling])
        level = _next_level(level)
        index //= 2
    return tuple(proof)


def verify_proof(root: bytes, leaf: bytes, proof: Sequence[bytes]) -> bool:
    """Whether `proof` leads from `leaf` to `root`, as the contract checks it."""
    node = leaf
    for sibling in proof:
        node = _pair(node, sibling)
    return node == root


def _next_level(level: Sequence[bytes]) -> list[bytes]:
    paired = [_pair(a, b) for a, b in zip(level[::2], level[1::2], strict=False)]
    return paired + list(level[len(paired) * 2 :])


def _pair(a: bytes, b: bytes) -> bytes:
    return keccak(min(a, b) + max(a, b))
