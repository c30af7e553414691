"""Ids and commitments: fixed vectors, because the contracts compute the same hashes."""

import pytest
from eth_utils.crypto import keccak

from node.ids import JobId, UnitId, commitment, unit_id

JOB = JobId(bytes(range(32)))
ACCOUNT = "0x52908400098527886E0F7030069857D2E4169EE7"
ROOT, SALT = b"\x11" * 32, b"\x22" * 32
ONE_ID = "00c0ddbb263581b0c47003ad38200a000a4644a9ffae59a3e1473d361ebe5ead"
ONE_COMMITMENT = "24a221c0f6c9c521d1424e986913659d843c0fe41d974fdadea6f5c8788b40ce"


def word(number: int) -> bytes:
    """A number as one word of Solidity's ABI."""
    return number.to_bytes(32, "big")


def test_unit_id_is_keccak_of_four_words() -> None:
    """abi.encode of static types is the concatenation of their words."""
    made = unit_id(JOB, 1, 2, 3)
    assert made == keccak(JOB + word(1) + word(2) + word(3))
    assert made.hex() == ONE_ID


def test_commitment_is_keccak_of_four_words() -> None:
    """The address is a word too, whatever the case of its digits."""
    unit = UnitId(bytes.fromhex(ONE_ID))
    made = commitment(unit, ACCOUNT, ROOT, SALT)
    assert made == keccak(unit + word(int(ACCOUNT, 16)) + ROOT + SALT)
    assert made.hex() == ONE_COMMITMENT
    assert commitment(unit, ACCOUNT.lower(), ROOT, SALT) == made


def test_every_part_changes_the_commitment() -> None:
    """Nobody can reuse another's commitment, nor their own for another unit."""
    unit, other = unit_id(JOB, 0, 0, 0), unit_id(JOB, 0, 0, 1)
    made = {
        commitment(unit, ACCOUNT, ROOT, SALT),
        commitment(other, ACCOUNT, ROOT, SALT),
        commitment(unit, "0x" + "00" * 20, ROOT, SALT),
        commitment(unit, ACCOUNT, SALT, SALT),
        commitment(unit, ACCOUNT, ROOT, ROOT),
    }
    assert len(made) == 5


@pytest.mark.parametrize("numbers", [(-1, 0, 0), (0, 1 << 32, 0), (0, 0, 1 << 32)])
def test_numbers_over_32_bits_are_refused(numbers: tuple[int, int, int]) -> None:
    """The contract's types are uint32."""
    with pytest.raises(ValueError, match=r"2\^32"):
        unit_id(JOB, *numbers)


@pytest.mark.parametrize(
    ("unit", "account", "root", "salt"),
    [
        (b"\0" * 31, ACCOUNT, ROOT, SALT),
        (b"\0" * 32, ACCOUNT[:-2], ROOT, SALT),
        (b"\0" * 32, ACCOUNT[2:], ROOT, SALT),
        (b"\0" * 32, ACCOUNT, ROOT + b"\0", SALT),
        (b"\0" * 32, ACCOUNT, ROOT, b""),
    ],
)
def test_wrong_lengths_are_refused(unit: bytes, account: str, root: bytes, salt: bytes) -> None:
    """Padding in silence would commit to something else."""
    with pytest.raises(ValueError):
        commitment(UnitId(unit), account, root, salt)
    with pytest.raises(ValueError):
        unit_id(JobId(b"\0" * 31), 0, 0, 0)
