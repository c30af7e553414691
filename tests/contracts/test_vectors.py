"""Python computes the hashes that the contracts compute: Libraries.t.sol reads the same file."""

import json
from pathlib import Path

import pytest
from eth_abi.abi import encode
from eth_utils.crypto import keccak

from engine.commitment import unit_root
from node.ids import JobId, UnitId, commitment, unit_id

VECTORS = Path(__file__).resolve().parents[1] / "vectors" / "contracts.json"


@pytest.fixture
def vectors() -> dict[str, object]:
    return json.loads(VECTORS.read_text(encoding="utf-8"))


def word(vectors: dict[str, object], name: str) -> bytes:
    return bytes.fromhex(str(vectors[name]).removeprefix("0x"))


def test_unit_id_matches_the_chain(vectors: dict[str, object]) -> None:
    """A unit has the same name on both sides."""
    job = JobId(word(vectors, "job_id"))
    place = (vectors["round"], vectors["slot"], vectors["attempt"])
    assert unit_id(job, *map(int, map(str, place))) == word(vectors, "unit_id")


def test_unit_root_matches_the_chain(vectors: dict[str, object]) -> None:
    """What a worker opens is what it committed to."""
    root = unit_root(word(vectors, "result_root"), word(vectors, "trace_root"))
    assert root == word(vectors, "unit_root")


def test_commitment_matches_the_chain(vectors: dict[str, object]) -> None:
    """Account and salt bind alike."""
    made = commitment(
        UnitId(word(vectors, "unit_id")),
        str(vectors["account"]),
        word(vectors, "unit_root"),
        word(vectors, "salt"),
    )
    assert made == word(vectors, "commitment")


def test_claims_root_matches_the_chain(vectors: dict[str, object]) -> None:
    """Three leaves: a pair, sorted before hashing, and an odd one that moves up."""
    types = ("bytes32", "address", "bytes32", "bytes32")
    job, account = JobId(word(vectors, "job_id")), str(vectors["account"])
    bound = (account, word(vectors, "result_root"), word(vectors, "unit_root"))
    leaves = [keccak(keccak(encode(types, (unit_id(job, 3, i, 2), *bound)))) for i in range(3)]
    pair = keccak(b"".join(sorted(leaves[:2])))
    assert keccak(b"".join(sorted([pair, leaves[2]]))) == word(vectors, "claims_root")
