"""Audits that agreed, written where the ledger keeps its units.

A round in which every unit has an auditor of its own, whom no other unit has, comes of a draw among
thousands of nodes only. What the ledger would then hold is written on the local chain.
"""

from collections.abc import Sequence

from eth_abi.abi import encode
from eth_utils.crypto import keccak

from node.chain import Chain
from node.chain.rpc import Rpc
from node.chain.types import UnitStatus
from node.devnet import CHAIN_ID, Devnet
from node.errors import NodeError
from node.ids import UnitId

SLOTS_MAX = 32
"""The ledger's state begins with fewer variables than this."""
AUDITOR, UNIT_ROOT, AUDIT_ROOT = 2, 5, 7
"""Words of a unit on record: tests/contracts/snapshots/WorkLedger.txt."""
_ADDRESS_BITS, _STATUS_BITS = 160, 8


def write_audits(
    devnet: Devnet, chain: Chain, units: Sequence[UnitId], auditors: Sequence[str], root: bytes
) -> None:
    """Have each unit verified by the auditor beside it; both say `root`. NodeError if the ledger
    keeps units elsewhere.
    """
    rpc = Rpc([devnet.endpoint], CHAIN_ID)
    ledger = chain.ledger.address
    try:
        slot = _slot_of_units(rpc, ledger, units[0], chain.ledger.unit(units[0]).job_id)
        for unit, auditor in zip(units, auditors, strict=True):
            first = int.from_bytes(keccak(encode(["bytes32", "uint256"], [unit, slot])))
            word = _load(rpc, ledger, first + AUDITOR)
            kept = word >> _ADDRESS_BITS + _STATUS_BITS << _ADDRESS_BITS + _STATUS_BITS
            status = int(UnitStatus.VERIFIED) << _ADDRESS_BITS
            _store(rpc, ledger, first + AUDITOR, kept | status | int(auditor, 16))
            for place in (UNIT_ROOT, AUDIT_ROOT):
                _store(rpc, ledger, first + place, int.from_bytes(root))
            found = chain.ledger.unit(unit)
            told = found.status, found.auditor, found.unit_root, found.audit_root
            if told != (UnitStatus.VERIFIED, auditor, root, root):
                raise NodeError(f"The audit of a unit could not be written: it is {found}.")
    finally:
        rpc.close()


def _slot_of_units(rpc: Rpc, ledger: str, unit: UnitId, job_id: bytes) -> int:
    """The variable that maps ids to units, each of which begins with its job."""
    for slot in range(SLOTS_MAX):
        first = int.from_bytes(keccak(encode(["bytes32", "uint256"], [unit, slot])))
        if _load(rpc, ledger, first) == int.from_bytes(job_id):
            return slot
    raise NodeError("The ledger's units were not found in its storage.")


def _load(rpc: Rpc, contract: str, place: int) -> int:
    return int(str(rpc.request("eth_getStorageAt", contract, _hex(place), "latest")), 16)


def _store(rpc: Rpc, contract: str, place: int, value: int) -> None:
    rpc.request("hardhat_setStorageAt", contract, _hex(place), _hex(value))


def _hex(value: int) -> str:
    return "0x" + value.to_bytes(32, "big").hex()
