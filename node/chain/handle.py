"""One deployed contract: reads that answer, and writes that are prepared for sending."""

from dataclasses import dataclass
from typing import Any

from eth_abi.exceptions import DecodingError, EncodingError

from node.chain.abi import decode_error, interface
from node.chain.answers import data as read_bytes
from node.chain.rpc import Reverted, Rpc, RpcError
from node.chain.types import to_abi
from node.errors import BadInput, NodeError


@dataclass(frozen=True, slots=True)
class Transaction:
    """A prepared call of a contract; `what` names it in messages. An empty `to` creates one."""

    to: str
    data: bytes
    what: str
    value_wei: int = 0


class Handle:
    """The contract `name` at `address`, `shown` in messages as something else if it is.

    Values go through types.to_abi on their way in.
    """

    def __init__(self, rpc: Rpc, name: str, address: str, shown: str = "") -> None:
        self._rpc = rpc
        self._interface = interface(name)
        self.name = shown or name
        self.address = address

    def read(self, function: str, *arguments: object) -> tuple[Any, ...]:
        """All values that a view returns now."""
        data = self._encode(function, arguments)
        call = {"to": self.address, "data": "0x" + data.hex()}
        try:
            result = self._rpc.request("eth_call", call, "latest", read=read_bytes)
        except RpcError as error:
            raise refusal(f"{self.name}.{function}", error) from None
        try:
            return self._interface.decode_result(function, len(arguments), result)
        except (DecodingError, ValueError):
            raise NodeError(
                f"{self.name} at {self.address} does not answer {function} as it should.",
                "Is the network file of this deployment, and this release recent enough?",
            ) from None

    def value(self, function: str, *arguments: object) -> Any:
        """The one value that a view returns now."""
        (value,) = self.read(function, *arguments)
        return value

    def bytes_of(self, function: str, gas: int) -> bytes:
        """What a view without arguments answers with so much gas, not decoded; empty if refused."""
        data = self._encode(function, ())
        call = {"to": self.address, "data": "0x" + data.hex(), "gas": hex(gas)}
        try:
            return bytes(self._rpc.request("eth_call", call, "latest", read=read_bytes))
        except RpcError:
            return b""

    def write(self, function: str, *arguments: object) -> Transaction:
        """The transaction that calls `function`, not yet sent."""
        return Transaction(
            self.address, self._encode(function, arguments), f"{self.name}.{function}"
        )

    def _encode(self, function: str, arguments: tuple[object, ...]) -> bytes:
        try:
            return self._interface.encode_call(function, [to_abi(a) for a in arguments])
        except (EncodingError, OverflowError) as error:
            raise BadInput(f"{self.name}.{function} cannot take these values: {error}") from None


def refusal(what: str, error: RpcError) -> NodeError:
    """What an endpoint's error about the call `what` means: a contract's reason, or the error
    itself.
    """
    if error.data is None and "revert" not in error.reason.lower():
        return error
    name, arguments = decode_error(error.data)
    return Reverted(what, name, arguments)
