"""Any ERC-20 by its address: balances and transfers, and what it says of itself.

Anyone may have written the contract: what it says is bounded in gas, hence in size, and checked;
nothing that is paid depends on it.
"""

import re

from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError

from node.chain.contract import Contract
from node.chain.handle import Handle, Transaction
from node.chain.rpc import Rpc

METADATA_GAS = 200_000
"""Many times what a proxy with a long name takes; with it no answer has more than 300 kB."""
SYMBOL_CHARACTERS_MAX = 16
DECIMALS_MAX = 36
_WORD = 32
_SYMBOL = re.compile(r"[!-~]+")


class Erc20(Contract):
    """The token at an address."""

    def __init__(self, rpc: Rpc, address: str) -> None:
        # AIN is an ERC-20, too: the calls that all of them have are coded alike.
        super().__init__(Handle(rpc, "ComputeToken", address, f"token {address}"))

    def balance_of(self, account: str) -> int:
        """In the token's smallest units, like all amounts here."""
        return int(self._handle.value("balanceOf", account))

    def allowance(self, owner: str, spender: str) -> int:
        return int(self._handle.value("allowance", owner, spender))

    def approve(self, spender: str, amount: int) -> Transaction:
        return self._handle.write("approve", spender, amount)

    def transfer(self, to: str, amount: int) -> Transaction:
        return self._handle.write("transfer", to, amount)

    def symbol(self) -> str:
        """At most 16 printable ASCII characters without spaces; empty if it says anything else."""
        return read_symbol(self._handle.bytes_of("symbol", METADATA_GAS))

    def decimals(self) -> int | None:
        """0 to 36, None if it says anything else."""
        return read_decimals(self._handle.bytes_of("decimals", METADATA_GAS))


def read_symbol(answer: bytes) -> str:
    """The symbol in the answer to `symbol()`: a string, or bytes32 as the oldest tokens have it."""
    if len(answer) == _WORD:
        text = answer.rstrip(b"\0")
    else:
        try:
            (text,) = decode(("bytes",), answer)
        except (DecodingError, ValueError, OverflowError):
            return ""
    found = text.decode("ascii", "replace")
    is_fit = len(found) <= SYMBOL_CHARACTERS_MAX and _SYMBOL.fullmatch(found)
    return found if is_fit else ""


def read_decimals(answer: bytes) -> int | None:
    """The number in the answer to `decimals()`."""
    if len(answer) != _WORD:
        return None
    number = int.from_bytes(answer, "big")
    return number if number <= DECIMALS_MAX else None
