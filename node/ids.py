"""Identifiers and commitments that the chain computes too (docs/spec/protocol.md, section 2)."""

from typing import NewType

from eth_abi.abi import encode
from eth_utils.crypto import keccak

JobId = NewType("JobId", bytes)
UnitId = NewType("UnitId", bytes)

HASH_BYTES = 32
ADDRESS_BYTES = 20

INPUT_UNAVAILABLE = keccak(b"ainur.input-unavailable")
"""What an auditor or juror reveals instead of a unit root where the job's data is not to be had; no
unit has this root, for unit roots are sha256 of 65 bytes."""


def unit_id(job: JobId, round: int, slot: int, attempt: int) -> UnitId:
    """The id of one attempt at one slot: keccak256(abi.encode(job, round, slot, attempt)).

    ValueError where a hash has not 32 bytes or a number does not fit 32 bits.
    """
    _check_length("job id", job, HASH_BYTES)
    for name, value in (("round", round), ("slot", slot), ("attempt", attempt)):
        if not 0 <= value < 1 << 32:
            raise ValueError(f"{name} {value} is not in 0..2^32-1")
    types = ("bytes32", "uint32", "uint32", "uint32")
    return UnitId(keccak(encode(types, (job, round, slot, attempt))))


def commitment(unit: UnitId, account: str, unit_root: bytes, salt: bytes) -> bytes:
    """What binds an account to a unit root before it is shown; worker, auditor and juror alike.

    `account` is a hexadecimal address of 20 bytes with 0x, in any case. ValueError where a length
    is wrong.
    """
    for name, value in (("unit id", unit), ("unit root", unit_root), ("salt", salt)):
        _check_length(name, value, HASH_BYTES)
    if not account.startswith(("0x", "0X")):
        raise ValueError(f"account {account!r} does not start with 0x")
    _check_length("account", bytes.fromhex(account[2:]), ADDRESS_BYTES)
    types = ("bytes32", "address", "bytes32", "bytes32")
    return keccak(encode(types, (unit, account.lower(), unit_root, salt)))


def _check_length(name: str, value: bytes, length: int) -> None:
    if len(value) != length:
        raise ValueError(f"{name} has {len(value)} bytes, must have {length}")
