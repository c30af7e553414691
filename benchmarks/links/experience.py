"""Workers that the chain has known for long: what a run of minutes cannot wait for.

A unit is audited with probability 1/n, n its worker's clean units, so a new worker's first units
are nearly all audited. On the local chain n can be written where the ledger keeps it.
"""

from collections.abc import Sequence

from eth_abi.abi import encode
from eth_utils.crypto import keccak

from node.chain.rpc import Rpc
from node.devnet import CHAIN_ID, Devnet
from node.errors import NodeError

SLOTS_MAX = 32
"""The ledger's state begins with fewer variables than this."""


def give_clean_units(devnet: Devnet, workers: Sequence[str], units: int) -> None:
    """Let every worker have so many clean units. NodeError if the ledger keeps them elsewhere."""
    ledger = devnet.network.contracts.ledger
    rpc = Rpc([devnet.endpoint], CHAIN_ID)
    try:
        with devnet.chain() as chain:
            for slot in range(SLOTS_MAX):
                place = _place(workers[0], slot)
                before = rpc.request("eth_getStorageAt", ledger, place, "latest")
                _store(rpc, ledger, place, units)
                if chain.ledger.clean_units(workers[0]) == units:
                    break
                _store(rpc, ledger, place, int(str(before), 16))
            else:
                raise NodeError("The ledger's clean units were not found in its storage.")
            for worker in workers:
                _store(rpc, ledger, _place(worker, slot), units)
                if chain.ledger.clean_units(worker) != units:
                    raise NodeError(f"The clean units of {worker} could not be set.")
    finally:
        rpc.close()


def _place(worker: str, slot: int) -> str:
    """Where a mapping from addresses that has this slot keeps the value of a worker."""
    return "0x" + keccak(encode(["address", "uint256"], [worker, slot])).hex()


def _store(rpc: Rpc, contract: str, place: str, value: int) -> None:
    rpc.request("hardhat_setStorageAt", contract, place, "0x" + value.to_bytes(32, "big").hex())
