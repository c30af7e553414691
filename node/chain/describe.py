"""Transactions in words, from their bytes: what a person signs is what was decoded.

Only the packaged interfaces are believed, never a text that came with the transaction.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from node.chain.abi import interface
from node.chain.types import Parameter

WEI = 10**18
CONTRACT_NAMES = {
    "token": "ComputeToken",
    "parameters": "NetworkParameters",
    "vault": "BondVault",
    "escrow": "JobEscrow",
    "ledger": "WorkLedger",
    "seat": "RefereeSeat",
    "committee": "AuditCommittee",
    "rewards": "RewardDistributor",
    "emission": "EmissionController",
    "first_bonds": "FirstBonds",
    "governor": "AinurGovernor",
    "timelock": "TimelockController",
}
"""The Solidity name behind each field of the network file's `contracts`."""
UINT256_MAX = (1 << 256) - 1
"""As an amount: all that there is."""
_TEXT_MAX = 400
_AMOUNTS = frozenset({"amount", "value", "amounts"})
_IN_TOKENS = frozenset({"ComputeToken", "BondVault", "FirstBonds"})

Names = Mapping[str, str]
"""Contract names by address."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """A call: the contract's name (empty if the address is not known), function, arguments."""

    contract: str
    function: str
    arguments: Mapping[str, Any]


def names_of(contracts: Mapping[str, str]) -> Names:
    """Contract names by address, from the fields of a network file's `contracts`."""
    return {address: CONTRACT_NAMES[field] for field, address in contracts.items()}


def decode_call(names: Names, to: str, data: bytes) -> Decoded | None:
    """The call that `data` is to the contract `to`; None if no interface of ours has it."""
    known = names.get(to)
    for name in [known] if known else sorted(CONTRACT_NAMES.values()):
        found = interface(name).decode_call(data)
        if found is not None:
            return Decoded(known or "", *found)
    return None


def in_words(names: Names, to: str, data: bytes, value_wei: int = 0) -> str:
    """One line for a person who is about to sign, or to vote."""
    paid = f", paying {value_wei / WEI:.18g} of native currency" if value_wei else ""
    if not to:
        return f"create a contract with {len(data)} bytes of code{paid}"
    if not data:
        return f"send {decimal(value_wei)} of native currency to {to}"
    found = decode_call(names, to, data)
    if found is None:
        return f"call {to} with 0x{_cut(data.hex())}{paid}"
    inside = ", ".join(
        f"{name} = {_argument(names, found, name, value)}"
        for name, value in found.arguments.items()
    )
    where = found.contract or f"contract {to}, not of this network: "
    dot = "." if found.contract else ""
    return _cut(f"{where}{dot}{found.function}({inside})") + paid


def _argument(names: Names, call: Decoded, name: str, value: Any) -> str:
    if name == "calldatas" and call.function == "propose":
        targets = call.arguments.get("targets", ())
        pairs = zip(targets, value, strict=False)
        return "[" + "; ".join(in_words(names, to, data) for to, data in pairs) + "]"
    if name == "parameter" and isinstance(value, int) and value < len(Parameter):
        return Parameter(value).label
    if name in _AMOUNTS and value == UINT256_MAX:
        return "all"
    if name in _AMOUNTS and isinstance(value, int) and call.contract in _IN_TOKENS:
        return f"{decimal(value)} AIN"
    return plain(value)


def plain(value: Any) -> str:
    """A decoded value as text: bytes in hexadecimal, structs in brackets."""
    if isinstance(value, bytes):
        return "0x" + _cut(value.hex())
    if isinstance(value, tuple | list):
        return "[" + ", ".join(plain(item) for item in value) + "]"
    return str(value)


def decimal(wei: int) -> str:
    """10^18 wei as 1, exactly."""
    whole, rest = divmod(wei, WEI)
    return f"{whole}.{rest:018d}".rstrip("0").rstrip(".")


def _cut(text: str) -> str:
    return text if len(text) <= _TEXT_MAX else text[: _TEXT_MAX - 3] + "..."
