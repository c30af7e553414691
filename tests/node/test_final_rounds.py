"""What final rounds came to, packed."""

import pytest

from node.final_rounds import Finalized, FinalRounds
from scheduler.blob_ref import BLOB_BYTES_MAX, BlobRef

ROUNDS = [
    Finalized(b"c" * 32, BlobRef(root="ab" * 32, size=7), 0),
    Finalized(bytes(32), BlobRef(root="00" * 32, size=BLOB_BYTES_MAX), 2**256 - 1),
    Finalized(b"d" * 32, BlobRef(root="ef" * 32, size=0), 20),
]


def test_each_round_is_given_back_as_it_was_added() -> None:
    """By its number, whatever its values; in order, and as a mapping."""
    rounds = FinalRounds()
    for final in ROUNDS:
        rounds.append(final)
    assert list(rounds.values()) == ROUNDS
    assert list(rounds) == [0, 1, 2]
    assert rounds[1] == ROUNDS[1]
    assert rounds != FinalRounds() == FinalRounds()


@pytest.mark.parametrize("round", [-1, 3])
def test_a_round_that_is_not_final_is_not_there(round: int) -> None:
    """Neither the next one nor the one before the first."""
    rounds = FinalRounds()
    for final in ROUNDS:
        rounds.append(final)
    assert rounds.get(round) is None
    assert round not in rounds
    with pytest.raises(KeyError):
        rounds[round]


def test_a_round_takes_104_bytes() -> None:
    """A million of them must find room in a node."""
    rounds = FinalRounds()
    for _ in range(1000):
        rounds.append(ROUNDS[1])
    assert len(rounds._rows) == 104_000
