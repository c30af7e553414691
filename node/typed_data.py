"""EIP-712: the 32 bytes that stand for typed data, bound to one contract on one chain."""

from collections.abc import Sequence
from dataclasses import dataclass

from eth_abi.abi import encode
from eth_utils.crypto import keccak

_DOMAIN_TYPE = keccak(
    text="EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
)


@dataclass(frozen=True, slots=True)
class Domain:
    """Where a signature counts."""

    name: str
    version: str
    chain_id: int
    contract: str

    def digest(self, type_name: str, types: Sequence[str], values: Sequence[object]) -> bytes:
        """What is signed: `type_name` as EIP-712 writes it, then its members as the ABI codes them.

        Members of a dynamic type are not known here: give their hash as bytes32.
        """
        domain = keccak(
            encode(
                ("bytes32", "bytes32", "bytes32", "uint256", "address"),
                (
                    _DOMAIN_TYPE,
                    keccak(text=self.name),
                    keccak(text=self.version),
                    self.chain_id,
                    self.contract,
                ),
            )
        )
        data = keccak(encode(("bytes32", *types), (keccak(text=type_name), *values)))
        return keccak(b"\x19\x01" + domain + data)
